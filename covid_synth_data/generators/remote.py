"""Trained generators on the Hub, at the tag of a version, each file compared with the release's manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from covid_synth_data.errors import HubError, UnknownName, WeightsError
from covid_synth_data.generators import weights
from covid_synth_data.release import hub

_REPOSITORY: Final = re.compile(r"^(?P<id>[\w.-]+/[\w.-]+)(@v?(?P<version>[\w.]+))?$")


def is_repository(root: str | Path | None) -> bool:
    """Whether `root` reads as "ORG/NAME@VERSION" and is no folder here."""
    return "@" in str(root) and bool(_REPOSITORY.match(str(root))) and not Path(str(root)).exists()


def fetch(name: str, repository: str) -> Path:
    """The local copy of the weights of `name` in a dataset repository "ORG/NAME" or "ORG/NAME@v1.0.0".

    Without a version the newest published is taken. The cards are fetched first, then the one weights file;
    both are kept in the cache, and found there without a network. Raises `UnknownName` when the release has
    no such generator, `WeightsError` when it cannot be read, `CorruptRelease` for a file that differs from
    the manifest.
    """
    parts = _REPOSITORY.match(repository)
    assert parts  # noqa: S101 - callers ask `is_repository`, or pass one of the catalog
    repo = parts["id"]
    try:
        version = hub.resolve(repo, parts["version"])
        snapshot = hub.fetch(repo, version)
        listed = [file.path for file in snapshot.listed.files if file.path.startswith("weights/")]
        cards = [path for path in listed if path.endswith(".json")]
        folder = hub.fetch(repo, version, others=cards).folder
        stems = [Path(path).with_suffix(".safetensors") for path in cards]
        by_name = {weights.read_card(folder / stem).name: stem.as_posix() for stem in stems}
        if name not in by_name:
            raise UnknownName(f"trained generator in {repo} v{version}", name, by_name)
        return hub.fetch(repo, version, others=(by_name[name],)).folder / by_name[name]
    except HubError as error:
        raise WeightsError(
            f"the weights of {name} cannot be read from {repository}",
            found=str(error).partition(" Next: ")[0].rstrip("."),
            expected="a published version and a network, or a copy in the cache",
            hint="give root= a release folder to read a local one",
        ) from error
