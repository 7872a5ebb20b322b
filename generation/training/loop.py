"""The training loop of every family: batches, logging, checkpoints, evaluations, and going on after a stop.

The state of a run is (step, networks, optimisers). What is random in a step is drawn from (seed, step) or
(seed, epoch), never from a stream that a stop could interrupt, so a run that was killed and continued gives
the same weights, bit for bit on a CPU, as one that was not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.lock import locked
from covid_synth_data.generators import weights
from generation.data.films import TrainingImages
from generation.recipe import TrainedRecipe, family
from generation.training import checkpoint, lineage
from generation.training.engine import Engine, record
from generation.training.evaluation import Evaluations
from generation.training.family import Family
from generation.training.log import Log

Progress = Callable[[int, int, str], None]
"""Called with (step, all steps, a short text)."""

LOG_EVERY = 10


@dataclass(frozen=True)
class FinishedRun:
    """A finished training: its folder, the weights file in it, and the number of steps."""

    folder: Path
    weights: Path
    steps: int


def accelerator_of(device: str) -> str:
    """cpu or cuda for `device`, which may be auto. Raises `ConfigError` where it cannot be trained on."""
    accelerator = {"auto": "cuda" if torch.cuda.is_available() else "cpu"}.get(device, device)
    if accelerator not in ("cpu", "cuda") or (accelerator == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(
            f"the device {device!r} cannot be trained on",
            found="CUDA" if torch.cuda.is_available() else "no CUDA GPU",
            expected="auto, cpu or cuda",
            hint="choose --device auto",
        )
    return accelerator


def make_fabric(
    recipe: TrainedRecipe, device: str = "auto", devices: int = 1, engine: Engine | None = None
) -> Fabric:
    """The device and the precision: `device` auto, cpu or cuda; several `devices` share each batch.

    `engine` has the precision that was decided for the run. Without it "auto" is bf16 on CUDA, fp32 on a CPU.
    """
    accelerator = accelerator_of(device)
    precision = engine.precision if engine else recipe.training.precision
    if precision == "auto":
        precision = "bf16-mixed" if accelerator == "cuda" else "32-true"
    strategy = "ddp" if devices > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)


def train(
    recipe: TrainedRecipe,
    films: Sequence[TrainingImages],
    folder: Path,
    fabric: Fabric,
    progress: Progress,
    start_from: Path | None = None,
    engine: Engine | None = None,
) -> FinishedRun:
    """Train to the end of the schedule in `folder`, going on from its newest checkpoint if it has one.

    `start_from` is the finished run that `recipe.start` names; `engine` is what was decided for this run.
    Leaves `checkpoints/`, `metrics.jsonl` (one line a step), `looks.jsonl` (one line an evaluation),
    `samples/step-NNNNNNNN.png`, and the weights with their card. Raises `ConfigError` when the folder belongs
    to another recipe or other data, `DivergedError` when a loss is no longer finite or the samples are all
    alike (the last good checkpoint stays), `OutputError` also where another training runs in the folder.
    """
    # Of several devices that share the batches, the first holds the lock for all.
    lock = locked(folder, "a training") if fabric.is_global_zero else contextlib.nullcontext()
    with lock:
        return _train(recipe, films, folder, fabric, progress, start_from, engine)


def _train(
    recipe: TrainedRecipe,
    films: Sequence[TrainingImages],
    folder: Path,
    fabric: Fabric,
    progress: Progress,
    start_from: Path | None,
    engine: Engine | None,
) -> FinishedRun:
    # Networks, batches, and what this run must agree on with its checkpoints.
    trainee: Family[Any] = family(recipe.family)(recipe, fabric)
    if engine.compiled if engine else fabric.device.type == "cuda" and recipe.training.compile:
        trainee.compile()
    batches = trainee.batches(films)
    schedule = recipe.training
    total = schedule.steps or (schedule.epochs or 0) * batches.per_epoch
    origin = lineage.origin(recipe, start_from)
    identity = {
        "recipe": recipe.digest(),
        "films": [[side.label, side.fingerprint()] for side in films],
        "start": origin.digest if origin else "",
    }
    # Go on from a checkpoint, or start from fresh weights or those of another run.
    checkpoints = folder / "checkpoints"
    step = _resume(checkpoints, identity, trainee)
    if step is None and origin is not None:
        origin.take_over(recipe, trainee.starting())
    # All devices have looked for a checkpoint before one of them writes the first.
    fabric.barrier()
    log = Log(folder / "metrics.jsonl", step or 0, fabric.is_global_zero, schedule.loss_limit)
    evaluations = Evaluations(folder, trainee, batches, total, step or 0)

    def save(done: int) -> None:
        log.flush()
        if fabric.is_global_zero and not evaluations.suspicious:
            checkpoint.save(checkpoints, done, trainee.networks, trainee.optimizers, identity)
        fabric.barrier()

    # Train: a step, its losses, and at times an evaluation and a checkpoint.
    if step is None:
        save(0)
        # Not before: a folder that is refused, or a full disk, is left as it was.
        if engine is not None and fabric.is_global_zero:
            record(folder, engine)
    saved_at = time.monotonic()
    for now in range(step or 0, total):
        batch = batches.batch(now)
        trainee.begin(now, total)
        with _seeded(recipe.seed, now, fabric):
            losses = trainee.step(*batch)
        log.add(now, now // batches.per_epoch, losses)
        done = now + 1
        if done % LOG_EVERY == 0:
            log.flush()
        evaluating = done in evaluations.at
        if evaluating and fabric.is_global_zero:
            log.flush()
            # Eager: other shapes would compile anew, and a run that goes on would then have other kernels.
            with torch.compiler.set_stance("force_eager"):
                evaluations.evaluate(done)
        # Rank 0's clock decides for all, since saving is a collective step.
        if fabric.broadcast(evaluating or time.monotonic() - saved_at > schedule.checkpoint_seconds):
            save(done)
            saved_at = time.monotonic()
        progress(done, total, f"epoch {now // batches.per_epoch + 1} {log.summary}")
    # The weights for releases, with their card.
    path = folder / f"{recipe.name}.safetensors"
    if fabric.is_global_zero:
        tensors, of_step = evaluations.kept()
        weights.save(path, tensors, lineage.card(recipe, trainee, films, total, of_step, origin))
    fabric.barrier()
    return FinishedRun(folder, path, total)


@contextlib.contextmanager
def _seeded(seed: int, step: int, fabric: Fabric) -> Iterator[None]:
    """Torch's generator as a function of (seed, step, rank) within a step, and as it was after it."""
    on_gpu = fabric.device.type == "cuda"
    with torch.random.fork_rng(devices=[fabric.device] if on_gpu else []):
        entropy = np.random.SeedSequence([seed, step, fabric.global_rank]).generate_state(1)
        torch.manual_seed(int(entropy[0]))
        yield


def _resume(folder: Path, identity: dict[str, Any], trainee: Family[Any]) -> int | None:
    """Restore the newest checkpoint and return its step; None when there is none."""
    steps = checkpoint.saved_steps(folder)
    if not steps:
        return None
    state = checkpoint.read_state(folder, steps[-1])
    for key, what in (
        ("recipe", "another recipe"),
        ("films", "other training films"),
        ("start", "other starting weights"),
    ):
        if state.get(key) != identity[key]:
            raise ConfigError(
                f"{folder.parent} holds a run of {what}",
                expected="an empty folder or an earlier run of the same recipe on the same films",
                hint="choose another folder with --out, or remove this one",
            )
    checkpoint.restore(folder, steps[-1], trainee.networks, trainee.optimizers)
    return steps[-1]
