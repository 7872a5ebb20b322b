"""Trained generators on the Hub: their cards are read first, then the one weights file that is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from covid_synth_data.errors import UnknownName, WeightsError
from covid_synth_data.generators import weights

_REPOSITORY: Final = re.compile(r"^(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?$")


def is_repository(root: str | Path | None) -> bool:
    """Whether `root` reads as "ORG/NAME@REVISION" and is no folder here."""
    return "@" in str(root) and bool(_REPOSITORY.match(str(root))) and not Path(str(root)).exists()


def fetch(name: str, repository: str) -> Path:
    """The local copy of the weights of `name` in a dataset repository "ORG/NAME" or "ORG/NAME@REVISION".

    Kept in the cache of huggingface_hub, and found there without a network. Its checksum is verified when it
    is loaded. Raises `UnknownName` when the repository has no such generator, `WeightsError` when it cannot
    be read.
    """
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    parts = _REPOSITORY.match(repository)
    assert parts  # noqa: S101 - callers ask `is_repository`, or pass one of the catalog
    repo, revision = parts["id"], parts["revision"]
    try:
        folder = Path(
            snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=["weights/*.json"])
        )
        cards = {
            weights.read_card(path.with_suffix(".safetensors")).name: path
            for path in sorted((folder / "weights").glob("*.json"))
        }
        if name not in cards:
            raise UnknownName(f"trained generator in {repository}", name, cards)
        file = f"weights/{cards[name].stem}.safetensors"
        # By the commit of the cards: the repository may change between two requests.
        return Path(hf_hub_download(repo, file, repo_type="dataset", revision=folder.name))
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        lines = str(error).strip().splitlines()
        raise WeightsError(
            f"the weights of {name} cannot be read from {repository}",
            found=lines[0][:160] if lines else type(error).__name__,
            expected="a published repository and a network, or a copy in the cache",
            hint="give root= a release folder to read a local one",
        ) from error
