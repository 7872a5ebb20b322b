"""Whether the files of a release are what its manifest says: one answer for all who ask.

Loading, fetching, `verify`, publishing and reproducing all call `difference`. Loading asks for the quick
part (place, size, rows, columns); the others compare the content too.

A manifest that names fewer films or patients than the card of the weights could hide that test films were
trained on. `verify` compares the two, and so does `trained_on`, which benchmarks call before they trust a
release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.escaping import terminal
from covid_synth_data.files import lfs
from covid_synth_data.release import manifest

if TYPE_CHECKING:
    import pyarrow.parquet as pq

HASHED: Final = 4
"""Files that are hashed at a time."""


NEEDED: Final = ("image", "image_id", "subset")
"""Columns that a shard of any version has."""

MAX_UNPACKED: Final = 2 * 2**30
"""Bytes that a row group may unpack to. Ours have 256 images, some 10 MB."""

MAX_RATIO: Final = 200
"""How much a row group above a few megabytes may shrink by compression; images hardly shrink at all."""

_SMALL: Final = 8 * 2**20


_CRLF: Final = "line ends changed to CRLF"
_MAX_TEXT: Final = 16 * 2**20


class Difference(NamedTuple):
    """How a file differs from its entry in the manifest: what was found, and what was expected."""

    found: str
    expected: str

    @property
    def hint(self) -> str:
        """The next step."""
        if self.found == lfs.FOUND:
            return lfs.HINT
        if self.found == _CRLF:
            return "git config core.autocrlf false in that clone, then check its files out again"
        return "fetch the release again, or run covid-synth verify"


def difference(folder: Path, file: manifest.File, *, content: bool = True) -> Difference | None:
    """How the file of `folder` that `file` describes differs from it; None where it does not.

    Compares the place (no symbolic link leads out of the release) and the size, with `content` the sha256
    of every byte, and for a shard its rows and columns.
    """
    path = folder / file.path
    if not manifest.is_inside(folder, file.path):
        return Difference("a symbolic link", "a file of the release")
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            return Difference("no file", "a file of the release")
        if size != file.size:
            found = lfs.FOUND if lfs.is_pointer(path) else f"{size:,} bytes"
            found = _CRLF if content and _has_crlf(path, file) else found
            return Difference(found, f"{file.size:,} bytes")
        with path.open("rb") as handle:
            digest = sha256(handle) if content else file.sha256
            if digest != file.sha256:
                return Difference(f"sha256 {digest[:12]}", f"sha256 {file.sha256[:12]}")
            return _read_form(handle, file.rows) if file.rows is not None else None
    except OSError as error:
        return Difference((error.strerror or str(error)).lower(), "a readable file")


def _has_crlf(path: Path, file: manifest.File) -> bool:
    """Whether a text is as released but for its line ends, which git changes in some checkouts."""
    if file.rows is not None or path.stat().st_size > _MAX_TEXT:
        return False
    text = path.read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(text).hexdigest() == file.sha256


def _read_form(handle: IO[bytes], rows: int) -> Difference | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        handle.seek(0)
        problem = _unlike(pq.read_metadata(handle), rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        return Difference((str(error).splitlines() or [type(error).__name__])[0], "a parquet file")
    return Difference(*problem) if problem else None


def _unlike(metadata: pq.FileMetaData, rows: int) -> tuple[str, str] | None:
    """The fault in the metadata of a shard, as (found, expected); None where all is well."""
    import pyarrow as pa

    if metadata.num_rows != rows:
        return f"{metadata.num_rows} rows", f"{rows}"
    if metadata.num_rows > manifest.MAX_ROWS:
        return f"{metadata.num_rows} rows", f"at most {manifest.MAX_ROWS}"
    columns = metadata.schema.to_arrow_schema()
    missing = [name for name in NEEDED if name not in columns.names]
    if missing:
        return f"columns {', '.join(columns.names)[:120]}", f"{', '.join(NEEDED)} among them"
    image = columns.field("image").type
    if not pa.types.is_struct(image) or {field.name for field in image} != {"bytes", "path"}:
        return f"the column image of type {str(image)[:80]}", "struct<bytes: binary, path: string>"
    for name in NEEDED[1:]:
        if not pa.types.is_string(columns.field(name).type):
            return f"the column {name} of type {str(columns.field(name).type)[:80]}", "string"
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        packed = sum(group.column(i).total_compressed_size for i in range(group.num_columns))
        unpacked = group.total_byte_size
        if unpacked > MAX_UNPACKED or unpacked > max(_SMALL, MAX_RATIO * packed):
            return f"a row group that unpacks from {packed:,} to {unpacked:,} bytes", "pictures"
    return None


def sha256(file: IO[bytes]) -> str:
    """The sha256 of an open file. It is read in large pieces: between two of them other threads may run."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 22))
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
    return digest.hexdigest()


class _Training(BaseModel):
    learned_from: manifest.Learned


