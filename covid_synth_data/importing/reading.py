"""The forms in which images come: a folder, a table beside a folder, a Hugging Face dataset, or an npz file.

Each reader lists all images and what is stated of them without decoding a pixel; `picture` then gives one
image at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from covid_synth_data import schema
from covid_synth_data.errors import BadImage, BadMetadata, ConfigError, MissingSource
from covid_synth_data.files.pixels import Grey, content_of
from covid_synth_data.importing.lineage import COLUMNS
from covid_synth_data.sources import disk
from covid_synth_data.sources.table import stem, unique_ids

NAME_COLUMNS: Final = ("file_name", "path", "image")
"""A table names the file of each image in the first of these columns that it has."""

METADATA: Final = "metadata.csv"
"""The table of an ImageFolder."""

Picture = Path | bytes | Grey


@dataclass(frozen=True)
class Row:
    """The statements about one image: `name` for messages, id and label ("" if not stated), and lineage."""

    name: str
    image_id: str = ""
    label: str = ""
    lineage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Images:
    """All images of a set: their form, what is stated of each, one picture by its number, and a digest that
    changes when the files do."""

    form: str
    rows: list[Row]
    picture: Callable[[int], Picture]
    digest: str


def read(path: Path) -> Images:
    """The images at `path`, whatever their form. Raises `MissingSource`, `BadMetadata`, `ConfigError`."""
    if path.is_dir():
        if (path / METADATA).is_file():
            return _csv(path / METADATA)
        if (path / "dataset_info.json").is_file() or (path / "state.json").is_file():
            return _saved_dataset(path)
        images = _folder(path)
        if images is not None:
            return images
        shards = sorted(path.rglob("*.parquet"))
        if shards:
            return _parquet(path, shards)
        raise ConfigError(
            f"no image in {path}",
            found="no image file, table or parquet shard",
            expected="images, folders of images named like labels, metadata.csv, or a Hugging Face dataset",
            hint="check the path",
        )
    if not path.is_file():
        raise MissingSource(
            f"no file or folder {path}",
            expected="a folder, a .csv or .parquet table, or a .npz file",
            hint="check the path",
        )
    readers: dict[str, Callable[[Path], Images]] = {".csv": _csv, ".npz": _npz}
    if path.suffix == ".parquet":
        return _parquet(path.parent, [path])
    if path.suffix not in readers:
        raise ConfigError(
            f"{path} is of no known form",
            found=path.suffix or "no ending",
            expected="a folder, a .csv or .parquet table, or a .npz file",
        )
    return readers[path.suffix](path)


def _folder(folder: Path) -> Images | None:
    """Images directly in the folder, or in folders named like labels; None where there are none."""
    direct = disk.list_images(folder)
    if direct:
        files = [(name, "") for name in direct]
    else:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        files = [(f"{part.name}/{name}", part.name) for part in below for name in disk.list_images(part)]
    if not files:
        return None
    ids = unique_ids([name.replace("/", "-") for name, _ in files])
    rows = [Row(name, identity, label) for (name, label), identity in zip(files, ids, strict=True)]
    paths = [_inside(folder, name, str(folder)) for name, _ in files]
    return Images("folder", rows, lambda index: paths[index], _digest(paths))


def _csv(table: Path) -> Images:
    """A CSV table that names image files relative to its own folder."""
    records = disk.read_table(table, ())
    columns = list(records[0].values) if records else []
    name_column = _name_column(str(table), columns)
    broken = next((record for record in records if record.broken), None)
    if broken is not None:
        raise BadMetadata(f"{table}, row {broken.row} does not fit the header", hint="mend that row")
    rows, paths = [], []
    for record in records:
        name = record.values[name_column]
        paths.append(_inside(table.parent, name, f"{table}, row {record.row}"))
        rows.append(_stated(name, record.values, stem(name)))
    return Images("table", rows, lambda index: paths[index], _digest([table, *paths]))


def _name_column(where: str, columns: Iterable[str]) -> str:
    """The column with the names of files. Raises `BadMetadata` where there is none."""
    columns = list(columns)
    column = next((name for name in NAME_COLUMNS if name in columns), None)
    if column is None:
        raise BadMetadata(
            f"{where} does not name the images",
            found="columns " + (", ".join(columns)[:200] or "none"),
            expected=f"a column {' or '.join(NAME_COLUMNS)}",
            hint="name the column that holds the file of each image so",
        )
    return column


def _stated(name: str, values: Mapping[str, Any], identity: str) -> Row:
    """The statements of a row of a table about an image."""
    lineage = {key: values[key] for key in COLUMNS if values.get(key) not in (None, "")}
    if "seed" in lineage:
        try:
            lineage["seed"] = int(lineage["seed"])
        except ValueError as error:
            raise BadMetadata(
                f"the seed of {name} is no number", found=str(lineage["seed"])[:40], expected="a whole number"
            ) from error
    label = values.get("label")
    return Row(name, str(values.get("image_id") or identity), "" if label is None else str(label), lineage)


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file `name` of `folder`. Raises `BadMetadata` for a path that leaves the folder."""
    path = folder / name
    if not name or "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
        raise BadMetadata(
            f"{where} names a file outside its folder",
            found=repr(name)[:120],
            expected=f"a file below {folder}",
            hint="copy the images into the folder",
        )
    return path


