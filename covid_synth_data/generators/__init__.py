"""Generator networks by name, and trained generators as "name.tag".

    generators.list()                                         what can be loaded here
    translator = generators.load("cyclegan-unet.quickstart", root="releases/covid-synth-cxr")
    covid = translator.translate(films)                       uint8 (n, h, w) -> uint8 (n, h, w)
    sampler = generators.load("wgan.v1")
    covid = sampler.sample(100, seed=0)                       uint8 (100, size, size), image i from (seed, i)
    slices = generators.load("ct-global-local.cpu").translate(maps)   uint8 (n, h, w), labels 0 to 3

Weights are safetensors files with a JSON file of the same name beside them (`weights.Card`); nothing else
is ever loaded. A new architecture is one module here and one line in `ARCHITECTURES`.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data.errors import ConfigError, MissingExtra, UnknownName

if TYPE_CHECKING:
    from torch import nn

    from covid_synth_data.generators.trained import Trained

ARCHITECTURES: Final[Mapping[str, str]] = {
    "cyclegan-unet": "cyclegan:UNetGenerator",
    "cyclegan-resnet": "cyclegan:ResNetGenerator",
    "baseline-gan": "menon:MenonGenerator",
    "transfer-gan": "menon:MenonGenerator",
    "mtt-gan": "menon:MenonGenerator",
    "wgan": "wgan:WGANGenerator",
    "dcgan": "dcgan:DCGANGenerator",
    "acgan": "acgan:ACGANGenerator",
    "iagan": "iagan:IAGANGenerator",
    "diffaug-gan": "diffaug:DiffAugGenerator",
    "ct-global-local": "ct_global_local:GlobalLocalGenerator",
    "pix2pix": "pix2pix:Pix2PixGenerator",
    "pix2pixhd": "pix2pixhd:Pix2PixHDGenerator",
    "spade": "spade:SPADEGenerator",
    "sean": "sean:SEANGenerator",
}
"""Architecture name to "module:class" in this package."""


def build(architecture: str, **options: Any) -> nn.Module:
    """A network with fresh weights. Raises `UnknownName`, `ConfigError` on wrong options, `MissingExtra`."""
    if architecture not in ARCHITECTURES:
        raise UnknownName("generator", architecture, ARCHITECTURES)
    module, _, attribute = ARCHITECTURES[architecture].partition(":")
    try:
        found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "generation") from error
    try:
        network: nn.Module = found(**options)
    except TypeError as error:
        raise ConfigError(
            f"wrong options for the generator {architecture!r}", found=str(options), expected=str(error)
        ) from error
    return network


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
