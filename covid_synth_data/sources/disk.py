"""Finding a set below a root, listing its images, and reading its tables, whatever state they are in."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from covid_synth_data.errors import BadMetadata, MissingSource, SourceError
from covid_synth_data.files import pixels
from covid_synth_data.files.dicom import DICOM_SUFFIXES
from covid_synth_data.sources.info import SourceInfo
from covid_synth_data.sources.table import stem

ENVIRONMENT: Final = "COVID_SYNTH_SOURCES"
IMAGE_SUFFIXES: Final = tuple(ending for ending in pixels.SUFFIXES if ending not in DICOM_SUFFIXES)
"""Endings of films that are pictures and not DICOM."""

_HIDDEN: Final = ("__macosx", "@eadir", "$recycle.bin", "system volume information")
"""Folders that archivers and file systems leave, besides all names that begin with a dot."""

MAX_TABLE_BYTES: Final = 64 * 1024 * 1024
"""The largest metadata of a set here has 0.6 MB; what is far above that is not it."""


def resolve_root(root: str | Path | None) -> Path | None:
    """`root`, or what the environment variable COVID_SYNTH_SOURCES names, as an absolute folder.

    None when neither is given. Raises `MissingSource` when the folder does not exist.
    """
    given = root if root is not None else os.environ.get(ENVIRONMENT) or None
    if given is None:
        return None
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir():
        raise MissingSource(
            f"no folder {folder}",
            expected="the folder that holds the sets" + ("" if root is not None else f" in {ENVIRONMENT}"),
            hint="check the path; `covid-synth sources` says how to obtain each set",
        )
    return folder


def find(info: SourceInfo, root: Path) -> Path | None:
    """The folder of the set: `root` itself, a folder of one of its names below it, or None.

    Archives are often unpacked into a folder of the same name once more; the inner one is taken then.
    """
    named = [root / name for name in info.folders]
    if root.name in info.folders:
        named.append(root)
    candidates = [*named, *(folder / folder.name for folder in named), root]
    for folder in candidates:
        if folder == root and root.name not in info.folders and not _has_columns(info, root):
            continue
        for markers in (info.markers, info.other_markers):
            if markers and all((folder / marker).exists() for marker in markers):
                return folder
    return next((folder for folder in named if folder.is_dir()), None)


def _has_columns(info: SourceInfo, folder: Path) -> bool:
    """Whether the table of `folder` is of this set, by its header; True for a set that is known without."""
    if not info.columns:
        return True
    try:
        with (folder / info.markers[0]).open(encoding="utf-8-sig", errors="replace", newline="") as file:
            header = next(csv.reader(file), [])
    except (OSError, csv.Error):
        return False
    return set(info.columns) <= {name.strip() for name in header}


def locate(info: SourceInfo, root: Path) -> Path:
    """Like `find`, but raises `MissingSource` saying how to obtain the set."""
    folder = find(info, root)
    if folder is None:
        raise missing(info, f"{root} without it")
    return folder


def missing(info: SourceInfo, found: str) -> MissingSource:
    """The error for a set that is not there: what to download and where to put it."""
    return MissingSource(
        f"the set {info.name} is not there",
        found=found,
        expected=f"a folder named {' or '.join(info.folders)} in the root",
        hint=f"{info.how_to_obtain.rstrip('.')}; {info.homepage}",
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is what archivers and file systems leave, not a part of a set."""
    return name.startswith(".") or name.casefold() in _HIDDEN


def films_below(folder: Path) -> list[Path]:
    """All films in `folder` and the folders in it, by the rules of `list_images`, in natural order."""
    paths = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        inside = Path(place).relative_to(folder)
        paths += [inside / name for name in names if not is_hidden(name) and _is_film(name)]
    return [folder / path for path in sorted(paths, key=lambda path: natural(path.as_posix()))]


def _is_film(name: str) -> bool:
    return name.lower().endswith(pixels.SUFFIXES)


def check_layout(info: SourceInfo, folder: Path, unknown: Sequence[bool], example: str) -> None:
    """Raise `SourceError` where all files of a set have names of no known form."""
    if unknown and all(unknown):
        raise SourceError(
            f"the layout of {info.name} in {folder} is not known",
            found=f"{len(unknown)} files, e.g. {example}",
            expected="file names as in a published version of the set",
            hint=info.how_to_obtain,
        )


def class_folders(folder: Path, names: Sequence[str]) -> list[Path]:
    """The folders below `folder` with one of these names, case, spaces, "_" and "-" aside, in order."""
    wanted = {_plain(name) for name in names}
    return sorted(path for path in folder.iterdir() if path.is_dir() and _plain(path.name) in wanted)


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.casefold())


