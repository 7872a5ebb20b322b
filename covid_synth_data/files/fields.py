"""Types of the fields that come from a file or a server: what a name, a note, a path and a size may be.

Models take their strings and numbers from here, so that a crafted file is refused where it is read. Text is
one line of printable characters: no control characters, no line ends, no changes of the writing direction.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_PRINTS: Final = r"^[^\p{C}\p{Zl}\p{Zp}]*$"
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9+._@-]*$"

WORDS: Final = {
    _PRINTS: "one line of printable characters",
    _NAME: "a name of letters, digits and + . _ @ -, the first a letter or digit",
    r"^[0-9a-f]{64}$": "a sha256 of 64 hexadecimal digits",
    r"^\d+\.\d+\.\d+$": "a version X.Y.Z",
}
"""What a pattern asks for, in the words of an error."""

MAX_SIDE: Final = 2048
"""Pixels on a side of a generated image that are believed at most; ours have up to 512."""

Line = Annotated[str, Field(pattern=_PRINTS, max_length=2000)]
"""A note, a licence, a title."""

Identifier = Annotated[str, Field(pattern=_PRINTS, max_length=500)]
"""The id of an image or a patient."""

Name = Annotated[str, Field(pattern=_NAME, max_length=200)]
"""A name that becomes part of a file name."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
"""Pixels on a side of an image."""


def _stays_inside(path: str) -> str:
    parts = PurePosixPath(path)
    drive = len(path) > 1 and path[1] == ":"
    if parts.is_absolute() or drive or ".." in parts.parts or not parts.parts or "\\" in path:
        raise ValueError("a path inside the release")
    if str(parts) != path:
        raise ValueError("the shortest spelling of a path inside the release")
    return path


PathInside = Annotated[str, Field(pattern=_PRINTS, max_length=1000), AfterValidator(_stays_inside)]
"""A POSIX path relative to the folder of the file that names it, which it never leaves."""
