"""The origin of trained weights: the films, the recipe, and the run that they started from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from covid_synth_data import __version__
from covid_synth_data.errors import ConfigError, WeightsError
from covid_synth_data.generators import weights
from covid_synth_data.sources import licences
from generation.data.films import TrainingImages
from generation.recipe import TrainedRecipe
from generation.training import checkpoint
from generation.training.family import Family


@dataclass(frozen=True)
class Origin:
    """A finished run to start from: its newest checkpoint and the card of its weights."""

    checkpoints: Path
    step: int
    card: weights.Card

    @property
    def digest(self) -> str:
        """sha256 over the recipe, the films and the number of steps of that run."""
        state = checkpoint.read_state(self.checkpoints, self.step)
        content = [self.step, *(state.get(key) for key in ("recipe", "films", "start"))]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def take_over(self, recipe: TrainedRecipe, networks: Mapping[str, nn.Module]) -> None:
        """Put the weights of that run into `networks`. Raises `ConfigError` where they do not fit."""
        try:
            checkpoint.restore(self.checkpoints, self.step, networks, {})
        except WeightsError as error:
            raise ConfigError(
                f"{recipe.name} cannot start from the run {recipe.start!r}",
                found=" ".join(str(error.__cause__ or error).split())[:200],
                expected="a whole checkpoint of networks of the same widths",
                hint="give both recipes the same widths in [network]",
            ) from error


def origin(recipe: TrainedRecipe, folder: Path | None) -> Origin | None:
    """The run that `recipe.start` asks for, found in `folder`. Raises `ConfigError` where it is not there."""
    if recipe.start is None:
        return None
    steps = checkpoint.saved_steps(folder / "checkpoints") if folder else []
    path = folder / f"{recipe.start}.safetensors" if folder else None
    if folder is None or path is None or not path.is_file() or not steps:
        raise ConfigError(
            f"{recipe.name} starts from the run {recipe.start!r}",
            found=f"no finished run in {folder}" if folder else "no folder of that run",
            expected=f"{recipe.start}.safetensors and its checkpoints",
            hint=f"python -m generation train generation/recipes/{recipe.start}.toml first",
        )
    return Origin(folder / "checkpoints", steps[-1], weights.read_card(path))


def card(
    recipe: TrainedRecipe,
    trainee: Family[Any],
    films: Sequence[TrainingImages],
    steps: int,
    of_step: int,
    start: Origin | None,
) -> dict[str, Any]:
    """Everything a reader of the weights should know, as `weights.Card` wants it.

    What the starting run learned from counts too: its films shaped these weights.
    """
    described = trainee.describe()
    earlier = start.card.training["learned_from"] if start else {"films": [], "patients": []}
    used = {licence for side in films for licence in side.licences} | set(
        start.card.licences if start else []
    )
    sources = {name.split("/")[0] for side in films for name in side.image_ids}
    training: dict[str, Any] = {
        "recipe": recipe.model_dump(exclude={"release"}),
        "steps": steps,
        "films": {side.label: len(side.image_ids) for side in films},
        "fingerprints": {side.label: side.fingerprint() for side in films},
        "learned_from": {
            "films": sorted(
                {name for side in films for name in (*side.image_ids, *side.other_names)}
                | {*earlier["films"]}
            ),
            "patients": sorted({p for side in films for p in side.patient_ids} | {*earlier["patients"]}),
        },
        "sources": sorted(sources | set(start.card.training["sources"] if start else [])),
        "permissive": all(licences.is_permissive(licence) for licence in used),
        "torch": torch.__version__,
    }
    if of_step != steps:
        training["weights_of_step"] = of_step
    if start is not None:
        training["started_from"] = {"name": start.card.name, "sha256": start.card.sha256, "step": start.step}
    return {
        "name": f"{described['architecture']}.{recipe.tag or recipe.name}",
        **described,
        "licences": sorted(used),
        "training": training,
        "package_version": __version__,
    }
