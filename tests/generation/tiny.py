"""Tiny recipes of the families that start from noise, runs of them, and a stand-in for the extractor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from covid_synth_data.files.pixels import resize
from generation.data import films as reading
from generation.data.films import TrainingImages
from generation.recipe import FilmData, Recipe, family
from generation.training import evaluation, loop

STEPS = 5
"""Of each tiny recipe; its evaluations, and so its checkpoints, come after steps 2 and 5."""

_COVID = ["covid-19"]
_NAMES = {"menon2020": "baseline-gan", "diffaug": "diffaug-gan"}

VARIANTS: dict[str, dict[str, Any]] = {
    "pretraining": {
        "family": "menon2020",
        "network": "baseline-gan",
        "classes": ["normal", "pneumonia"],
        "data": {"balanced": False},
        "release": None,
    },
    "baseline": {"family": "menon2020", "network": "baseline-gan", "data": {"crops": 2}},
    "transfer": {"family": "menon2020", "network": "transfer-gan", "start": "pretraining"},
    "mtt": {
        "family": "menon2020",
        "network": "mtt-gan",
        "start": "pretraining",
        "training": {"ema": 0.6, "frechet": 8, "keep": "best"},
    },
    "wgan": {"family": "wgan", "losses": {"critic_steps": 2, "limit": 0.1}},
    "wgan-gp": {
        "family": "wgan",
        "options": {"norm": "layer"},
        "training": {"ema": 0.9},
        "losses": {"lipschitz": "gradient-penalty", "critic_steps": 2},
    },
    "dcgan": {"family": "dcgan", "training": {"frechet": 8, "keep": "best"}},
    "acgan": {"family": "acgan", "classes": ["normal", "covid-19"]},
    "iagan": {"family": "iagan", "training": {"ema": 0.9, "batch_size": 2}},
    "diffaug": {
        "family": "diffaug",
        "classes": ["normal", "pneumonia", "covid-19"],
        "training": {"ema": 0.9},
        "losses": {"penalty_every": 2},
    },
}
"""Every family, and each of its modes."""

SIZES = {"menon2020": 128, "wgan": 96, "dcgan": 96, "acgan": 112, "iagan": 128, "diffaug": 32}
WIDTHS: dict[str, dict[str, Any]] = {
    "menon2020": {"width": 4, "discriminator_width": 2, "latent": 8},
    "wgan": {"width": 8, "critic_width": 2, "latent": 8},
    "dcgan": {"width": 2, "discriminator_width": 2, "latent": 8},
    "acgan": {"width": 2, "discriminator_width": 2, "latent": 8},
    "iagan": {"width": 8, "discriminator_width": 2},
    "diffaug": {"width": 4, "discriminator_width": 4, "latent": 8},
}


def content(variant: str) -> dict[str, Any]:
    """The recipe of a variant as the tables of a TOML file."""
    given = VARIANTS[variant]
    kind = given["family"]
    network = given.get("network", _NAMES.get(kind, kind))
    recipe: dict[str, Any] = {
        "name": variant,
        "tag": "tiny",
        "family": kind,
        "seed": 3,
        "data": {
            "tasks": ["normal-vs-covid", "pneumonia-vs-covid"],
            "sources": ["phantom"],
            "phantom": {"size": 32, "patients": 12},
            "classes": given.get("classes", _COVID),
            "size": SIZES[kind],
            **given.get("data", {}),
        },
        "network": {"generator": network, **WIDTHS[kind], **given.get("options", {})},
        "training": {
            "steps": STEPS,
            "batch_size": 4,
            "looks": 2,
            "collapse": 0.0,
            "checkpoint_seconds": 3600,
            # "auto" times the precisions, and two runs that a test compares could take different ones.
            "precision": "32-true",
            **given.get("training", {}),
        },
        "release": {
            "dataset": "covid-synth-cxr",
            "version": "0.0.1",
            "subset": network,
            "folder": network,
            "count": 20,
            "shard_rows": 8,
            "codec": "png",
        },
    }
    if "release" in given:
        del recipe["release"]
    return recipe | {key: given[key] for key in ("losses", "start") if key in given}


def recipe_of(variant: str, **changes: Any) -> Recipe:
    """The validated recipe of a variant, some keys changed: recipe_of("wgan", training={"steps": 2})."""
    made = content(variant)
    for key, value in changes.items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    model: type[Recipe] = family(made["family"]).Recipe
    return model.model_validate(made)


def as_toml(tables: dict[str, Any]) -> str:
    """A recipe as a TOML file."""

    def value(one: Any) -> str:
        if isinstance(one, dict):
            return "{ " + ", ".join(f"{key} = {value(part)}" for key, part in one.items()) + " }"
        if isinstance(one, list):
            return "[" + ", ".join(map(value, one)) + "]"
        if isinstance(one, bool):
            return str(one).lower()
        return f'"{one}"' if isinstance(one, str) else repr(one)

    return "".join(f"{key} = {value(one)}\n" for key, one in tables.items())


@cache
def _films() -> dict[str, TrainingImages]:
    """The training films of every class at 32 px, read as a recipe reads them."""
    recipe = recipe_of("diffaug")
    return {side.label: side for side in reading.read_classes(recipe, None, lambda done, total: None)}


def films_of(recipe: Recipe) -> list[TrainingImages]:
    """The films of a recipe, as `read_classes` gives them but for the pixels: enlarged, not cropped."""
    assert isinstance(recipe.data, FilmData)
    sides = []
    for label in recipe.data.classes:
        side, size = _films()[label], recipe.data.size
        enlarged = np.stack([resize(film, size) for film in side.pixels])
        sides.append(replace(side, pixels=np.repeat(enlarged, recipe.data.crops, axis=0)))
    return sides


class Means:
    """Instead of the extractor, which takes seconds to load: the means of 4 x 4 parts of a film."""

    name = "means"

    def __init__(self, device: object) -> None:
        """Whatever the device."""

    def __call__(self, films: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(n, h, w) to (n, 16)."""
        n, h, w = films.shape
        return films.reshape(n, 4, h // 4, 4, w // 4).mean((2, 4)).reshape(n, 16).astype(np.float32)


class Stopped(Exception):
    """A stop by the user."""


def stop_at(step: int) -> Callable[[int, int, str], None]:
    """A progress function that stops the run after `step`."""

    def progress(done: int, total: int, text: str) -> None:
        if done == step:
            raise Stopped

    return progress


@contextlib.contextmanager
def quick_features() -> Iterator[None]:
    """Evaluations within it measure the features of `Means`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "Extractor", Means)
        yield


def train(
    recipe: Recipe, folder: Path, start: Path | None = None, progress: Any = lambda *_: None
) -> loop.FinishedRun:
    """A run on one CPU device."""
    fabric = loop.make_fabric(recipe, "cpu")
    with quick_features():
        return loop.train(recipe, films_of(recipe), folder, fabric, progress, start)