class _Card(BaseModel):
    """The part of a weights card that is compared; the whole model is `generators.weights.Card`."""

    sha256: str
    training: _Training


def card_path(subset: manifest.Subset) -> str | None:
    """The path of the card of a subset's weights in the release; None where it has no weights."""
    return str(PurePosixPath(subset.weights).with_suffix(".json")) if subset.weights else None


def trained_on(folder: Path, listed: manifest.Manifest, name: str) -> manifest.Learned:
    """The films and patients that the generator of subset `name` was trained on.

    `folder` holds the release with the manifest `listed`, and at least the card of the subset's weights
    (`card_path`). Raises `CorruptRelease` where the card is missing or changed, or where the manifest names
    other films or patients than the card.
    """
    problem = training_difference(folder, listed, name)
    if problem:
        raise CorruptRelease(
            f"the manifest of {folder} cannot be trusted about the training of {name!r}",
            found=problem.found,
            expected=problem.expected,
            hint="fetch the release again",
        )
    return listed.subsets[name].learned_from


def training_difference(folder: Path, listed: manifest.Manifest, name: str) -> Difference | None:
    """How `learned_from` of subset `name` differs from the card of its weights; None where it does not."""
    subset = listed.subsets[name]
    path, files = card_path(subset), {file.path: file for file in listed.files}
    if path is None:
        return None
    if path not in files or subset.weights not in files:
        return Difference("weights that the manifest does not list", f"{subset.weights} and {path}")
    problem = difference(folder, files[path])
    if problem:
        return Difference(f"{path}: {problem.found}", problem.expected)
    try:
        card = _Card.model_validate_json((folder / path).read_bytes())
    except (OSError, ValidationError) as error:
        return Difference(f"{path}: {str(error).splitlines()[0]:.80}", "the card of the weights")
    if card.sha256 != files[subset.weights].sha256:
        return Difference(f"{path} is the card of other weights", f"that of {subset.weights}")
    for kind in ("films", "patients"):
        named = set(getattr(subset.learned_from, kind))
        known = set(getattr(card.training.learned_from, kind))
        if named != known:
            return Difference(
                f"{len(named)} {kind}, not e.g. {min(named ^ known)}", f"the {len(known)} of {path}"
            )
    return None


@dataclass
class Report:
    """The files that `verify` read, and one line per problem; without problems the release is whole."""

    files: int = 0
    size: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """True when no problem was found."""
        return not self.problems


def verify(folder: str | Path, progress: Callable[[int, int], None] | None = None) -> Report:
    """Check every byte and every count of a release against its manifest; each file is read once.

    The check finds changed, missing, cut and added files, symbolic links, subsets whose shards do not add up
    to the rows of the manifest, shards of subsets that it does not describe, and subsets whose manifest and
    card name different training films. `progress` gets (bytes read, all bytes). Raises `ReleaseError` when
    `folder` is no release.
    """
    folder = Path(folder).expanduser()
    listed = manifest.read(folder)
    report = Report()
    total = sum(file.size for file in listed.files)
    unlike: set[str] = set()
    with ThreadPoolExecutor(HASHED) as pool:
        answers = pool.map(lambda file: difference(folder, file), listed.files)
        for file, problem in zip(listed.files, answers, strict=True):
            report.files += 1
            report.size += file.size
            if problem:
                unlike.add(file.path)
                cure = f"; {problem.hint}" if problem.found in (lfs.FOUND, _CRLF) else ""
                report.problems.append(
                    f"{file.path}: found {problem.found}, expected {problem.expected}{cure}"
                )
            if file.subset:
                report.rows[file.subset] = report.rows.get(file.subset, 0) + (file.rows or 0)
            if progress:
                progress(report.size, total)
    report.problems += [f"{path}: not in the manifest" for path in _strangers(folder, listed)]
    for name in sorted(report.rows.keys() - listed.subsets.keys()):
        report.problems.append(
            f"{name}: found {report.rows[name]} rows, expected what the manifest says of them"
        )
    for name, subset in listed.subsets.items():
        if report.rows.get(name, 0) != subset.rows:
            report.problems.append(f"{name}: found {report.rows.get(name, 0)} rows, expected {subset.rows}")
        # A card that differs is reported above; what it says of the training cannot be compared.
        problem = None if card_path(subset) in unlike else training_difference(folder, listed, name)
        if problem:
            report.problems.append(f"{name}: found training on {problem.found}, expected {problem.expected}")
    report.problems = [terminal(problem) for problem in report.problems]
    return report


def _strangers(folder: Path, listed: manifest.Manifest) -> list[str]:
    """Files below `folder` that the manifest does not list; hidden ones (.git, .cache) are no part of it."""
    known = {file.path for file in listed.files} | {manifest.NAME}
    there = (path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    names = (path.relative_to(folder) for path in there)
    visible = (name for name in names if not any(part.startswith(".") for part in name.parts))
    return [name.as_posix() for name in visible if name.as_posix() not in known]
