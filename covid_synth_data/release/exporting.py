"""Rows of a release or a task in forms that other tools read: an npz file like MedMNIST's, an ImageFolder.

    csd.write_npz(csd.load_task("normal-vs-covid", root), "task.npz", size=64)
    csd.write_image_folder(csd.load_dataset("covid-synth-cxr", "gnc"), "gnc")

A Dataset is one part, "train"; a DatasetDict has several. What is there already is not replaced.
"""

from __future__ import annotations

import contextlib
import csv
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, VersionExists
from covid_synth_data.files.atomic import output_errors, replacing
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.release import batches
from covid_synth_data.sources.table import unique_ids

if TYPE_CHECKING:
    import datasets

SIZES: Final = (28, 64, 128, 224)
"""The sides that MedMNIST has."""

PARTS: Final = {"train": "train", "validation": "val", "test": "test"}
"""Our names of parts and those of MedMNIST."""

METADATA: Final = "metadata.csv"
PICTURES: Final = ("image", "mask", "lungs")

Tick = Callable[[int, int], None]


def write_npz(
    data: datasets.Dataset | datasets.DatasetDict, path: str | Path, size: int = 224, tick: Tick | None = None
) -> None:
    """Write `train_images` uint8 (n, size, size), `train_labels` uint8 (n, 1), and so for `val` and `test`.

    Labels are the codes of the Dataset's `ClassLabel`; their names are in `label_names`. `size` is one of
    `SIZES`. Raises `ConfigError` for another size, part, and rows without a label, `VersionExists`,
    `BadImage`, `OutputError`.
    """
    out = Path(path)
    if size not in SIZES:
        raise ConfigError("no such size", found=str(size), expected="one of " + ", ".join(map(str, SIZES)))
    parts = _parts(data, out)
    names = _label_names(parts)
    total, done = sum(len(rows) for rows in parts.values()), 0
    with (
        replacing(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as file,
    ):
        for part, rows in parts.items():
            labels = []
            with file.open(f"{PARTS[part]}_images.npy", mode="w", force_zip64=True) as stream:
                # Batch by batch, so that memory does not grow with the set.
                shape = {"shape": (len(rows), size, size), "fortran_order": False, "descr": "|u1"}
                np.lib.format.write_array_header_1_0(stream, shape)
                for films, codes in batches.batches(rows, size=size):
                    stream.write(np.ascontiguousarray(films).tobytes())
                    labels.append(codes)
                    done += len(codes)
                    if tick is not None:
                        tick(done, total)
            _array(file, f"{PARTS[part]}_labels", np.concatenate(labels).astype(np.uint8)[:, None])
        _array(file, "label_names", np.array(names))


def write_image_folder(
    data: datasets.Dataset | datasets.DatasetDict,
    folder: str | Path,
    size: int | None = None,
    tick: Tick | None = None,
) -> None:
    """Write FOLDER/PART/LABEL/ID.png and FOLDER/PART/metadata.csv with all other columns.

    Images are 8-bit grey PNG of their own size, or resized to (size, size). Raises `ConfigError`,
    `VersionExists`, `BadImage`, `OutputError`.
    """
    out = Path(folder)
    parts = _parts(data, out)
    names = _label_names(parts)
    total, done = sum(len(rows) for rows in parts.values()), 0
    with _whole_or_none(out) as temporary:
        for part, rows in parts.items():
            records = []
            for record in _written(rows, temporary / part, names, size):
                records.append(record)
                done += 1
                if tick is not None:
                    tick(done, total)
            with (temporary / part / METADATA).open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, list(records[0]))
                writer.writeheader()
                writer.writerows(records)


def _written(rows: Any, folder: Path, names: Sequence[str], size: int | None) -> Iterator[dict[str, Any]]:
    """Write the images of a part, one after the other; of each its line of the table."""
    plain = _undecoded(rows)
    for file, row in zip(_files(plain), plain, strict=True):
        if row["label"] is None:
            raise ConfigError(
                f"the row {file} has no label", expected="a label on each row", hint="filter such rows out"
            )
        label = names[row["label"]]
        path = folder / label / f"{file}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(load_grey(row["image"], size), "png", 0))
        kept = {key: value for key, value in row.items() if key not in PICTURES}
        yield {"file_name": f"{label}/{path.name}", **kept, "label": label}


@contextlib.contextmanager
def _whole_or_none(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out`: it becomes `out` at the end, and is removed after an error or a stop."""
    temporary = out.parent / f".{out.name}.building"
    with output_errors(out):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            yield temporary
            temporary.rename(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _parts(data: Any, out: Path) -> dict[str, Any]:
    """The parts of `data` by their names. Raises `ConfigError`, `VersionExists`."""
    if out.exists():
        raise VersionExists(
            f"{out} is there already", expected="a new name", hint="remove it, or choose another"
        )
    parts = dict(data) if isinstance(data, Mapping) else {"train": data}
    for name, rows in parts.items():
        if name not in PARTS or not len(schema.rows(rows, "image", "label")):
            raise ConfigError(
                "a part that cannot be written",
                found=f"{name!r} of {len(rows)} rows",
                expected=f"rows in {', '.join(PARTS)}",
            )
    return parts


def _label_names(parts: Mapping[str, Any]) -> list[str]:
    """The names of the labels, the same in all parts. Raises `ConfigError`."""
    import datasets

    kinds = [rows.features["label"] for rows in parts.values()]
    if any(not isinstance(kind, datasets.ClassLabel) or kind.names != kinds[0].names for kind in kinds):
        raise ConfigError(
            "labels without one set of names", found=str(kinds)[:200], expected="one ClassLabel"
        )
    return list(kinds[0].names)


def _undecoded(rows: Any) -> Any:
    import datasets

    plain = schema.rows(rows, "image", "label")
    for name, kind in plain.features.items():
        if isinstance(kind, datasets.Image):
            plain = plain.cast_column(name, datasets.Image(decode=False))
    return plain


def _files(rows: Any) -> list[str]:
    """A name of a file, without its ending, for each row: of its `image_id`, each once."""
    ids = rows["image_id"][:] if "image_id" in rows.column_names else map(str, range(len(rows)))
    return unique_ids(
        [re.sub(r"[^A-Za-z0-9._-]+", "-", str(name)).lstrip(".")[:150] + ".png" for name in ids]
    )


def _array(file: zipfile.ZipFile, name: str, values: Any) -> None:
    with file.open(f"{name}.npy", mode="w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, values, allow_pickle=False)
