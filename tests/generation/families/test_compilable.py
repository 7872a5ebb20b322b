"""What `training.compile` compiles: networks whose gradients are penalised cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from generation.data.films import TrainingImages
from generation.recipe import family
from generation.training import loop
from generation.training.family import Family
from tests.generation.tiny import recipe_of


def family_of(variant: str) -> Family:
    recipe = recipe_of(variant)
    made: Family = family(recipe.family)(recipe, loop.make_fabric(recipe, "cpu"))
    return made


@pytest.mark.parametrize(
    ("variant", "names"),
    [("wgan", ["generator", "discriminator"]), ("wgan-gp", ["generator"]), ("diffaug", ["generator"])],
)
def test_only_networks_without_penalised_gradients_are_compiled(variant: str, names: list[str]) -> None:
    assert family_of(variant).compilable() == names


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("variant", ["wgan-gp", "diffaug"])
def test_a_penalised_step_runs_compiled(variant: str, fresh_compiler: None) -> None:
    """With a compiler that traces as the real one does and then computes step by step."""
    trainee = family_of(variant)
    size, labels = trainee.recipe.data.size, trainee.recipe.data.classes
    pixels = np.random.default_rng(0).integers(0, 256, (16, size, size), dtype=np.uint8)
    batches = trainee.batches([TrainingImages(label, pixels, [], []) for label in labels])
    for name in trainee.compilable():
        trainee.networks[name].compile(backend="aot_eager")
    for trainee.now in range(2):
        losses = trainee.step(*batches.batch(trainee.now))
        assert all(torch.isfinite(value) for value in losses.values())
