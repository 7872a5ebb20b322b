"""A small modern GAN for a few hundred films: relativistic loss, R1 and R2, differentiable augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.diffaug import DiffAugDiscriminator
from generation import recipe as recipes
from generation.families import losses
from generation.families.augmentation import Policy, augmented
from generation.families.noise import NoiseFamily
from generation.training.family import frozen


class Networks(FrozenModel):
    """Widths and length of the noise."""

    generator: Literal["diffaug-gan"] = "diffaug-gan"
    width: recipes.Positive = 64
    discriminator_width: recipes.Positive = 64
    latent: recipes.Positive = 128
    group: recipes.Positive = 1
    """Group size of the minibatch standard deviation in the discriminator; 1 turns it off. The batch should
    be a multiple of group x classes, so that the films of a group are of one class."""


class Losses(FrozenModel):
    """Weight of both zero-centred gradient penalties (gamma / 2), and how many steps lie between two."""

    penalty: Annotated[float, Field(ge=0)] = 1.0
    penalty_every: recipes.Positive = 8


class DiffAugRecipe(recipes.FilmRecipe):
    """A recipe of this family."""

    family: Literal["diffaug"]
    network: Networks = Networks()
    losses: Losses = Losses()
    augment: Policy = Policy()

    @model_validator(mode="after")
    def _groups_fit(self) -> DiffAugRecipe:
        whole = self.network.group * (len(self.data.classes) if self.data.balanced else 1)
        if self.network.group > 1 and self.training.batch_size % whole:
            raise ValueError(f"a training.batch_size that is a multiple of group x classes, {whole}")
        return self


class DiffAug(NoiseFamily):
    """RpGAN with R1 and R2 (Huang et al. 2024), augmented as Zhao et al. 2020."""

    Recipe = DiffAugRecipe

    def make(self) -> Mapping[str, nn.Module]:
        """Generator and discriminator of the recipe's size, conditional where there are several classes."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": DiffAugDiscriminator(
                self.recipe.data.size, net.discriminator_width, self.options()["classes"], net.group
            ),
        }

    def options(self) -> dict[str, Any]:
        """Size, width, length of the noise, number of classes (0 for one)."""
        net, data = self.recipe.network, self.recipe.data
        classes = len(data.classes) if len(data.classes) > 1 and data.balanced else 0
        return {"size": data.size, "width": net.width, "latent": net.latent, "classes": classes}

    def compilable(self) -> Sequence[str]:
        """The generator: the discriminator's gradients are penalised."""
        return ["generator"]

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """The discriminator on pairs of the same class, then the generator on the same pairs."""
        real, classes = batch
        labels = (classes,) if self.generator.classes else ()
        with self.fabric.autocast():
            fake = self.generator(self.noise(len(real)), *labels)
        seen, made = self._augmented(real), self._augmented(fake)
        with self.fabric.autocast():
            d_loss = losses.relativistic_discriminator(
                self.discriminator(seen, *labels), self.discriminator(made.detach(), *labels)
            )
        penalty = d_loss.new_zeros(())
        if self.penalised():
            # One penalty in `penalty_every` steps weighs as much as one in each (Karras et al. 2020).
            def score(films: Tensor) -> Tensor:
                return self.discriminator(films, *labels)  # type: ignore[no-any-return]

            penalty = losses.zero_centred_penalty(score, seen) + losses.zero_centred_penalty(score, made)
        settings = self.recipe.losses
        self.update("discriminator", d_loss + settings.penalty * settings.penalty_every * penalty)
        with self.fabric.autocast(), frozen(self.discriminator):
            with torch.no_grad():
                reference = self.discriminator(seen, *labels)
            g_loss = losses.relativistic_generator(reference, self.discriminator(made, *labels))
        self.update("generator", g_loss)
        self.update_teachers()
        return {"discriminator": d_loss.detach(), "generator": g_loss.detach(), "penalty": penalty.detach()}

    def penalised(self) -> bool:
        """Whether the gradient penalties are due: at the first step and every `penalty_every` steps."""
        return self.now % int(self.recipe.losses.penalty_every) == 0

    def _augmented(self, films: Tensor) -> Tensor:
        return augmented(films, self.recipe.augment)
