"""DCGAN (Radford et al. 2016), a baseline of the WGAN in hussain2022, Table II."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.dcgan import DCGANDiscriminator
from generation import recipe as recipes
from generation.families.noise import NoiseFamily


class Networks(FrozenModel):
    """Widths and length of the noise."""

    generator: Literal["dcgan"] = "dcgan"
    width: recipes.Positive = 64
    discriminator_width: recipes.Positive = 64
    latent: recipes.Positive = 100


class DCGANRecipe(recipes.FilmRecipe):
    """A recipe of this family."""

    family: Literal["dcgan"]
    network: Networks


class DCGAN(NoiseFamily):
    """Binary cross-entropy; real and generated films go through the discriminator apart (batch norm)."""

    Recipe = DCGANRecipe

    def make(self) -> Mapping[str, nn.Module]:
        """Transposed convolutions against strided ones."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": DCGANDiscriminator(net.discriminator_width),
        }

    def options(self) -> dict[str, Any]:
        """Width and length of the noise."""
        return {"width": self.recipe.network.width, "latent": self.recipe.network.latent}

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """Discriminator, then generator, on the same generated films."""
        real = batch[0]
        with self.fabric.autocast():
            fake = self.generator(self.noise(len(real)))
        return self.update_both(real, fake, lambda: fake)
