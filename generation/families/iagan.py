"""IAGAN (Motamed et al. 2021), in hussain2022, Table II: a generator that varies real films.

Reproducing a release must not need real films, so its images start from codes drawn from a normal
distribution. It is fitted to the codes of the training films at every evaluation and at the end
(`generators.iagan`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators import build
from covid_synth_data.generators.iagan import IAGANDiscriminator
from generation import recipe as recipes
from generation.data.batches import FilmBatches, to_float
from generation.families.noise import NoiseFamily

FITTED: Final = 256
"""Training films whose codes the distribution of codes is fitted to."""


class Networks(FrozenModel):
    """Widths, and the lengths of noise and code."""

    generator: Literal["iagan"] = "iagan"
    width: recipes.Positive = 64
    discriminator_width: recipes.Positive = 64


class IAGANRecipe(recipes.FilmRecipe):
    """A recipe of this family."""

    family: Literal["iagan"]
    network: Networks = Networks()


class IAGAN(NoiseFamily):
    """Binary cross-entropy; each generated film starts from noise and a real one."""

    Recipe = IAGANRecipe

    def make(self) -> Mapping[str, nn.Module]:
        """Generator with an image branch, and discriminator, 128 x 128."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": IAGANDiscriminator(net.discriminator_width),
        }

    def options(self) -> dict[str, Any]:
        """Width."""
        return {"width": self.recipe.network.width}

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """Discriminator, then generator, on the same films varied."""
        real = batch[0]
        with self.fabric.autocast():
            fake = self.generator.forward_from(self._noise(len(real)), real)  # type: ignore[operator]
        return self.update_both(real, fake, lambda: fake)

    def _noise(self, count: int) -> Tensor:
        """The noise without the part that replaces a film's code."""
        length = int(self.generator.latent) - int(self.generator.code)  # type: ignore[arg-type]
        return torch.randn(count, length, device=self.fabric.device)

    def samples(self, count: int, batches: FilmBatches) -> Grey:
        """Samples from codes with the distribution of the training films' codes."""
        films = to_float(torch.from_numpy(batches.real(FITTED)).to(self.fabric.device))
        self.inference_network().fit_codes(films)  # type: ignore[operator]
        return super().samples(count, batches)