def list_images(folder: Path, suffixes: tuple[str, ...] = pixels.SUFFIXES) -> list[str]:
    """The names of the image files directly in `folder`, in natural order; [] where there is no such folder.

    One pass over the folder, no file is opened. Hidden files are left out: they are what archivers leave.
    """
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.lower().endswith(suffixes) and not is_hidden(entry.name) and entry.is_file()
            ]
    except OSError as error:
        raise SourceError(
            f"cannot list {folder}",
            found=str(error.strerror).lower(),
            expected="a readable folder",
            hint="check its permissions",
        ) from error
    return sorted(names, key=natural)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which "film-2" comes before "film-10"."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name.casefold())
    return (*((0, int(digits), "") if digits else (1, 0, text) for digits, text in parts), (2, 0, name))


def match(wanted: Sequence[str], present: Iterable[str]) -> list[str]:
    """For each wanted file name the name of the file that is there, or "".

    Exact names first; then names that differ in case; then, among files that nobody took, those of the same
    stem with another extension (people convert sets to PNG or JPEG). A wanted name of "" matches nothing.
    """
    files = list(present)
    exact = set(files)
    matched = [name if name in exact else "" for name in wanted]
    for key in (str.casefold, _folded_stem):
        free = set(files).difference(matched)
        by_key = {key(name): name for name in sorted(free, reverse=True)}
        matched = [
            got or (by_key.get(key(name), "") if name else "")
            for got, name in zip(matched, wanted, strict=True)
        ]
    return matched


def _folded_stem(name: str) -> str:
    return stem(name).casefold()


def safe_name(name: str) -> bool:
    """Whether `name` is a plain file name: no folders, no drive, no control characters."""
    return name not in (".", "..") and not re.search(r"[/\\:]|[\x00-\x1f\x7f]", name) and len(name) <= 255


@dataclass(frozen=True)
class Record:
    """A row of a table: `row` counts from 1 with the header as row 1, `values` are stripped cells.

    `broken` says that the number of cells differs from the header's, or that a cell has control characters.
    """

    row: int
    values: dict[str, str]
    broken: bool

    def number(self, column: str, low: float, high: float) -> float | None:
        """The cell as a number within [low, high]; None where it is absent, no number, or implausible."""
        try:
            value = float(self.values.get(column, ""))
        except ValueError:
            return None
        return value if low <= value <= high else None


def read_table(
    path: Path, required: Sequence[str], delimiter: str = ",", hint: str | None = None
) -> list[Record]:
    """All rows of a CSV file with a header, in file order. Unnamed and unknown columns are allowed.

    A row that does not fit the header is returned with `broken` set, so that the caller can say why it is
    not used. Raises `MissingSource` where there is no such file, and `BadMetadata` naming the file, the row
    and the column where it is not UTF-8, is no CSV, or lacks a required column. `hint` is the next step where
    the file or a column is missing.
    """
    if not path.is_file():
        raise MissingSource(
            f"no file {path}", expected="the metadata of the set", hint=hint or "download it again, complete"
        )
    text = _decode(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise BadMetadata(
            f"{path}, line {reader.line_num} is no CSV", found=str(error), hint="download the file again"
        ) from error
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    for column in required:
        if header.count(column) != 1:
            raise BadMetadata(
                f"{path}, line 1 has {header.count(column)} columns named {column!r}",
                found=", ".join(header)[:200] or "an empty file",
                expected="one column of each of " + ", ".join(required),
                hint=hint or "download the file again",
            )
    return [_record(number, header, cells) for number, (_, cells) in enumerate(rows[1:], start=2)]


def _record(row: int, header: list[str], cells: list[str]) -> Record:
    extra = any(cell.strip() for cell in cells[len(header) :])
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}
    control = any(re.search(r"[\x00-\x08\x0e-\x1f\x7f]", cell) for cell in values.values())
    return Record(row, values, broken=extra or len(cells) < len(header) or control)


def _decode(path: Path) -> str:
    """The text of the file, UTF-8 with or without a byte order mark."""
    size = path.stat().st_size
    if size > MAX_TABLE_BYTES:
        raise BadMetadata(
            f"{path} is no metadata table",
            found=f"{size:,} bytes",
            expected=f"at most {MAX_TABLE_BYTES:,}",
            hint="download the file again",
        )
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = content.count(b",", content.rfind(b"\n", 0, error.start) + 1, error.start) + 1
        raise BadMetadata(
            f"{path}, line {line}, about column {column} is not UTF-8",
            found=f"byte 0x{content[error.start]:02x}",
            expected="UTF-8 text",
            hint="download the file again, do not save it from a spreadsheet program",
        ) from error
