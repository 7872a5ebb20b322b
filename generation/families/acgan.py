"""CovidGAN (Waheed et al. 2020), an auxiliary-classifier GAN (Odena et al. 2017); hussain2022, Table II."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.acgan import ACGANDiscriminator
from generation import recipe as recipes
from generation.families import losses
from generation.families.noise import NoiseFamily
from generation.training.family import frozen


class Networks(FrozenModel):
    """Widths and length of the noise."""

    generator: Literal["acgan"] = "acgan"
    width: recipes.Positive = 64
    discriminator_width: recipes.Positive = 32
    latent: recipes.Positive = 100


class ACGANRecipe(recipes.FilmRecipe):
    """A recipe of this family: films of at least two classes."""

    family: Literal["acgan"]
    network: Networks

    @model_validator(mode="after")
    def _has_classes(self) -> ACGANRecipe:
        if len(self.data.classes) < 2 or not self.data.balanced:
            raise ValueError("at least two data.classes, balanced, for a class-conditional generator")
        return self


class ACGAN(NoiseFamily):
    """The discriminator also predicts the class. The class is an input of the generator."""

    Recipe = ACGANRecipe

    def make(self) -> Mapping[str, nn.Module]:
        """A conditional generator, and a discriminator with two heads."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": ACGANDiscriminator(
                net.discriminator_width, classes=len(self.recipe.data.classes)
            ),
        }

    def options(self) -> dict[str, Any]:
        """Width, length of the noise, number of classes."""
        net = self.recipe.network
        return {"width": net.width, "latent": net.latent, "classes": len(self.recipe.data.classes)}

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """Both losses of Odena et al.: source and class, for real and for generated films."""
        real, labels = batch
        classes = self.labels(len(real))
        with self.fabric.autocast():
            fake = self.generator(self.noise(len(real)), classes)
            (scores, names), (fake_scores, fake_names) = (
                self.discriminator(real),
                self.discriminator(fake.detach()),
            )
            d_loss = losses.bce_discriminator(scores, fake_scores)
            named = F.cross_entropy(names.float(), labels) + F.cross_entropy(fake_names.float(), classes)
        self.update("discriminator", d_loss + named)
        with self.fabric.autocast(), frozen(self.discriminator):
            fake_scores, fake_names = self.discriminator(fake)
            g_loss = losses.bce_generator(fake_scores)
            recognised = F.cross_entropy(fake_names.float(), classes)
        self.update("generator", g_loss + recognised)
        self.update_teachers()
        terms = {"discriminator": d_loss, "generator": g_loss, "class_seen": named, "class_made": recognised}
        return {name: value.detach() for name, value in terms.items()}
