"""Rows of several datasets as one: classes matched by name, repeated rows once, `image` as grey in all.

Rows are selected and joined by index, so no image is read. `with_classes` is the one place where codes of
classes are translated: whatever joins rows of a task, a release or another task calls it.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, ImpossibleMix, UnknownName
from covid_synth_data.mixing.arguments import is_number, seeded

if TYPE_CHECKING:
    import datasets

Index = npt.NDArray[np.int64]


def is_positive(dataset: Any, positive: str) -> npt.NDArray[np.bool_]:
    """Which rows are of the positive class. Raises `ConfigError` without a label column of known names."""
    names = label_names(dataset)
    if positive not in names:
        raise UnknownName("label", positive, names)
    # From the table itself: a format of the dataset (torch, numpy, ...) does not apply, nulls stay nulls.
    labels = dataset.with_format("arrow").select_columns(["label"])[:]["label"]
    if labels.null_count:
        raise ConfigError(
            "rows without a label",
            found=f"{labels.null_count:,} of {len(dataset):,}",
            expected="a label on each row",
            hint="filter them out first",
        )
    chosen: npt.NDArray[np.bool_] = labels.to_numpy() == names.index(positive)
    return chosen


def label_names(dataset: Any) -> list[str]:
    """The names of the classes. Raises `ConfigError` for streams and without a label column of names."""
    import datasets

    if isinstance(dataset, datasets.IterableDataset):
        raise ConfigError(
            "a stream cannot be mixed to a composition",
            found="an IterableDataset",
            expected="a Dataset",
            hint="load without streaming, or use mixing.stream, which joins streams in given shares",
        )
    dataset = schema.rows(dataset)
    names = getattr(getattr(dataset, "features", None) or {}, "get", lambda _: None)("label")
    names = getattr(names, "names", None)
    if names is None:
        columns = getattr(dataset, "column_names", None)
        found = ", ".join(columns) if columns else type(dataset).__name__
        raise ConfigError(
            "rows without a label column of named classes",
            found=found,
            expected="a ClassLabel of " + ", ".join(schema.LABELS),
            hint="use load_task or load_dataset",
        )
    return list(names)


def as_one(synthetic: Any, names: list[str]) -> Any:
    """One dataset of one or several, with `label` a code of `names`."""
    parts = list(synthetic) if isinstance(synthetic, (list, tuple)) else [synthetic]
    if not parts:
        raise ConfigError("nothing to mix in", found="no synthetic dataset", expected="at least one")
    parts = [with_classes(part, names) for part in parts]
    return parts[0] if len(parts) == 1 else _concatenated(_without_repeats(parts))


def _without_repeats(parts: Sequence[Any]) -> list[Any]:
    """Each row once: if several parts hold a row, by its `image_id`, the first is kept.

    Raises `ConfigError` if rows of two classes share one id.
    """
    labels: dict[str, int | None] = {}
    kept = []
    for part in parts:
        if "image_id" not in part.column_names:
            kept.append(part)
            continue
        table = part.with_format("arrow").select_columns(["image_id", "label"])[:]
        rows = list(zip(table["image_id"].to_pylist(), table["label"].to_pylist(), strict=True))
        for name, label in rows:
            if labels.get(name, label) != label:
                raise ConfigError(
                    "two synthetic rows share an image id and differ",
                    found=f"{name} under two classes",
                    expected="one row for each id",
                    hint="mix sets of one release",
                )
        fresh = [place for place, (name, _) in enumerate(rows) if name not in labels]
        kept.append(part if len(fresh) == len(rows) else part.select(fresh))
        labels.update(rows)
    return kept


def with_classes(
    dataset: datasets.Dataset, names: Sequence[str], renamed: Mapping[str, str] | None = None
) -> datasets.Dataset:
    """The rows with `label` a code of `names`, 0 to n - 1. Classes are matched by name, never by code.

    A task has codes of its own classes, a released dataset those of `schema.LABELS`: bring rows of several
    of them to the same names before they are joined. `renamed` maps classes of the rows to classes of
    `names`, as both diseases to "opacity". A row without a label keeps none. No image is read or copied.
    Raises `ConfigError` for a row of a class that is not among `names`, for streams, and without a label
    column of named classes.
    """
    own = [(renamed or {}).get(name, name) for name in label_names(dataset)]
    if own == list(names) == label_names(dataset):
        return dataset
    import datasets

    rows = dataset.with_format("arrow").select_columns(["label"])[:]["label"]
    _check_classes({own[code] for code in rows.unique().to_pylist() if code is not None}, names)
    label = datasets.Features({"label": datasets.ClassLabel(names=list(names))})
    info = dataset.info.copy()
    info.features = datasets.Features({**dataset.features, **label})
    if not len(dataset):
        return datasets.Dataset.from_dict(
            {name: [] for name in info.features}, features=info.features, info=info, split=dataset.split
        )
    # The column is made for the whole table, and the rows are selected again afterwards: `add_column`, `map`
    # and `cast` copy all images of a dataset that was selected from.
    new_codes = _new_codes(own, names)
    codes = dataset.data.column("label").to_pylist()
    column = [None if code is None else new_codes[code] for code in codes]
    table = datasets.Dataset(dataset.data, info=dataset.info, fingerprint=_fingerprint_of_table(dataset))
    translated = datasets.concatenate_datasets(
        [table.remove_columns("label"), datasets.Dataset.from_dict({"label": column}, features=label)],
        info=info,
        split=dataset.split,
        axis=1,
    )
    return translated.select(_positions(dataset))


def _positions(dataset: datasets.Dataset) -> Index:
    """The place of each row in the table `dataset.data`, from which rows may have been selected or shuffled.

    The one documented way to these places is the file that `select` writes on request.
    """
    import datasets

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "positions.arrow")
        # The repeated row makes this no single run of rows, for which no file is written.
        dataset.select([*range(len(dataset)), 0], indices_cache_file_name=file)
        written = datasets.Dataset.from_file(file, in_memory=True)
    (name,) = written.column_names
    positions: Index = written.data.column(name).to_numpy()[:-1].astype(np.int64)
    return positions


def _fingerprint_of_table(dataset: datasets.Dataset) -> str | None:
    """None for rows in files: `datasets` hashes the names and times of the files, so `map` finds its cached
    results again. Random for rows in memory: `datasets` would hash all images.
    """
    return None if dataset.cache_files else secrets.token_hex(8)


def _new_codes(own: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """For each code of `own` that of the same name in `names`; None where there is none."""
    return [list(names).index(name) if name in names else None for name in own]


def _check_classes(used: Collection[str], names: Sequence[str]) -> None:
    """Raise `ConfigError` where a class that has rows is not among `names`."""
    strange = sorted(set(used) - set(names))
    if strange:
        raise ConfigError(
            "rows of a class that the task does not have",
            found=", ".join(strange),
            expected="rows of " + ", ".join(names),
            hint="filter them out, or choose another task",
        )


def join(real: Any, kept: Index, pool: Any, chosen: Index, seed: int) -> Any:
    """The chosen rows of both, shuffled by the seed; only indices are made."""
    label_names(real)
    joined = _concatenated([real.select(kept), pool.select(chosen)])
    return joined.select(seeded(seed, 3).permutation(len(joined)))


def _concatenated(parts: list[Any]) -> Any:
    """The rows of all, null where a part lacks a column, `image` as grey in all.

    Raises `ConfigError` where columns do not fit.
    """
    import datasets

    try:
        return datasets.concatenate_datasets([schema.as_grey(part) for part in parts])
    except ValueError as error:
        raise ConfigError(
            "datasets whose columns do not fit",
            found=str(error)[:300],
            expected="the same type in columns of the same name",
            hint="cast one to the type of the other",
        ) from error


def stream(
    real: datasets.IterableDataset,
    synthetic: datasets.IterableDataset,
    synthetic_share: float = 0.5,
    seed: int = 0,
) -> datasets.IterableDataset:
    """Real and synthetic streams interleaved: each row is synthetic with probability `synthetic_share`.

    The rows of a stream cannot be counted before it is read, so the skew cannot be set. The share holds in
    expectation. The result ends with the shorter stream. Classes are matched by name: labels of the result
    are codes of the real stream's names. Raises `ImpossibleMix`, `ConfigError`; the latter also when a row is
    read whose class the real stream does not name.
    """
    import datasets

    if not (is_number(synthetic_share) and 0 < synthetic_share < 1):
        raise ImpossibleMix("no such share", found=repr(synthetic_share), expected="between 0 and 1")
    seeded(seed, 0)
    if not all(isinstance(part, datasets.IterableDataset) for part in (real, synthetic)):
        raise ConfigError(
            "stream joins streams", found="a Dataset", expected="two IterableDatasets", hint="use mix"
        )
    names = getattr((real.features or {}).get("label"), "names", None)
    if names is not None:
        synthetic = _stream_with_classes(synthetic, names)
    joined: datasets.IterableDataset = datasets.interleave_datasets(
        [schema.as_grey(real), schema.as_grey(synthetic)],
        probabilities=[1 - synthetic_share, synthetic_share],
        seed=seed,
    )
    return joined


def _stream_with_classes(rows: datasets.IterableDataset, names: Sequence[str]) -> datasets.IterableDataset:
    """`with_classes` row by row; a stream that does not name its classes stays as it is."""
    import datasets

    own = getattr((rows.features or {}).get("label"), "names", None)
    if own is None or own == list(names):
        return rows
    new_codes = _new_codes(own, names)

    def translate(code: int | None) -> dict[str, int | None]:
        if code is None:
            return {"label": None}
        _check_classes({own[code]}, names)
        return {"label": new_codes[code]}

    pictures = {name: kind for name, kind in rows.features.items() if isinstance(kind, datasets.Image)}
    # Pictures are set aside undecoded, since `map` would decode and encode them again.
    for name in pictures:
        rows = rows.cast_column(name, datasets.Image(decode=False))
    features = datasets.Features({**rows.features, "label": datasets.ClassLabel(names=list(names))})
    rows = rows.map(translate, input_columns=["label"], features=features)
    for name, kind in pictures.items():
        rows = rows.cast_column(name, kind)
    return rows
