"""The family of menon2020: baseline GAN, Transfer-GAN and MTT-GAN share one training loop.

Pretraining is a recipe of its own (a baseline GAN on Kermany) that both fine-tunings start from; the mean
teacher of MTT-GAN does not influence its students. So a Transfer-GAN and an MTT-GAN of the same seed have the
same students and differ in the network that is released.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.menon import MenonDiscriminator
from generation import recipe as recipes
from generation.families.noise import NoiseFamily


class Networks(FrozenModel):
    """Which of the three, and the widths; those of the paper by default (Sect. IV.C)."""

    generator: Literal["baseline-gan", "transfer-gan", "mtt-gan"]
    width: recipes.Positive = 128
    discriminator_width: recipes.Positive = 64
    latent: recipes.Positive = 100
    noise: Literal["normal", "uniform"] = "normal"
    """"Gaussian noise on the interval [0, 1]" (Sect. IV.A) is read as standard normal, or as uniform."""


class MenonRecipe(recipes.FilmRecipe):
    """A recipe of this family."""

    family: Literal["menon2020"]
    network: Networks

    @model_validator(mode="after")
    def _name_matches_method(self) -> MenonRecipe:
        has = (self.start is not None, self.training.ema > 0)
        expected = {"baseline-gan": (False, False), "transfer-gan": (True, False), "mtt-gan": (True, True)}
        if has != expected[self.network.generator]:
            raise ValueError(
                "baseline-gan with neither start nor training.ema, transfer-gan with start, mtt-gan with both"
            )
        return self


class Menon(NoiseFamily):
    """Binary cross-entropy, half a batch of real and half of generated films for the discriminator."""

    Recipe = MenonRecipe
    teachers: ClassVar = ("generator", "discriminator")

    def make(self) -> Mapping[str, nn.Module]:
        """The networks of Sect. IV.C."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": MenonDiscriminator(net.discriminator_width),
        }

    def options(self) -> dict[str, Any]:
        """Width, length and kind of noise."""
        net = self.recipe.network
        return {"width": net.width, "latent": net.latent, "noise": net.noise}

    def films_per_step(self) -> int:
        """16 real films of a batch of 32 (Sect. IV.A)."""
        return max(1, int(self.recipe.training.batch_size) // 2)

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """Sect. IV.A: the discriminator on n real and n generated films, then the generator on 2n vectors."""
        real = batch[0]
        with torch.no_grad(), self.fabric.autocast():
            fake = self.generator(self.noise(len(real)))
        return self.update_both(real, fake, lambda: self.generator(self.noise(2 * len(real))))
