"""Recipes: everything that a training and a release depend on, as one validated TOML file."""

from __future__ import annotations

import hashlib
import importlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.files.models import FrozenModel, read_toml

FAMILIES: Final = {
    "cyclegan": "generation.families.cyclegan:CycleGAN",
    "menon2020": "generation.families.menon:Menon",
    "wgan": "generation.families.wgan:WGAN",
    "dcgan": "generation.families.dcgan:DCGAN",
    "acgan": "generation.families.acgan:ACGAN",
    "iagan": "generation.families.iagan:IAGAN",
    "diffaug": "generation.families.diffaug_gan:DiffAug",
    "ct-global-local": "generation.families.label_maps.ct_global_local:GlobalLocal",
    "pix2pix": "generation.families.label_maps.baselines:Pix2Pix",
    "pix2pixhd": "generation.families.label_maps.baselines:Pix2PixHD",
    "spade": "generation.families.label_maps.baselines:SPADE",
    "sean": "generation.families.label_maps.baselines:SEAN",
    "lesions": "generation.families.lesions:Lesions",
}
"""Family name to "module:class". A family has a recipe model and a kind; one that is trained has networks
and a training step too."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=80)]
Positive = Annotated[int, Field(gt=0)]
Part = Literal["train", "validation"]
SlicePart = Literal["train", "validation", "generation_test"]
Label = Literal["normal", "pneumonia", "covid-19"]


class Data(FrozenModel):
    """Which real films a recipe starts from. Its subclasses say how they are used, one for each kind."""

    protocol: str = "clean"
    licences: Literal["any", "permissive"] = "permissive"
    sources: list[str] | None = None
    phantom: dict[str, int] | None = None
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the patient split. Benchmarks must use the same seed, so it differs from the recipe's seed."""
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 256


class TaskData(Data):
    """Films of the training patients of one task."""

    task: str

    @property
    def tasks(self) -> list[str]:
        """The tasks whose splits decide which films are training films."""
        return [self.task]

    @property
    def parts(self) -> list[str]:
        """The parts of the split that are used for training."""
        return ["train"]


class PairData(TaskData):
    """Two domains for a translator.

    Training patients of `protocol` only. `per_domain` films of each class are drawn once by the seed
    (undersampling to balanced domains, zunair2021 Sect. 3.3); 0 takes as many as the smaller class has.
    """

    source_class: Label
    target_class: Label = "covid-19"
    per_domain: Annotated[int, Field(ge=0)] = 180
    leave_out_batches: Annotated[int, Field(ge=0)] = 0
    """Full batches of each epoch that are not used. The original code's loader leaves out one: 180 films
    fill 11 batches of 16, and an epoch has 10."""


class FilmData(Data):
    """Films of one or several classes for a generator that starts from noise.

    A film is used for training if some task puts it in `parts` and no task puts its patient elsewhere.
    `per_class` films of each class are drawn by the seed (0: all). `crops` copies of each film are made, each
    cropped by 0 to `max_crop` on every side (the augmentation factor of menon2020, Sect. III); 1 takes the
    whole film alone. `balanced` draws classes equally often, whatever their sizes.
    """

    tasks: Annotated[list[str], Field(min_length=1)]
    classes: Annotated[list[Label], Field(min_length=1)]
    parts: list[Part] = Field(min_length=1, default_factory=lambda: list[Part](("train",)))
    per_class: Annotated[int, Field(ge=0)] = 0
    crops: Positive = 1
    max_crop: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    balanced: bool = True


class SliceData(Data):
    """CT slices with their label maps, for a generator from label maps (jiang2020, Sect. IV.A).

    The generator's training slices of the split: those of its patients, or drawn slice by slice as in the
    paper. An epoch has `copies` draws of each slice, each augmented anew (Table I: 300 to 12,000). `area`
    says whether the lung alone is drawn, on black, or the whole slice. The slices of the split's validation
    patients are kept for evaluations. Where the split has none ("paper"), a share `held_out` of the slices of
    each patient is kept.
    """

    split: Literal["patient", "paper"] = "patient"
    area: Literal["lung", "slice"] = "lung"
    augment: bool = True
    copies: Positive = 40
    least_lung: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """The share of a slice that must be lung. Slices with almost no lung would teach the network to draw
    black."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    window: Annotated[int, Field(ge=0, multiple_of=16)] = 0
    """Side of the squares around pixels of the lung that are learned from; 0: whole slices, mostly black."""

    @model_validator(mode="after")
    def _window_fits(self) -> SliceData:
        if self.window and not 64 <= self.window <= self.size:
            raise ValueError(f"data.window of 64 to {self.size}, or 0")
        return self


class HostData(TaskData):
    """Films of training patients into which lesions are painted (the hosts).

    A release shows these films as they are beside the painted ones, so by default only films in the public
    domain are hosts.
    """

    task: str = "normal-vs-covid"
    host_class: Label = "normal"
    public_domain: bool = True


class Schedule(FrozenModel):
    """How long and how fast a training runs, and how often it evaluates and saves."""

    epochs: Positive | None = None
    steps: Positive | None = None
    """Exactly one of `epochs` and `steps` is set: rounds over the films, or updates of the generator."""
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The last share of the run, over which the learning rate falls linearly to zero; 0: constant rate."""
    flip: bool = False
    """Mirror films at random. Clinically wrong (the heart changes side), hence off."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: bool = False
    """Compile the networks; on a CPU where a C++ compiler is found."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the weights (the teacher); 0 turns it off."""
    looks: Positive = 20
    """Number of evaluations over the run. Each draws, shows, measures and checks samples."""
    frechet: Annotated[int, Field(ge=0)] = 0
    """Samples whose Frechet distance to the training films each evaluation measures; 0 turns it off."""
    keep: Literal["last", "best"] = "last"
    """Which weights are kept at the end: the last, or those with the lowest Frechet distance."""
    loss_limit: Annotated[float, Field(gt=0)] = 1e4
    """A loss term whose absolute value exceeds this has diverged."""
    collapse: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Samples whose diversity is below this share of the films' are all alike; 0 turns the check off."""
    checkpoint_seconds: Positive = 120

    @model_validator(mode="after")
    def _fits_together(self) -> Schedule:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps")
        if self.keep == "best" and not self.frechet:
            raise ValueError('samples to measure (frechet) where keep = "best"')
        return self


