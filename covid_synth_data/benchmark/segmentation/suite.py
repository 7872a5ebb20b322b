"""A suite of segmentation: which slices, the regimes that are compared, and how the U-Net is trained."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from covid_synth_data.benchmark.suite import Name, Version
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.files.models import FrozenModel, read_toml

Part = Literal["train", "validation", "generation_test", "segmentation_test"]
Parts = Annotated[list[Part], Field(min_length=1)]
Kind = Literal["real", "replace", "extend", "remove", "duplicate", "augment"]

_FOLDER: Final = "suites"
_SYNTHETIC: Final = ("replace", "extend")


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
    train: Parts
    validation: Parts
    test: Parts
    apart: Literal["patient", "slice"]
    validation_at_most: Annotated[int, Field(ge=1)] | None = None
    generators_saw: list[Literal["train", "validation"]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _no_part_twice(self) -> Protocol:
        named = [*self.train, *self.validation, *self.test]
        if len(set(named)) < len(named):
            raise ValueError("each part of the split at most once")
        return self


class Regime(FrozenModel):
    """What the U-Net is trained on; `fraction` is a share of the number of real training slices.

    `real` is these slices alone. `replace` takes that share of them away and puts as many synthetic ones in
    their place (Table III); `extend` adds synthetic ones (Table IV). Three baselines say what of the effect
    is due to synthetic content: `remove` takes the share away and puts nothing in its place; `duplicate`
    adds real slices once more, as many steps without anything new; `augment` adds plainly augmented ones.
    """

    title: str
    kind: Kind
    fraction: Annotated[float, Field(gt=0, le=10)] | None = None

    @property
    def synthetic(self) -> bool:
        """Whether synthetic slices are part of it."""
        return self.kind in _SYNTHETIC

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
        """What the training set depends on, without the title."""
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
        """What the side of a slice must be a multiple of."""
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


class Profile(FrozenModel):
    """One scale of the experiment: the side of the slices, the network, its training, seeds and regimes."""

    title: str
    size: Annotated[int, Field(ge=32, le=1024)]
    network: Network
    training: Training
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    regimes: list[Name] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Profile:
        if self.size % self.network.multiple:
            raise ValueError(f"a size that is a multiple of {self.network.multiple}")
        return self


class Suite(FrozenModel):
    """A whole suite. The first of `protocols` and of `profiles` are run when nothing else is asked for."""

    name: Name
    version: Version
    title: str
    paper: str | None = None
    caution: str | None = None
    data: Data = Data()
    protocols: Annotated[dict[Name, Protocol], Field(min_length=1)]
    regimes: Annotated[dict[Name, Regime], Field(min_length=1)]
    profiles: Annotated[dict[Name, Profile], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_exist(self) -> Suite:
        for name, profile in self.profiles.items():
            unknown = [one for one in profile.regimes or [] if one not in self.regimes]
            if unknown:
                raise ValueError(f"profile {name} to name regimes of the suite, but not {unknown[0]!r}")
        return self

    def choose(self, kind: Literal["protocol", "regime", "profile"], name: str | None) -> str:
        """`name`, or the first there is. Raises `UnknownName`."""
        known: dict[str, Any] = getattr(self, f"{kind}s")
        if name is not None and name not in known:
            raise UnknownName(f"{kind} of suite {self.name}", name, known)
        return next(iter(known)) if name is None else name

    def choose_regimes(self, names: Sequence[str]) -> list[str]:
        """`names`, each once. Raises `UnknownName`."""
        return [self.choose("regime", name) for name in dict.fromkeys(names)]


def list_suites() -> tuple[str, ...]:
    """Names of the suites that come with the package, sorted."""
    folder = resources.files(__package__) / _FOLDER
    names = (file.name for file in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_suite(name: str | Path) -> Suite:
    """The suite called `name`, or the one in the file at `name` where that ends in .toml.

    Raises `UnknownName` for a name that does not exist, `ConfigError` for a file that is no suite.
    """
    if str(name).endswith(".toml"):
        return read_toml(Path(name), Suite)
    if str(name) not in list_suites():
        raise UnknownName("suite of segmentation", str(name), list_suites())
    with resources.as_file(resources.files(__package__) / _FOLDER / f"{name}.toml") as path:
        suite = read_toml(path, Suite)
    if suite.name != str(name):
        raise ConfigError(f"{path} has the wrong name", found=suite.name, expected=str(name))
    return suite
