"""The baselines of jiang2020 (Sect. IV.B) on the same data and frame: pix2pix, pix2pixHD, SPADE, SEAN.

Discriminators are MONAI's. All have the paper's rate and schedule ("all of the image synthesis methods are
trained with 20 epochs, with a learning rate" of 2e-4) instead of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.patch import MonaiPatch, MultiResolution
from covid_synth_data.generators.pix2pixhd import Pix2PixHDGenerator
from generation import recipe as recipes
from generation.families.label_maps.family import LabelFamily, LabelRecipe, Losses
from generation.families.label_maps.stages import StagedFamily, StagedRecipe, Stages


class Discriminators(FrozenModel):
    """Width and number of the discriminators."""

    discriminator_width: recipes.Positive = 64
    discriminators: Annotated[int, Field(ge=1, le=3)] = 2


class Pix2PixNetworks(Discriminators):
    """As the paper has them: a U-Net, one discriminator."""

    generator: Literal["pix2pix"] = "pix2pix"
    width: recipes.Positive = 64
    depth: Annotated[int, Field(ge=2, le=9)] = 7
    discriminators: Annotated[int, Field(ge=1, le=3)] = 1


class Pix2PixHDNetworks(Discriminators):
    """As the paper has them, with two discriminators instead of three."""

    generator: Literal["pix2pixhd"] = "pix2pixhd"
    width: recipes.Positive = 64
    blocks: recipes.Positive = 9


class SPADENetworks(Discriminators):
    """As the paper has them."""

    generator: Literal["spade"] = "spade"
    width: recipes.Positive = 64
    levels: Annotated[int, Field(ge=1, le=6)] = 5


class SEANNetworks(Discriminators):
    """As the paper has them, with styles of 64 numbers instead of 512: the slices are grey."""

    generator: Literal["sean"] = "sean"
    width: recipes.Positive = 64
    levels: Annotated[int, Field(ge=1, le=6)] = 5
    style: recipes.Positive = 64


class Pix2PixRecipe(LabelRecipe):
    """Cross-entropy and 100 times the L1 distance (Isola et al. 2017, Sect. 3.1)."""

    family: Literal["pix2pix"]
    network: Pix2PixNetworks = Pix2PixNetworks()
    losses: Losses = Losses(adversarial="cross-entropy", matching=0.0, l1=100.0)


class Pix2PixHDRecipe(StagedRecipe):
    """Least squares and feature matching (Wang et al. 2018, Eq. 4), no VGG loss: slices are no photos."""

    family: Literal["pix2pixhd"]
    network: Pix2PixHDNetworks = Pix2PixHDNetworks()
    stages: Stages = Stages(alone=[0.5])
    losses: Losses = Losses(adversarial="least-squares")

    @model_validator(mode="after")
    def _fits_together(self) -> Pix2PixHDRecipe:
        if len(self.stages.alone) > 1:
            raise ValueError("at most one share in stages.alone: the enhancer never trains alone")
        return self


class WholeSliceRecipe(LabelRecipe):
    """A recipe of a network that is built for slices of one size."""

    @model_validator(mode="after")
    def _whole(self) -> WholeSliceRecipe:
        if self.data.window:
            raise ValueError(f"data.window = 0: a {self.family} network draws whole slices alone")
        return self


class SPADERecipe(WholeSliceRecipe):
    """Hinge loss and feature matching, no VGG loss (Park et al. 2019, appendix)."""

    family: Literal["spade"]
    network: SPADENetworks = SPADENetworks()
    losses: Losses = Losses(adversarial="hinge")


class SEANRecipe(WholeSliceRecipe):
    """Hinge loss and feature matching, no VGG loss (Zhu et al. 2020, Sect. 4)."""

    family: Literal["sean"]
    network: SEANNetworks = SEANNetworks()
    losses: Losses = Losses(adversarial="hinge")


class _Baseline(LabelFamily):
    """A generator by its recipe, MONAI's discriminators."""

    def make(self) -> Mapping[str, nn.Module]:
        """Generator and discriminators."""
        net = self.recipe.network
        generator = build(net.generator, **self.options())
        if isinstance(generator, Pix2PixHDGenerator):
            generator.checkpointing(self.recipe.memory.checkpointing)
        patch = partial(MonaiPatch, net.discriminator_width)
        return {"generator": generator, "discriminator": MultiResolution(net.discriminators, patch)}

    def options(self) -> dict[str, Any]:
        """All of the network table but its name and discriminators; area, and size where it is built in."""
        table = self.recipe.network.model_dump()
        chosen = {k: v for k, v in table.items() if k not in {*Discriminators.model_fields, "generator"}}
        if self.recipe.family in ("spade", "sean"):
            chosen["size"] = self.recipe.data.size
        return chosen | {"area": self.recipe.data.area}


class Pix2Pix(_Baseline):
    """pix2pix (Isola et al. 2017)."""

    Recipe = Pix2PixRecipe


class Pix2PixHD(_Baseline, StagedFamily):
    """pix2pixHD (Wang et al. 2018): the global network alone, then both jointly."""

    Recipe = Pix2PixHDRecipe


class SPADE(_Baseline):
    """SPADE (Park et al. 2019)."""

    Recipe = SPADERecipe


class SEAN(_Baseline):
    """SEAN (Zhu et al. 2020): learning, each slice is drawn in its own styles."""

    Recipe = SEANRecipe

    def draw(self, m: Tensor, x: Tensor, logged: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The slice drawn again in its styles."""
        return m, x, self.generator(m, image=x)
