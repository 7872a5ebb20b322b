"""The family of jiang2020: three stages of training, DESUM in the generator, DFM in its loss."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from lightning_fabric import Fabric
from pydantic import Field, model_validator
from torch import Tensor, nn

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.generators import build
from covid_synth_data.generators.ct_global_local import GlobalLocalGenerator, Weighting
from covid_synth_data.generators.patch import Judged, MultiResolution, PatchDiscriminator
from generation import recipe as recipes
from generation.families.label_maps import losses
from generation.families.label_maps.stages import StagedFamily, StagedRecipe


class Networks(FrozenModel):
    """Widths, and the switches of Table V; the defaults are the paper's."""

    generator: Literal["ct-global-local"] = "ct-global-local"
    width: recipes.Positive = 64
    blocks: recipes.Positive = 9
    discriminator_width: recipes.Positive = 64
    generators: Annotated[int, Field(ge=1, le=3)] = 2
    discriminators: Annotated[int, Field(ge=1, le=3)] = 2
    desum: Literal["dynamic", "fixed", "none"] = "dynamic"
    desum_observes: Literal["local", "global"] = "local"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of desum = "fixed"."""
    dfm: Literal["dynamic", "fixed", "none"] = "dynamic"
    """"none": no feature matching at all."""
    dfm_observes: Annotated[int, Field(ge=1, le=3)] = 1
    """The discriminator whose features determine beta: 1 is D1, full resolution; 2 is D2."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of dfm = "fixed", the weight of D2; of three discriminators, D2 and D3 share it."""
    noise: Annotated[int, Field(ge=0, le=64)] = 0
    """Planes of noise beside the label map (not in the paper)."""
    norm: Literal["instance", "channel"] = "instance"
    """Of the generators; "channel" (not in the paper) takes each pixel by itself."""
    discriminator_norm: Literal["instance", "none"] = "instance"


class GlobalLocalRecipe(StagedRecipe):
    """A recipe of this family."""

    family: Literal["ct-global-local"]
    network: Networks = Networks()

    later_keys: ClassVar = (
        *StagedRecipe.later_keys,
        ("network", "noise", 0),
        ("network", "norm", "instance"),
        ("network", "discriminator_norm", "instance"),
    )

    @model_validator(mode="after")
    def _fits_together(self) -> GlobalLocalRecipe:
        net, alone = self.network, self.stages.alone
        expected = net.generators if net.generators > 1 else 0
        if len(alone) != expected or sum(alone) >= 1:
            raise ValueError(
                f"{expected} shares in stages.alone for {net.generators} generators, below 1 in all"
            )
        if net.dfm_observes > net.discriminators:
            raise ValueError("network.dfm_observes to be one of the discriminators")
        if (net.dfm == "none") != (self.losses.matching == 0):
            raise ValueError('network.dfm = "none" and losses.matching = 0 together or neither')
        return self


class GlobalLocal(StagedFamily):
    """G1, G2, DESUM against D1, D2, and the network of beta, which learns with the generator (Eq. 2, 4)."""

    Recipe = GlobalLocalRecipe
    owners: ClassVar = {"generator": ["generator", "dfm"], "discriminator": ["discriminator"]}

    def __init__(self, recipe: GlobalLocalRecipe, fabric: Fabric) -> None:
        """Fresh weights. A norm over channels is fast where the channels of a pixel lie side by side."""
        self.channels_last = recipe.network.norm == "channel"
        super().__init__(recipe, fabric)

    def make(self) -> Mapping[str, nn.Module]:
        """The networks of Sect. III."""
        net = self.recipe.network
        generator = build("ct-global-local", **self.options())
        assert isinstance(generator, GlobalLocalGenerator)  # noqa: S101 - the name says so
        generator.checkpointing(self.recipe.memory.checkpointing)
        patch = partial(PatchDiscriminator, net.discriminator_width, norm=net.discriminator_norm)
        networks: dict[str, nn.Module] = {
            "generator": generator,
            "discriminator": MultiResolution(net.discriminators, patch),
        }
        if self.beta_is_learned:
            width = net.discriminator_width
            networks["dfm"] = Weighting(4 * width, max(8, width // 2), net.discriminators - 1)
        else:
            networks["dfm"] = nn.Identity()
        return networks

    @property
    def beta_is_learned(self) -> bool:
        """Whether there is a network of beta."""
        return bool(self.recipe.network.dfm == "dynamic" and self.recipe.network.discriminators > 1)

    def options(self) -> dict[str, Any]:
        """As `GlobalLocalGenerator` takes them."""
        net = self.recipe.network
        names = ("width", "blocks", "generators", "desum", "desum_observes", "alpha", "noise", "norm")
        return {name: getattr(net, name) for name in names} | {"area": self.recipe.data.area}

    def combined(self, m: Tensor, logged: dict[str, Tensor]) -> Tensor:
        """The slice of all generators. The mean of alpha is logged."""
        generator = self.generator
        assert isinstance(generator, GlobalLocalGenerator)  # noqa: S101 - `make` made it
        fake, alpha = generator.weighed(m)
        logged["alpha"] = alpha.mean()
        return fake

    def logged_alone(self, m: Tensor) -> dict[str, Tensor]:
        """Alpha as 0 for G1 alone, 1 for G2 alone."""
        return {"alpha": m.new_tensor(float(self.level() == 0))}

    def matched(self, real: list[Judged], fake: list[Judged], logged: dict[str, Tensor]) -> Tensor:
        """Eq. 4. Where D1 does not judge (G1 alone) the other discriminators weigh the same."""
        terms = losses.matching(real, fake)
        weights = self.matching_weights(real, terms)
        logged["beta"] = weights[:, 1:].sum(1).mean() if self.level() == 0 else terms.new_ones(())
        return losses.dynamic_matching(terms, weights)

    def matching_weights(self, real: list[Judged], terms: Tensor) -> Tensor:
        """(n, D): by the network from a feature of the map and its real slice, or as the recipe has it."""
        net, count = self.recipe.network, terms.shape[1]
        if count < net.discriminators or count == 1:
            return torch.full_like(terms, 1 / count)
        if net.dfm == "dynamic":
            seen = real[net.dfm_observes - 1][1][-1]
            return losses.matching_weights(self.networks["dfm"](seen.detach()))
        return terms.new_tensor([1 - net.beta, *[net.beta / (count - 1)] * (count - 1)]).expand_as(terms)
