"""Tiny recipes of the generators from label maps on CT phantoms, and their slices."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from generation.data import slices
from generation.data.slices import TrainingSlices
from generation.families.label_maps.family import LabelRecipe
from generation.recipe import family
from generation.training import loop
from tests.generation.tiny import quick_features

SIDE = 64
STEPS = 6
"""Of each tiny recipe; looks, and so checkpoints, come after steps 2, 4 and 6."""

NETWORKS: dict[str, dict[str, Any]] = {
    "ct-global-local": {"width": 2, "blocks": 1, "discriminator_width": 2},
    "pix2pix": {"width": 2, "depth": 4, "discriminator_width": 2},
    "pix2pixhd": {"width": 2, "blocks": 1, "discriminator_width": 2},
    "spade": {"width": 2, "levels": 3, "discriminator_width": 2},
    "sean": {"width": 2, "levels": 3, "style": 4, "discriminator_width": 2},
}
"""Every family of this kind. With three stages of two steps for the first, and two of three for pix2pixHD."""


def recipe_of(kind: str, **changes: Any) -> LabelRecipe:
    """A validated recipe, some keys changed: recipe_of("spade", training={"steps": 2})."""
    made: dict[str, Any] = {
        "name": f"{kind}-tiny",
        "tag": "tiny",
        "family": kind,
        "seed": 3,
        "data": {
            "phantom": {"size": 64, "patients": 5, "slices": 4},
            "size": SIDE,
            "copies": 2,
            "licences": "any",
        },
        "network": NETWORKS[kind],
        "training": {
            "steps": STEPS,
            "batch_size": 2,
            "looks": 3,
            "collapse": 0.0,
            "checkpoint_seconds": 3600,
            "decay": 0.5,
        },
    }
    if kind == "ct-global-local":
        made["stages"] = {"alone": [0.34, 0.34]}
    for key, value in changes.items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    model: type[LabelRecipe] = family(kind).Recipe
    return model.model_validate(made)


@cache
def slices_of() -> TrainingSlices:
    """The slices of every tiny recipe, read as a recipe reads them, each with some lung."""
    (read,) = slices.read_slices(recipe_of("ct-global-local"), None, lambda done, total: None)
    return read


def few(count: int) -> TrainingSlices:
    """The first of them."""
    whole = slices_of()
    return replace(whole, pixels=whole.pixels[:count], maps=whole.maps[:count])


def train(recipe: LabelRecipe, folder: Path, progress: Any = lambda *_: None) -> loop.FinishedRun:
    """A run on one CPU device."""
    with quick_features():
        return loop.train(recipe, [slices_of()], folder, loop.make_fabric(recipe, "cpu"), progress)


def trainee_of(recipe: LabelRecipe) -> Any:
    """The family before its first step."""
    return family(recipe.family)(recipe, loop.make_fabric(recipe, "cpu"))


def random_maps(count: int, side: int = SIDE, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Label maps of blocks."""
    blocks = np.random.default_rng(seed).integers(0, 4, (count, side // 8, side // 8), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8), np.uint8))
