"""Atomic writing of files: a reader sees either the old content or the new content."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from covid_synth_data.errors import OutputError


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn `OSError` on writing below `path` into an `OutputError` that names it and the next step."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space and run the same command again",
            errno.EDQUOT: "free some space and run the same command again",
            errno.EACCES: "choose a folder that you may write to",
            errno.EROFS: "choose a folder that you may write to",
        }
        reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
        raise OutputError(
            f"cannot write {path}",
            found=reason,
            expected="a writable place with enough room",
            hint=hints.get(error.errno or 0, "check the path"),
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it over `path` when the block ends without an error.

    The file is flushed to disk before the move, so that a power cut leaves the old content or the new. On
    an error the temporary file is removed and `path` is untouched; those that killed processes left in the
    folder are removed too. Raises `OutputError`.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _swept:
            _swept.add(path.parent)
            remove_leftovers(path.parent)
        mark = f".{path.name[:40]}.{_host()}-{os.getpid()}."
        handle, name = tempfile.mkstemp(prefix=mark, suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            flush(temporary)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


_swept: set[Path] = set()
"""Folders that this process has looked through for leftovers: once is enough."""

_LEFTOVER: Final = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)\.[^.]+\.tmp", re.ASCII)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `replacing` that processes of this machine left when they were killed.

    Those of processes that live, and of other machines that share the folder, stay. Raises `OSError`.
    """
    for entry in os.scandir(folder):
        match = _LEFTOVER.fullmatch(entry.name)
        if match and match[1] == _host() and not _lives(int(match[2])):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                Path(entry.path).unlink()


@cache
def _host() -> str:
    """This machine, and this container of it, in eight letters."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _lives(pid: int) -> bool:
    """Whether a process of that number runs; always True on Windows, where asking would end it."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def flush(path: Path) -> None:
    """Flush the file `path` to the disk. Raises `OSError`.

    Windows flushes only what is open for writing.
    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text` (UTF-8, lines that end as in `text`). Raises `OutputError`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def copy_file(source: Path, path: Path) -> None:
    """Copy `source` over `path`, atomically. Raises `OutputError`."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)
