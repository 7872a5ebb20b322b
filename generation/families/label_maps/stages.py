"""Training in stages: generators of rising resolution, each alone, then jointly (jiang2020, Sect. III.A)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators.label_maps import blacken, reduce
from covid_synth_data.generators.patch import Judged
from generation.families.label_maps.family import LabelFamily, LabelRecipe

Share = Annotated[float, Field(gt=0, lt=1)]


class Stages(FrozenModel):
    """How the steps are divided: the share of each generator alone, coarsest first; the rest is joint.

    jiang2020 has three stages and 20 epochs, and does not say how they go together. By default a quarter is
    G1 alone, a quarter G2 alone, and the half over which the rate decays is joint.
    """

    alone: list[Share] = Field(default_factory=lambda: [0.25, 0.25])


class StagedRecipe(LabelRecipe):
    """A recipe of a generator that is trained in stages."""

    stages: Stages = Stages()


class Staged(Protocol):
    """A generator of several."""

    count: int
    """Number of generators; each has twice the resolution of the previous one."""

    def alone(self, maps: Tensor, scale: int, *noise: Tensor) -> Tensor:
        """The slice of generator `scale`, 0 the coarsest, at its own resolution."""

    def noise_of(self, maps: Tensor, seed: int, places: Sequence[int]) -> tuple[Tensor, ...]:
        """The noise that it takes."""


class StagedFamily(LabelFamily):
    """In a stage one generator learns at its own resolution, and the discriminators that see no more."""

    def compilable(self) -> list[str]:
        """The discriminators alone: the generator runs in several ways."""
        return [name for name in super().compilable() if name == "discriminator"]

    @property
    def staged(self) -> Staged:
        """The generator as one of several."""
        return cast("Staged", self.generator)

    def stage(self) -> int | None:
        """Which generator trains alone in this step, 0 the coarsest; None where they train jointly."""
        passed = 0.0
        for scale, share in enumerate(self.recipe.stages.alone):
            passed += share
            if self.now < round(passed * self.total):
                return scale
        return None

    def level(self) -> int:
        """The resolution that is learned now: 0 full, 1 half, 2 quarter."""
        scale = self.stage()
        return 0 if scale is None else self.staged.count - 1 - scale

    def draw(self, m: Tensor, x: Tensor, logged: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Alone, at the resolution of that generator; else jointly."""
        scale, level = self.stage(), self.level()
        if scale is None:
            return m, x, self.combined(m, logged)
        logged.update(self.logged_alone(x))
        seen = reduce(m, level)
        small = blacken(F.avg_pool2d(x, 2**level), seen, self.recipe.data.area) if level else x
        return seen, small, self.staged.alone(m, scale)

    def combined(self, m: Tensor, logged: dict[str, Tensor]) -> Tensor:
        """The slice of all generators."""
        fake: Tensor = self.generator(m)
        return fake

    def logged_alone(self, m: Tensor) -> dict[str, Tensor]:
        """The log of a step of one generator alone, in place of that of a joint step."""
        return {}

    def judge(self, m: Tensor, image: Tensor) -> list[Judged]:
        """The scores of the discriminators of the current resolution and of those below it."""
        scores: list[Judged] = self.discriminator(m, image, self.level())
        return scores

    def finished(self, m: Tensor, places: Sequence[int]) -> Tensor:
        """Jointly, or what the generator that trains alone makes, enlarged."""
        scale = self.stage()
        if scale is None:
            return super().finished(m, places)
        network = cast("Staged", self.inference_network())
        made = network.alone(m, scale, *network.noise_of(m, 0, places))
        return F.interpolate(made, scale_factor=2 ** self.level())
