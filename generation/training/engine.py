"""Precision and compilation of a run: decided once, at its start, and recorded in its folder.

Whether bf16 is faster than fp32 on a CPU depends on the processor, so `training.precision = "auto"` times
steps of both. A run that goes on after a stop reads the record, so that it stays the same run.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import torch
from lightning_fabric import Fabric
from pydantic import Field, ValidationError

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.atomic import write_text
from covid_synth_data.files.models import FrozenModel
from generation.data.films import TrainingImages
from generation.recipe import TrainedRecipe, family

Precision = Literal["32-true", "bf16-mixed"]

RECORD: Final = "engine.json"
TIMED_BATCH: Final = 2
"""Fewest films in a batch of the timed steps: enough to tell the precisions apart, and seconds at full
size."""
CLEARLY: Final = 0.8
"""bf16 is taken where its step takes at most this share of the fp32 step. In a small network a smaller
difference is noise of the clock, and would give two runs of one recipe different weights."""
REPEATS: Final = 3


class Engine(FrozenModel):
    """Precision and compilation of a run. `cpu_seconds` are the step times that decided the precision."""

    precision: Precision
    compiled: bool
    because: str
    cpu_seconds: dict[str, float] = Field(default_factory=dict)
    threads: int
    processor: str


def decide(recipe: TrainedRecipe, films: Sequence[TrainingImages], folder: Path, device: str) -> Engine:
    """The engine of the run in `folder`: as recorded there, or decided now (`record` keeps it).

    `device` is cpu or cuda. Raises `ConfigError` where the record cannot be read.
    """
    path = folder / RECORD
    if path.is_file():
        return _read(path)
    compiled, why = _compilation(recipe, device)
    precision, seconds = _precision(recipe, films, device)
    return Engine(
        precision=precision,
        compiled=compiled,
        because=why,
        cpu_seconds=seconds,
        threads=torch.get_num_threads(),
        processor=platform.processor() or platform.machine(),
    )


def record(folder: Path, engine: Engine) -> None:
    """Write the engine of the run in `folder`, for whoever continues it. Raises `OutputError`."""
    write_text(folder / RECORD, engine.model_dump_json(indent=1) + "\n")


def _read(path: Path) -> Engine:
    try:
        return Engine.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"cannot read {path}",
            found=" ".join(str(error).split())[:200],
            expected="the record that was written at the start of the run",
            hint="delete it to have it decided again",
        ) from error


def _compilation(recipe: TrainedRecipe, device: str) -> tuple[bool, str]:
    """Whether the networks are compiled, and why."""
    if not recipe.training.compile:
        return False, "the recipe does not ask for compilation"
    if device == "cuda":
        return True, "the recipe asks for compilation"
    compiler = next(
        (name for name in (os.environ.get("CXX"), "g++", "clang++") if name and shutil.which(name)), None
    )
    if compiler is None:
        return False, "not compiled: no C++ compiler found (CXX, g++ or clang++)"
    return True, f"the recipe asks for compilation; {compiler} found"


def _precision(
    recipe: TrainedRecipe, films: Sequence[TrainingImages], device: str
) -> tuple[Precision, dict[str, float]]:
    """The recipe's precision; for "auto" bf16 on a GPU, and on a CPU where it is clearly faster than fp32."""
    requested = recipe.training.precision
    if requested != "auto":
        return requested, {}
    if device == "cuda":
        return "bf16-mixed", {}
    choices: tuple[Precision, Precision] = ("32-true", "bf16-mixed")
    seconds = {str(precision): round(_time_step(recipe, films, precision), 4) for precision in choices}
    faster = seconds["bf16-mixed"] <= CLEARLY * seconds["32-true"]
    return "bf16-mixed" if faster else "32-true", seconds


def _time_step(recipe: TrainedRecipe, films: Sequence[TrainingImages], precision: Precision) -> float:
    """CPU seconds of the fastest of some steps on a small batch, the first of all left out. CPU time, so that
    other processes count less."""
    schedule: dict[str, Any] = {"precision": precision, "compile": False, "ema": 0.0}
    small = _smallest(recipe)
    small = small.model_copy(update={"training": small.training.model_copy(update=schedule)})
    trainee = family(small.family)(small, Fabric(accelerator="cpu", devices=1, precision=precision))
    batches = trainee.batches(films)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        trainee.step(*batches.batch(0))
        seconds = []
        for _ in range(REPEATS):
            start = time.process_time()
            trainee.step(*batches.batch(0))
            seconds.append(time.process_time() - start)
    return min(seconds)


def _smallest(recipe: TrainedRecipe) -> TrainedRecipe:
    """The recipe with the smallest batch of `TIMED_BATCH` or more that its own rules allow: a discriminator
    that compares the films of a group needs whole groups."""
    content = recipe.model_dump()
    for size in range(min(TIMED_BATCH, recipe.training.batch_size), recipe.training.batch_size):
        try:
            return type(recipe).model_validate(
                {**content, "training": {**content["training"], "batch_size": size}}
            )
        except ValidationError:
            continue
    return recipe
