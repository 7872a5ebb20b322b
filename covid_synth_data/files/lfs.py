"""Pointers of Git LFS: small text files that a clone without `git lfs` has instead of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1024
_START: Final = b"version https://git-lfs.github.com/spec/"

FOUND: Final = "a pointer of Git LFS, not the file"
HINT: Final = "git lfs install, then git lfs pull in that clone"


def is_pointer(file: str | Path | bytes) -> bool:
    """Whether this is a pointer of Git LFS; False for what cannot be read."""
    if isinstance(file, bytes):
        return len(file) <= MAX_BYTES and file.startswith(_START)
    try:
        with Path(file).open("rb") as handle:
            return handle.read(MAX_BYTES).startswith(_START)
    except (OSError, ValueError):
        return False
