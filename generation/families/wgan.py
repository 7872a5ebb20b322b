"""The WGAN of hussain2022: clipped weights (Arjovsky 2017), or a gradient penalty (Gulrajani 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.wgan import WGANCritic
from generation import recipe as recipes
from generation.data.batches import FilmBatches, check_share
from generation.data.films import TrainingImages
from generation.families import losses
from generation.families.augmentation import Policy, augmented
from generation.families.noise import NoiseFamily
from generation.training.family import frozen


class Networks(FrozenModel):
    """Widths (those of the paper by default) and length of the noise."""

    generator: Literal["wgan"] = "wgan"
    width: recipes.Positive = 256
    critic_width: recipes.Positive = 32
    norm: Literal["batch", "layer"] = "batch"
    """Norm of the critic. The paper's is batch norm; the gradient penalty needs independent films."""
    latent: recipes.Positive = 100


class Losses(FrozenModel):
    """How the critic is kept Lipschitz, and how many updates it gets for one of the generator.

    `clip` bounds its weights by `limit` and goes with RMSprop (Arjovsky et al. 2017); `gradient-penalty`
    weighs the penalty by `penalty` and goes with the schedule's Adam (Gulrajani et al. 2017).
    """

    lipschitz: Literal["clip", "gradient-penalty"] = "clip"
    limit: Annotated[float, Field(gt=0)] = 0.01
    penalty: Annotated[float, Field(gt=0)] = 10.0
    critic_steps: recipes.Positive = 5


class WGANRecipe(recipes.FilmRecipe):
    """A recipe of this family."""

    family: Literal["wgan"]
    network: Networks = Networks()
    losses: Losses = Losses()
    augment: Policy | None = None
    """What changes films on their way into the critic. Not in the paper; a critic memorises a few hundred
    films."""

    later_keys: ClassVar = (*recipes.FilmRecipe.later_keys, (None, "augment", None))


class WGAN(NoiseFamily):
    """The critic is always computed in fp32, since its loss is a difference of large numbers."""

    Recipe = WGANRecipe

    def make(self) -> Mapping[str, nn.Module]:
        """Generator and critic, 96 x 96."""
        net = self.recipe.network
        return {
            "generator": build(net.generator, **self.options()),
            "discriminator": WGANCritic(net.critic_width, net.norm),
        }

    def options(self) -> dict[str, Any]:
        """Width and length of the noise."""
        return {"width": self.recipe.network.width, "latent": self.recipe.network.latent}

    def films_per_step(self) -> int:
        """A batch for each update of the critic."""
        return int(self.recipe.training.batch_size * self.recipe.losses.critic_steps)

    def batches(self, images: Sequence[TrainingImages]) -> FilmBatches:
        """Films with their labels. Raises `ConfigError` where an update's batch cannot be shared evenly."""
        check_share(int(self.recipe.training.batch_size), self.fabric)
        return super().batches(images)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """RMSprop where weights are clipped: momentum and clipping do not go together (Arjovsky, Sect. 4)."""
        if self.recipe.losses.lipschitz == "clip":
            return RMSprop(list(parameters), self.recipe.training.learning_rate)
        return super().optimizer(parameters)

    def compilable(self) -> Sequence[str]:
        """Not the critic where its gradients are penalised."""
        penalised = self.recipe.losses.lipschitz == "gradient-penalty"
        return ["generator"] if penalised else super().compilable()

    def step(self, *batch: Tensor) -> Mapping[str, Tensor]:
        """`critic_steps` updates of the critic, each on films of its own, then one of the generator."""
        settings = self.recipe.losses
        size = len(batch[0]) // settings.critic_steps
        distances, penalties = [], []
        for real in torch.split(batch[0], size):
            with torch.no_grad(), self.fabric.autocast():
                fake = self.generator(self.noise(size)).float()
            real, fake = self._augmented(real), self._augmented(fake)
            distance = losses.wasserstein_critic(self._score(real), self._score(fake))
            penalty = distance.new_zeros(())
            if settings.lipschitz == "gradient-penalty":
                random = torch.rand(size, device=real.device)
                penalty = losses.gradient_penalty(self.discriminator, real, fake, random)
            self.update("discriminator", distance + settings.penalty * penalty)
            if settings.lipschitz == "clip":
                losses.clip_weights(self.discriminator, settings.limit)
            distances.append(-distance.detach())
            penalties.append(penalty.detach())
        with frozen(self.discriminator):
            with self.fabric.autocast():
                fake = self.generator(self.noise(size))
            g_loss = losses.wasserstein_generator(self._score(self._augmented(fake)))
        self.update("generator", g_loss)
        self.update_teachers()
        terms = {"distance": torch.stack(distances).mean(), "generator": g_loss.detach()}
        if settings.lipschitz == "gradient-penalty":
            terms["penalty"] = torch.stack(penalties).mean()
        return terms

    def _augmented(self, films: Tensor) -> Tensor:
        policy = self.recipe.augment
        return films if policy is None else augmented(films, policy)

    def _score(self, films: Tensor) -> Tensor:
        with torch.autocast(films.device.type, enabled=False):
            scores: Tensor = self.discriminator(films.float())
        return scores