class Release(FrozenModel):
    """The table [release]: which images the generator makes."""

    dataset: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    subset: Name
    folder: Name
    count: Positive
    label: Label = "covid-19"
    """The class that the images show; a conditional generator gets it as input."""
    max_crop: Annotated[float, Field(gt=0, le=0.05)] = 0.05
    shard_rows: Positive = 2048
    batch_size: Positive = 16
    codec: Literal["png", "jpeg", "webp"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 95


class SliceRelease(Release):
    """CT slices of new label maps: augmented, and with lesions moved.

    Those of real slices of `parts` of the split, or, where `phantom` has the options of `ct.phantom.rows`, of
    CT phantoms. Then nothing of a patient is in a release but what the generator learned.
    """

    phantom: dict[str, int] | None = None
    parts: list[SlicePart] = Field(min_length=1, default_factory=lambda: list[SlicePart](("train",)))
    """Whose label maps: a benchmark must test on none of these slices."""
    moved: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of the label maps that have another patient's lesions; the others are augmented."""


class LesionRelease(Release):
    """Pairs of a normal film and the same film with lesions; `count` is the number of pairs."""

    pattern: str = "covid-19"
    """The mixture of patterns, or the single pattern, that is painted."""


class Recipe(FrozenModel):
    """The part that all families share; the model of a family narrows `data` and `release`."""

    name: Name
    tag: Name | None = None
    """What follows the architecture in the generator's name; the recipe's name where there is none."""
    family: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: PairData | FilmData | SliceData | HostData
    release: Release | None = None


class TrainedRecipe(Recipe):
    """A recipe of a family that is trained; its model adds `network` and `losses`."""

    start: Name | None = None
    """The recipe whose finished run the networks start from (transfer learning)."""
    training: Schedule

    later_keys: ClassVar[Sequence[tuple[str | None, str, Any]]] = (("data", "leave_out_batches", 0),)
    """Keys that older recipes do not have, with the value that means the same: table, key, value. The table
    is None where the key is a table itself."""

    def digest(self) -> str:
        """sha256 of everything that training depends on; what is saved for a release does not count."""
        content = self.model_dump(exclude={"release", "tag"})
        for table, key, same in self.later_keys:
            keys = content if table is None else content.get(table, {})
            if keys.get(key) == same:
                keys.pop(key, None)
        content["training"].pop("checkpoint_seconds")
        if not self.training.decay:
            content["training"].pop("decay")  # older recipes do not have this key
        if self.training.keep == "last":
            content["training"].pop("looks")
            content["training"].pop("frechet")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class PairRecipe(TrainedRecipe):
    """A recipe of a translator of films."""

    data: PairData


class FilmRecipe(TrainedRecipe):
    """A recipe of a generator that starts from noise."""

    data: FilmData


class SliceRecipe(TrainedRecipe):
    """A recipe of a generator that draws CT slices from label maps."""

    data: SliceData
    release: SliceRelease | None = None


class HostRecipe(Recipe):
    """A recipe of painted lesions, which need no training."""

    data: HostData
    release: LesionRelease


def family(name: str) -> Any:
    """The class of the family `name`. Raises `UnknownName`."""
    if name not in FAMILIES:
        raise UnknownName("family of generators", name, FAMILIES)
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_recipe(path: Path) -> Recipe:
    """The recipe at `path`, as its family's own model. Raises `ConfigError`, `UnknownName`."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise ConfigError(
            f"no recipe {path}",
            expected="one of " + ", ".join(near) if near else "a TOML file",
            hint="the recipes are under generation/recipes/",
        )
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("family")
    except (ValueError, RecursionError):
        name = None  # read_toml below says what is wrong, with the line
    model: type[Recipe] = family(name).Recipe if isinstance(name, str) else TrainedRecipe
    return read_toml(path, model)
