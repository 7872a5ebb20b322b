"""Which result files were checked before: known by their content and by the code that checked them.

Checking a file computes every metric again, with its bootstrap, which takes most of the time of a report. A
file whose bytes passed once under the same code, suites and libraries passes again. The notes of this are
empty files in the cache folder, named by digests. The gate of the leaderboard (`leaderboard.validate`) does
not use them.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final, TypeVar

from covid_synth_data.benchmark.results.base import Result, check, parse, read_bytes
from covid_synth_data.errors import OutputError
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.cache import cache_folder

AnyResult = TypeVar("AnyResult", bound=Result)

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_LOG: Final = logging.getLogger(__name__)


def checked_once(path: Path, model: type[AnyResult]) -> AnyResult:
    """The file at `path`, which must be of the kind of `model`, checked unless the same bytes were before.

    Raises `ResultError`.
    """
    content = read_bytes(path)
    result = parse(path, content, model)
    note = cache_folder() / "checked-results" / _code() / hashlib.sha256(content).hexdigest()
    if not note.is_file():
        check(path, result)
        try:
            write_text(note, "")
        except OutputError as error:  # the file is sound all the same; it is checked again next time
            _LOG.debug("%s", error)
    return result


@cache
def _code() -> str:
    """A digest of all that a check depends on besides the file: our modules, the suites, the libraries."""
    digest = hashlib.sha256()
    for name in ("numpy", "scipy", "pydantic"):
        digest.update(f"{name} {metadata.version(name)}\n".encode())
    files = [path for path in _PACKAGE.rglob("*") if path.suffix in (".py", ".toml")]
    for path in sorted(files):
        digest.update(str(path.relative_to(_PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]
