"""Generator networks by name, and trained generators as "name.tag".

    generators.list()                                         what can be loaded here
    translator = generators.load("cyclegan-unet.quickstart", root="releases/covid-synth-cxr")
    covid = translator.translate(films)                       uint8 (n, h, w) -> uint8 (n, h, w)
    sampler = generators.load("wgan.v1")
    covid = sampler.sample(100, seed=0)                       uint8 (100, size, size), image i from (seed, i)
    slices = generators.load("ct-global-local.windows").translate(maps)   uint8 (n, h, w), labels 0 to 3

Weights are safetensors files with a JSON file of the same name beside them (`weights.Card`); nothing else
is ever loaded. A new architecture is one module here and one line in `registry.ARCHITECTURES`.
"""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING

from covid_synth_data.errors import MissingExtra
from covid_synth_data.generators.registry import ARCHITECTURES, build

if TYPE_CHECKING:
    from covid_synth_data.generators.trained import Trained

__all__ = ["ARCHITECTURES", "build", "list", "load"]


def list(root: str | Path | None = None) -> builtins.list[str]:
    """Names "architecture.tag" of the trained generators in the release folder `root`, or on this machine."""
    from covid_synth_data.generators import search

    return sorted(search.find(root))


def load(name: str, root: str | Path | None = None, device: str = "auto") -> Trained:
    """The trained generator `name`, its checksum verified, on `device` ("auto", "cpu", "cuda", "cuda:1").

    A `Translator` turns films into films, a `Sampler` noise into films, a `LabelTranslator` label maps into
    CT slices. `root` is a release folder, a folder that holds weights, or a repository as "ORG/NAME@v1.0.0";
    without it this machine is searched (`release.places`), then the repositories of `catalog.REPOSITORIES`
    on the Hub. Raises `UnknownName`, `WeightsError`, `MissingExtra`.
    """
    try:
        from covid_synth_data.generators import trained
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "generation") from error
    return trained.load(name, root, device)
