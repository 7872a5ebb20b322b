"""Find the weights of a trained generator: on this machine, in the wheel, on the Hub (without torch)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from covid_synth_data import catalog
from covid_synth_data.errors import UnknownName, WeightsError
from covid_synth_data.generators import remote, weights
from covid_synth_data.release import places

BUNDLED: Final = Path(__file__).resolve().parents[1] / "weights"
"""Weights that travel in the wheel; a checkout has its `releases/` instead."""


def find(root: str | Path | None = None) -> Mapping[str, Path]:
    """Names "architecture.tag" to weights files: in the release `root`, or anywhere on this machine.

    Without `root` these are the places of `release.places` (cache, checkout, named folders), the checkout's
    `releases/weights` (trained generators of which nothing is released), then the wheel.
    """
    if root is not None:
        folders = [Path(root).expanduser()]
    else:
        folders = [folder for name in catalog.REPOSITORIES for _, folder in places.candidates(name)]
        folders += [places.CHECKOUT / "weights", BUNDLED]
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted([*folder.glob("*.safetensors"), *folder.glob("weights/*.safetensors")]):
            if path.with_suffix(".json").is_file():
                paths.setdefault(weights.read_card(path).name, path)
    return paths


def locate(name: str, root: str | Path | None = None) -> Path:
    """The weights file of `name`: in the folder `root`, the repository `root`, the checkout, or on the Hub.

    Raises `UnknownName`, `WeightsError`.
    """
    if remote.is_repository(root):
        return remote.fetch(name, str(root))
    local = find(root)
    if name in local:
        return local[name]
    if root is not None or difflib.get_close_matches(name, local, n=1):
        raise UnknownName("trained generator", name, local)
    tried = [f"{', '.join(local) or 'none'} on this machine"]
    for repository in catalog.REPOSITORIES.values():
        try:
            return remote.fetch(name, repository)
        except UnknownName:
            tried.append(f"others in {repository}")
        except WeightsError:
            tried.append(f"{repository} out of reach")
    raise WeightsError(
        f"no trained generator {name!r}",
        found=", ".join(tried),
        expected="a name that covid_synth_data.generators.list() gives, or one on the Hub",
        hint="give the release folder that holds it (root=, or --release)",
    )
