"""Result files kept together in an archive, `*.tar.xz`: a suite of hundreds of trainings weighs a tenth so.

A folder of results may hold archives beside files. They are unpacked once into the cache, by their content.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from covid_synth_data.errors import ResultError
from covid_synth_data.files.atomic import output_errors
from covid_synth_data.files.cache import cache_folder

SUFFIX: Final = ".tar.xz"

MOST_BYTES: Final = 4 * 1024**3
"""The largest sum of the files of an archive: a crafted one could fill the disk."""


def unpacked(folder: Path) -> list[Path]:
    """The folders that the archives below `folder` are unpacked in, one each, sorted by archive.

    `folder` may be an archive itself. Where it is neither, there are none.

    Only `*.json` files are unpacked. Raises `ResultError` for an archive that cannot be read or that names a
    file outside its own folder, `OutputError` where the cache cannot be written.
    """
    if folder.is_file() and folder.name.endswith(SUFFIX):
        return [_unpack(folder)]
    return [_unpack(archive) for archive in sorted(folder.rglob(f"*{SUFFIX}"))] if folder.is_dir() else []


def _unpack(archive: Path) -> Path:
    try:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(archive, str(error.strerror or error)) from error
    target = cache_folder() / "results" / digest[:32]
    if target.is_dir():
        return target
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all: a folder of the final name is complete.
        temporary = Path(tempfile.mkdtemp(dir=target.parent, suffix=".tmp"))
        try:
            _extract(archive, temporary)
            # Another process may have been faster: its folder holds the same files.
            if not target.is_dir():
                temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:xz") as tar:
            wanted = [one for one in tar.getmembers() if one.isfile() and one.name.endswith(".json")]
            if sum(member.size for member in wanted) > MOST_BYTES:
                raise _unreadable(archive, f"more than {MOST_BYTES // 1024**3} GiB")
            tar.extractall(folder, wanted, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise _unreadable(archive, str(error) or type(error).__name__) from error


def _unreadable(archive: Path, found: str) -> ResultError:
    return ResultError(
        f"cannot read the archive {archive}",
        found=found,
        expected=f"result files in a *{SUFFIX} that tar can read",
        hint="get the file again, or remove it",
    )
