"""The columns of a row and the names of the labels, for all parts of the package.

Real and synthetic rows share their columns as far as they apply, so that they can be concatenated; a
column that does not apply to a row is null. `datasets` is imported inside the functions because importing
it takes longer than everything else that a user of the tables needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from covid_synth_data.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    import datasets

LABELS: Final = ("normal", "pneumonia", "covid-19")
"""Label names of sources and releases, in the order of their codes 0, 1, 2; a task has codes of its own."""

COVID: Final = LABELS.index("covid-19")

IMAGE_MODE: Final = "L"
"""Pillow's mode of `image` in every Dataset: 8-bit grey, one channel."""

MASK_LABELS: Final = ("background", "lung", "ground-glass opacity", "consolidation")
"""What the values 0, 1, 2, 3 of a label map (`mask`) of a CT slice mean."""

REAL_COLUMNS: Final = (
    "image",
    "label",
    "image_id",
    "patient_id",
    "view",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
)
"""`image_id` is unique over all sources (SOURCE/ID); `patient_id` is too (SOURCE:PATIENT)."""

CT_COLUMNS: Final = (
    "image",
    "mask",
    "label",
    "image_id",
    "patient_id",
    "slice",
    "view",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
)
"""Of a CT slice: `mask` is a grey image of the values of `MASK_LABELS`, of the size of `image`; `slice` is
the slice's number within the patient."""

MASKED_COLUMNS: Final = (REAL_COLUMNS[0], "mask", "lungs", *REAL_COLUMNS[1:])
"""Of a film with outlines: `mask` is that of the infection, `lungs` that of both lungs, each a grey image of
the size of `image` that is 0 outside; either is null where the source has none."""

SYNTHETIC_COLUMNS: Final = (
    "image",
    "label",
    "image_id",
    "subset",
    "generator",
    "seed",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
    "variant",
)
"""`source_id` is the `image_id` of the real film that was translated, without its SOURCE/ prefix. `variant`
is "full", or the crop of the source that was translated, as "crop:LEFT,TOP,RIGHT,BOTTOM" in thousandths of
its width and height."""

SYNTHETIC_CT_COLUMNS: Final = (SYNTHETIC_COLUMNS[0], "mask", *SYNTHETIC_COLUMNS[1:])
"""Of a synthetic CT slice: `mask` is the label map that `image`, the lung alone on black, was drawn from;
`source_id` is the slice whose label map it was made of, `variant` what was done to that."""

PAIR_COLUMNS: Final = (*SYNTHETIC_CT_COLUMNS, "pair_id", "pattern", "extent")
"""Of a pair of a normal film and the same film with painted lesions: `mask` is the soft map of the lesions,
255 where a pixel belongs to one wholly and 0 where to none, `pair_id` the name of the pair, `pattern` what
was painted ("" in the normal film), `extent` the share of both lungs that it covers."""

STRING_COLUMNS: Final = (
    "image_id",
    "patient_id",
    "view",
    "subset",
    "generator",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
    "variant",
    "pair_id",
    "pattern",
)


def label_named(name: str, where: str) -> str:
    """The label of `LABELS` that `name` spells, case, "_" and spaces aside. Raises `UnknownName`."""
    plain = name.strip().casefold().replace("_", "-").replace(" ", "-")
    known = {label.replace("-", ""): label for label in LABELS}
    found = known.get(plain.replace("-", ""))
    if found is None:
        raise UnknownName(f"label in {where}", name, LABELS)
    return found


def synthetic_columns(dataset: str, subset: str = "") -> tuple[str, ...]:
    """The columns of a subset (or config) of a released dataset."""
    if dataset == "covid-synth-ct":
        return SYNTHETIC_CT_COLUMNS
    return PAIR_COLUMNS if subset == "pairs" else SYNTHETIC_COLUMNS


def rows(dataset: Any, *needed: str) -> Any:
    """The Dataset (or stream) without the user's format, so that it has all its columns.

    A format (torch, numpy, some of the columns) determines only how rows are shown; computations do not
    depend on it. Raises `ConfigError` for several splits at once, for what is no Dataset, and where a column
    of `needed` is missing.
    """
    import datasets

    if isinstance(dataset, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        raise ConfigError(
            "several splits where one is expected",
            found="a DatasetDict of " + ", ".join(map(str, dataset)),
            expected="one Dataset",
            hint=f"choose one of them: splits[{next(iter(dataset), 'train')!r}]",
        )
    if not isinstance(dataset, (datasets.Dataset, datasets.IterableDataset)):
        raise ConfigError(
            "no Dataset with rows and columns",
            found=type(dataset).__name__,
            expected="a Dataset of load_task, load_source or load_dataset",
        )
    plain = dataset.with_format(None)
    columns = plain.column_names
    missing = [name for name in needed if columns is not None and name not in columns]
    if missing:
        raise ConfigError(
            f"rows without {' and '.join(missing)}",
            found=", ".join(columns or []) or "no columns",
            expected=", ".join(needed),
            hint="give the rows of load_task, load_source or load_dataset",
        )
    return plain


def as_grey(dataset: Any) -> Any:
    """The Dataset (or stream) with its `image` decoded in `IMAGE_MODE`; no image is read or copied.

    Itself where it has no `image`, or one that is not decoded or is in that mode already.
    """
    import datasets

    kind = (dataset.features or {}).get("image")
    if not isinstance(kind, datasets.Image) or not kind.decode or kind.mode == IMAGE_MODE:
        return dataset
    return dataset.cast_column("image", datasets.Image(mode=IMAGE_MODE))


def features(columns: tuple[str, ...]) -> datasets.Features:
    """`datasets.Features` of the named columns, in that order.

    `image` is an `Image` of mode "L", so that a codec that decodes grey as RGB (lossy WebP) gives one channel
    too. `mask` and `lungs` are `Image`s of their own mode, since the indices of a palette are labels. All are
    decoded lazily. `label` is a `ClassLabel` over `LABELS`, `seed` and `slice` are int64, `extent` is
    float64; the rest are strings. Raises `KeyError` for a name that is not a column.
    """
    import datasets

    kinds: dict[str, Any] = {
        "image": datasets.Image(mode=IMAGE_MODE),
        "mask": datasets.Image(),
        "lungs": datasets.Image(),
        "label": datasets.ClassLabel(names=list(LABELS)),
        "seed": datasets.Value("int64"),
        "slice": datasets.Value("int64"),
        "extent": datasets.Value("float64"),
    }
    kinds |= {name: datasets.Value("string") for name in STRING_COLUMNS}
    return datasets.Features({name: kinds[name] for name in columns})
