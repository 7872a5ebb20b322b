"""The networks of the generators, by the name of their architecture."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data.errors import ConfigError, MissingExtra, UnknownName

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES: Final[Mapping[str, str]] = {
    "cyclegan-unet": "cyclegan:UNetGenerator",
    "cyclegan-unet-original": "cyclegan:OriginalUNetGenerator",
    "cyclegan-unet-tone": "cyclegan:ToneUNetGenerator",
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
        network_class = getattr(importlib.import_module(f"covid_synth_data.generators.{module}"), attribute)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "generation") from error
    try:
        network: nn.Module = network_class(**options)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise ConfigError(
            f"wrong options for the generator {architecture!r}",
            found=str(options)[:200],
            expected=str(error)[:200],
        ) from error
    return network
