"""The columns of a row and the names of the labels: what every part of the package agrees on.

Real and synthetic rows share their columns as far as they apply, so that they can be concatenated; a
column that does not apply to a row is null. `datasets` is imported inside the functions because importing
it takes longer than everything else that a user of the tables needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import datasets

LABELS: Final = ("normal", "pneumonia", "covid-19")
"""Label names in the order of their integer codes 0, 1, 2."""

COVID: Final = LABELS.index("covid-19")

REAL_COLUMNS: Final = (
    "image", "label", "image_id", "patient_id", "view",
    "source_dataset", "source_id", "source_class", "source_license",
)  # fmt: skip
"""`image_id` is unique over all sources (SOURCE/ID); `patient_id` is too (SOURCE:PATIENT)."""

SYNTHETIC_COLUMNS: Final = (
    "image", "label", "image_id", "subset", "generator", "seed",
    "source_dataset", "source_id", "source_class", "source_license", "variant",
)  # fmt: skip
"""`source_id` is the `image_id` of the real film that was translated, without its SOURCE/ prefix. `variant`
is "full", or the crop of the source that was translated, as "crop:LEFT,TOP,RIGHT,BOTTOM" in thousandths of
its width and height."""

STRING_COLUMNS: Final = (
    "image_id", "patient_id", "view", "subset", "generator",
    "source_dataset", "source_id", "source_class", "source_license", "variant",
)  # fmt: skip


def features(columns: tuple[str, ...]) -> datasets.Features:
    """`datasets.Features` of the named columns, in that order.

    `image` is an `Image` that is decoded lazily, `label` a `ClassLabel` over `LABELS`, `seed` an int64; the
    rest are strings. Raises `KeyError` for a name that is no column of ours.
    """
    import datasets

    kinds: dict[str, Any] = {
        "image": datasets.Image(),
        "mask": datasets.Image(),
        "label": datasets.ClassLabel(names=list(LABELS)),
        "seed": datasets.Value("int64"),
    }
    kinds |= {name: datasets.Value("string") for name in STRING_COLUMNS}
    return datasets.Features({name: kinds[name] for name in columns})
