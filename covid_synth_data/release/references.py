"""References to releases: a folder, or ORG/NAME@v1.0.0 on the Hub (or in its cache)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from covid_synth_data.errors import ReleaseError
from covid_synth_data.release import hub

_REFERENCE: Final = re.compile(r"^(\w[\w.-]*/\w[\w.-]*)@v?([\w.]+)$")


def resolve(reference: str | Path, others: tuple[str, ...] = ()) -> Path:
    """The folder of a release; one on the Hub is fetched into the Hub's cache first, content checked.

    `reference` is a folder, "ORG/NAME@v1.0.0" or "ORG/NAME@latest". Manifest and shards are always fetched,
    of the other files those whose path begins with one of `others`. Raises `ReleaseError`, `HubError`,
    `CorruptRelease`.
    """
    folder = Path(reference)
    if folder.is_dir():
        return folder
    named = _REFERENCE.match(str(reference))
    if not named:
        raise ReleaseError(
            f"no release {str(reference)!r}",
            found="no such folder",
            expected="a release folder, or a version on the Hub as ORG/NAME@v1.0.0",
            hint="check the name",
        )
    repository, version = named[1], hub.resolve(named[1], named[2])
    subsets = hub.fetch(repository, version).listed.subsets
    return hub.fetch(repository, version, subsets, others).folder
