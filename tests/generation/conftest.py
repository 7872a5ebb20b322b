"""A tiny recipe on phantoms and its films, and runs of tiny recipes of all that starts from noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from generation.data.films import TrainingImages
from generation.recipe import TrainedRecipe, family, load_recipe
from generation.training.loop import FinishedRun
from tests.generation.tiny import VARIANTS, recipe_of, train

TINY = """
name = "tiny"
family = "cyclegan"
seed = 3

[data]
task = "normal-vs-covid"
sources = ["phantom"]
phantom = { size = 32, patients = 12 }
source_class = "normal"
size = 32
per_domain = 8

[network]
generator = "cyclegan-unet"
width = 4
critic_width = 4

[training]
epochs = 3
batch_size = 4
precision = "32-true"
checkpoint_seconds = 3600
looks = 3

[release]
dataset = "covid-synth-cxr"
version = "0.0.1"
subset = "gnc"
folder = "cyclegan"
count = 30
shard_rows = 8
batch_size = 4
codec = "png"
"""


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def recipe(recipe_file: Path) -> TrainedRecipe:
    return load_recipe(recipe_file)


@pytest.fixture(scope="session")
def films(recipe: TrainedRecipe) -> list[TrainingImages]:
    return family(recipe.family).read(recipe, None, lambda done, total: None)


@pytest.fixture
def altered(recipe: TrainedRecipe):
    """A copy of the recipe with some keys changed: altered(training={"epochs": 2}, seed=4)."""

    def change(**changes: object) -> TrainedRecipe:
        content = recipe.model_dump()
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(value, dict) else value
        return type(recipe).model_validate(content)

    return change


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FinishedRun]:
    """The run of a variant of `tiny` that nothing stopped, made once: finished("wgan")."""
    runs: dict[str, FinishedRun] = {}

    def run(variant: str) -> FinishedRun:
        if variant not in runs:
            recipe = recipe_of(variant)
            start = run(recipe.start).folder if recipe.start else None
            runs[variant] = train(recipe, tmp_path_factory.mktemp(variant) / variant, start)
        return runs[variant]

    return run


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """The name of each tiny recipe in turn."""
    return str(request.param)