def _digest(paths: Iterable[Path]) -> str:
    """A digest of names, sizes and times. Raises `BadImage` for a file that is not there."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise BadImage(
                f"no file {path}", expected="an image", hint="check the name in the table"
            ) from error
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _parquet(folder: Path, shards: list[Path]) -> Images:
    """Parquet shards with a column of images (encoded bytes) or of file names relative to `folder`."""
    import datasets

    files = [str(path) for path in shards]
    try:
        rows = datasets.load_dataset("parquet", data_files=files, split="train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise BadMetadata(
            f"{shards[0]} cannot be read", found=str(error).splitlines()[0][:200], expected="a parquet table"
        ) from error
    return _dataset(rows, folder, str(shards[0]), _digest(shards))


def _saved_dataset(folder: Path) -> Images:
    """A folder that `Dataset.save_to_disk` wrote."""
    import datasets

    try:
        rows = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise BadMetadata(
            f"{folder} cannot be read", found=str(error).splitlines()[0][:200], expected="a saved dataset"
        ) from error
    return _dataset(rows, folder, str(folder), _digest(sorted(folder.rglob("*.arrow"))))


def _dataset(rows: Any, folder: Path, where: str, digest: str) -> Images:
    import datasets

    name_column = _name_column(where, rows.column_names)
    kind = rows.features.get("label")
    names = kind.names if isinstance(kind, datasets.ClassLabel) else None
    if isinstance(rows.features[name_column], datasets.Image | dict):
        pictures = rows.cast_column(name_column, datasets.Image(decode=False)).select_columns([name_column])

        def picture(index: int) -> Picture:
            return content_of(pictures[index][name_column], shown[index])

        shown = [f"{where}, row {number}" for number in range(len(rows))]
        identities = [f"{number:06d}" for number in range(len(rows))]
    else:
        shown = [str(name) for name in rows[name_column]]
        paths = [_inside(folder, name, where) for name in shown]
        identities = [stem(name) for name in shown]

        def picture(index: int) -> Picture:
            return paths[index]

    columns = [name for name in (*COLUMNS, "label", "image_id") if name in rows.column_names]
    stated = []
    table = rows.select_columns(columns)[:] if columns else {}
    for number, (name, identity) in enumerate(zip(shown, identities, strict=True)):
        values = {column: table[column][number] for column in columns}
        if names is not None and values["label"] is not None:
            values["label"] = names[values["label"]]
        stated.append(_stated(name, values, identity))
    return Images("dataset", stated, picture, digest)


def _npz(path: Path) -> Images:
    """Arrays: `images` uint8 (n, height, width) or (n, height, width, 3), and perhaps `labels` (n,)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files if name in ("images", "labels")}
            arrays = ", ".join(file.files)
    except (OSError, ValueError, EOFError) as error:
        raise BadMetadata(f"{path} cannot be read", found=str(error)[:200], expected="arrays") from error
    if "images" not in content:
        raise BadMetadata(f"{path} has no array images", found=arrays or "none", expected="images, labels")
    images = content["images"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise BadMetadata(
            f"{path} holds images of a wrong kind",
            found=f"{images.dtype} {images.shape}",
            expected="uint8 (n, height, width) or (n, height, width, 3)",
        )
    labels = [_npz_label(value) for value in content.get("labels", np.full(len(images), "")).reshape(-1)]
    if len(labels) != len(images):
        raise BadMetadata(f"{path}: labels do not fit", found=str(len(labels)), expected=str(len(images)))
    rows = [Row(f"{path}, image {n}", f"{n:06d}", label) for n, label in enumerate(labels)]
    return Images("npz", rows, lambda index: images[index], _digest([path]))


def _npz_label(value: Any) -> str:
    """A label as text; whole numbers are codes of `schema.LABELS`."""
    if isinstance(value, np.integer):
        code = int(value)
        return schema.LABELS[code] if 0 <= code < len(schema.LABELS) else str(code)
    return str(value)
