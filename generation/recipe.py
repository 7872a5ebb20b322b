"""Recipes: everything that a training and a release depend on, as one validated TOML file."""

from __future__ import annotations

import hashlib
import importlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from covid_synth_data.config import Settings, read_toml
from covid_synth_data.errors import ConfigError, UnknownName

FAMILIES: Final = {"cyclegan": "generation.cyclegan:CycleGAN"}
"""Family name to "module:class". A family brings its recipe model, its networks and its step."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=80)]
Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Data(Settings):
    """Which films are learned from.

    Training patients of `protocol` only. `per_domain` films of each class are drawn once by the seed
    (undersampling to balanced domains, zunair2021 Sect. 3.3); 0 takes as many as the smaller class has.
    """

    task: str
    protocol: str = "clean"
    licences: Literal["any", "permissive"] = "permissive"
    sources: list[str] | None = None
    phantom: dict[str, int] | None = None
    source_class: str
    target_class: str = "covid-19"
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Whose films are training films; benchmarks must split by the same seed, hence not the recipe's own."""
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 256
    per_domain: Annotated[int, Field(ge=0)] = 180


class Schedule(Settings):
    """How long, how fast, and how often to save. Rates are per optimiser step, no decay by default."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    flip: bool = False
    """Mirror films at random. Clinically wrong (the heart changes side), hence off."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the generators' weights; 0 turns it off."""
    preview_every: Positive = 5
    checkpoint_seconds: Positive = 120


class Release(Settings):
    """What is made with the trained generator."""

    dataset: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    subset: Name
    folder: Name
    count: Positive
    max_crop: Annotated[float, Field(gt=0, le=0.05)] = 0.05
    shard_rows: Positive = 2048
    batch_size: Positive = 16
    codec: Literal["png", "jpeg", "webp"] = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 95


class Recipe(Settings):
    """The part that all families share; each family's own model adds `network` and `losses`."""

    name: Name
    family: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: Data
    training: Schedule
    release: Release | None = None

    def digest(self) -> str:
        """sha256 of everything that training depends on; what is saved for a release does not count."""
        content = self.model_dump(exclude={"release"})
        for key in ("preview_every", "checkpoint_seconds"):
            content["training"].pop(key)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def family(name: str) -> Any:
    """The class of a family. Raises `UnknownName`."""
    if name not in FAMILIES:
        raise UnknownName("family of generators", name, FAMILIES)
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_recipe(path: Path) -> Recipe:
    """The recipe at `path`, as its family's own model. Raises `ConfigError`, `UnknownName`."""
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise ConfigError(
            f"no recipe {path}", expected="one of " + ", ".join(near) if near else "a TOML file",
            hint="the recipes are under generation/recipes/",
        )  # fmt: skip
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("family")
    except (ValueError, RecursionError):
        name = None  # read_toml below says what is wrong, with the line
    model: type[Recipe] = family(name).Recipe if isinstance(name, str) else Recipe
    return read_toml(path, model)
