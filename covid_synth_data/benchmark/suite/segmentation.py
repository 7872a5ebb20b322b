"""A suite of segmentation: which slices, the regimes that are compared, and how the U-Net is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from covid_synth_data.benchmark.suite.base import BaseProfile, BaseRegime, Name, Suite
from covid_synth_data.files.models import FrozenModel

SplitPart = Literal["train", "validation", "generation_test", "segmentation_test"]
SplitParts = Annotated[list[SplitPart], Field(min_length=1)]
"""Names of the parts of a split of `ct.splits`."""

_DRAWN: Final = ("replace", "extend")


class Data(FrozenModel):
    """The source of the real slices with its options, the seed of the split, and the released dataset."""

    source: Name = "covid-ct"
    options: dict[str, int] = Field(default_factory=dict)
    split_seed: Annotated[int, Field(ge=0)] = 0
    dataset: Name = "covid-synth-ct"
    config: Name = "ct"


class Protocol(FrozenModel):
    """Which parts of a split of `ct.splits` are for what.

    `apart` says what no two of training, validation and test share: patients, or slices alone.
    `validation_at_most` slices, drawn by the seed of the split, choose the epoch (null: all). The generator
    of a release may have learned from the sides in `generators_saw`, and never from the test.
    """

    title: str
    split: Literal["patient", "paper"]
    train: SplitParts
    validation: SplitParts
    test: SplitParts
    apart: Literal["patient", "slice"]
    validation_at_most: Annotated[int, Field(ge=1)] | None = None
    generators_saw: list[Literal["train", "validation"]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _no_part_twice(self) -> Protocol:
        named = [*self.train, *self.validation, *self.test]
        if len(set(named)) < len(named):
            raise ValueError("each part of the split at most once")
        return self


class Regime(BaseRegime):
    """The training set of a U-Net; `fraction` is a share of the number of real training slices.

    `real` is these slices alone. `replace` takes that share of them away and puts as many synthetic ones in
    their place (Table III); `extend` adds synthetic ones (Table IV). Five baselines say what of the effect
    is due to synthetic content: `remove` takes the share away and puts nothing in its place; `duplicate`
    adds real slices once more, as many steps without anything new; `augment` adds plainly augmented ones, and
    `strong` strongly augmented ones (`ct.augment.STRONG`);
    `undrawn` adds the slices of `extend` as they were before a generator drew their lungs.
    """

    kind: Literal["real", "replace", "extend", "remove", "duplicate", "augment", "strong", "undrawn"]
    fraction: Annotated[float, Field(gt=0, le=10)] | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it needs the slices of a release."""
        return self.drawn or self.kind == "undrawn"

    @property
    def drawn(self) -> bool:
        """Whether slices that a generator drew are part of it."""
        return self.kind in _DRAWN

    @model_validator(mode="after")
    def _fits_together(self) -> Regime:
        if (self.kind == "real") != (self.fraction is None):
            raise ValueError('a fraction exactly where kind is not "real"')
        if self.kind == "replace" and (self.fraction or 0) > 1:
            raise ValueError("a fraction of at most 1 to replace")
        if self.kind == "remove" and (self.fraction or 0) >= 1:
            raise ValueError("a fraction below 1 to remove")
        return self

    def rule(self) -> dict[str, Any]:
        """The settings that the training set depends on, without the title."""
        return self.model_dump(exclude={"title"})


class Network(FrozenModel):
    """A U-Net of MONAI: `unet` (strided, with residual units) or `basic-unet` (Ronneberger et al. 2015).

    `channels` from full resolution down; each further one halves the resolution.
    """

    name: Literal["unet", "basic-unet"] = "basic-unet"
    channels: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=6)]
    residual_units: Annotated[int, Field(ge=0, le=4)] = 0
    norm: Literal["batch", "instance"] = "batch"

    @property
    def multiple(self) -> int:
        """The side of a slice must be a multiple of this number."""
        return int(2 ** (len(self.channels) - 1))

    @model_validator(mode="after")
    def _fits_together(self) -> Network:
        if self.name == "basic-unet" and (len(self.channels) != 5 or self.residual_units):
            raise ValueError('five channels and no residual units where name = "basic-unet"')
        return self


class Training(FrozenModel):
    """How it is trained: `epochs` rounds over the slices; the validation slices choose which is kept."""

    loss: Literal["dice-cross-entropy", "dice", "cross-entropy"] = "dice-cross-entropy"
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 50


class Profile(BaseProfile):
    """One scale of the experiment: the side of the slices, the network, its training, seeds and regimes."""

    title: str
    size: Annotated[int, Field(ge=32, le=1024)]
    network: Network
    training: Training
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Profile:
        if self.size % self.network.multiple:
            raise ValueError(f"a size that is a multiple of {self.network.multiple}")
        return self


class SegmentationSuite(Suite):
    """A suite of U-Nets. The first of `protocols` is run when no other is asked for."""

    kind: Literal["segmentation"]
    data: Data = Data()
    protocols: Annotated[dict[Name, Protocol], Field(min_length=1)]
    regimes: Annotated[dict[Name, Regime], Field(min_length=1)]
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]

    @property
    def release_name(self) -> str:
        """The name of the released dataset."""
        return self.data.dataset

    def configs_of(self, regime: str) -> list[str]:
        """The one config of the release where `regime` uses synthetic slices."""
        return [self.data.config] if self.regimes[regime].synthetic else []

    def lists(self) -> dict[str, Sequence[str]]:
        """Protocols, regimes and profiles."""
        return {
            "protocols": list(self.protocols),
            "regimes": list(self.regimes),
            "profiles": list(self.profiles),
        }
