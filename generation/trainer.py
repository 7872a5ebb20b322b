"""The training loop of every family: batches, logging, checkpoints, previews, and going on after a stop.

The state of a run is (step, networks, optimisers). What is random in a step is drawn from (seed, epoch,
domain), never from a stream that a stop could interrupt, so a run that was killed and continued gives the
same weights, bit for bit on a CPU, as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from covid_synth_data import __version__
from covid_synth_data.atomic import output_errors, write_text
from covid_synth_data.errors import ConfigError, DivergedError
from covid_synth_data.generators import weights
from covid_synth_data.sources import licences
from generation import checkpoint, grid
from generation.films import Films
from generation.recipe import Recipe, family

Progress = Callable[[int, int, str], None]
"""Called with (step, all steps, a short text)."""

LOG_EVERY = 10


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, the weights file in it, and the number of steps."""

    folder: Path
    weights: Path
    steps: int


def make_fabric(recipe: Recipe, device: str = "auto", devices: int = 1) -> Fabric:
    """The engine: `device` auto, cpu or cuda; several `devices` share each batch between them."""
    accelerator = {"auto": "cuda" if torch.cuda.is_available() else "cpu"}.get(device, device)
    if accelerator not in ("cpu", "cuda") or (accelerator == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(
            f"the device {device!r} cannot be trained on",
            found="CUDA" if torch.cuda.is_available() else "no CUDA GPU",
            expected="auto, cpu or cuda",
            hint="choose --device auto",
        )
    precision = recipe.training.precision
    if precision == "auto":
        precision = "bf16-mixed" if accelerator == "cuda" else "32-true"
    strategy = "ddp" if devices > 1 else "auto"
    return Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)


class Batches:
    """Both domains on the device, cut into shuffled batches by (seed, epoch) alone."""

    def __init__(self, recipe: Recipe, films: tuple[Films, Films], fabric: Fabric) -> None:
        """Raises `ConfigError` when a domain has fewer films than a batch has places for devices."""
        self.recipe, self.fabric = recipe, fabric
        self.pixels = [torch.from_numpy(side.pixels).to(fabric.device) for side in films]
        self.count = len(films[0].pixels)
        self.batch_size = min(recipe.training.batch_size, self.count)
        self.per_epoch = self.count // self.batch_size
        if self.batch_size % fabric.world_size:
            raise ConfigError(
                f"a batch of {self.batch_size} cannot be shared by {fabric.world_size} devices",
                expected="a multiple of the number of devices",
                hint="change training.batch_size or --devices",
            )

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """This device's share of the batch of `step`: two float tensors (n, 1, h, w) in [-1, 1]."""
        epoch, index = divmod(step, self.per_epoch)
        mine = slice(
            index * self.batch_size + self.fabric.global_rank,
            (index + 1) * self.batch_size,
            self.fabric.world_size,
        )
        parts = []
        for domain, pixels in enumerate(self.pixels):
            random = np.random.default_rng([self.recipe.seed, 1 + epoch, domain])
            rows = torch.from_numpy(random.permutation(self.count)[mine]).to(pixels.device)
            x = pixels[rows].unsqueeze(1).float().div_(127.5).sub_(1)
            if self.recipe.training.flip:
                flips = torch.from_numpy(random.random(self.count)[mine] < 0.5).to(pixels.device)
                x = torch.where(flips[:, None, None, None], x.flip(-1), x)
            layout = torch.channels_last if x.device.type == "cuda" else torch.contiguous_format
            parts.append(x.contiguous(memory_format=layout))
        return parts[0], parts[1]


def train(
    recipe: Recipe, films: tuple[Films, Films], folder: Path, fabric: Fabric, progress: Progress
) -> Run:
    """Train to the end of the schedule in `folder`, going on from its newest checkpoint if it has one.

    Leaves `checkpoints/`, `metrics.jsonl` (one line a step), `samples/epoch-NNNN.png`, and the weights with
    their card. Raises `ConfigError` when the folder belongs to another recipe or other data,
    `DivergedError` when a loss is no longer finite (the last good checkpoint stays), `OutputError`.
    """
    trainee = family(recipe.family)(recipe, fabric)
    batches = Batches(recipe, films, fabric)
    total = recipe.training.epochs * batches.per_epoch
    identity = {
        "recipe": recipe.digest(),
        "films": [[side.label, side.fingerprint()] for side in films],
    }
    checkpoints = folder / "checkpoints"
    start = _resume(checkpoints, identity, trainee)
    log = _Log(folder / "metrics.jsonl", start, fabric.is_global_zero)

    def save(step: int) -> None:
        log.flush()
        if fabric.is_global_zero:
            checkpoint.save(checkpoints, step, trainee.networks, trainee.optimizers, identity)
        fabric.barrier()

    if start == 0:
        save(0)
    saved_at = time.monotonic()
    for step in range(start, total):
        losses = trainee.step(*batches.batch(step))
        log.add(step, step // batches.per_epoch, losses)
        done = step + 1
        epoch_ends = done % batches.per_epoch == 0
        if done % LOG_EVERY == 0 or epoch_ends:
            log.flush()
        # Rank 0's clock decides for all, since saving is a collective step.
        due = fabric.broadcast(time.monotonic() - saved_at > recipe.training.checkpoint_seconds)
        if epoch_ends or due:
            save(done)
            saved_at = time.monotonic()
        epoch = done // batches.per_epoch
        if epoch_ends and (epoch % recipe.training.preview_every == 0 or done == total):
            _preview(folder / "samples" / f"epoch-{epoch:04d}.png", trainee, batches, fabric)
        progress(done, total, f"epoch {epoch}/{recipe.training.epochs} {log.summary}")
    path = folder / f"{recipe.name}.safetensors"
    if fabric.is_global_zero:
        weights.save(path, trainee.inference_network().state_dict(), _card(recipe, films, total))
    fabric.barrier()
    return Run(folder, path, total)


def _resume(folder: Path, identity: dict[str, Any], trainee: Any) -> int:
    """Restore the newest checkpoint; 0 when there is none."""
    steps = checkpoint.found(folder)
    if not steps:
        return 0
    state = checkpoint.read_state(folder, steps[-1])
    for key, what in (("recipe", "another recipe"), ("films", "other training films")):
        if state.get(key) != identity[key]:
            raise ConfigError(
                f"{folder.parent} holds a run of {what}",
                expected="an empty folder or an earlier run of the same recipe on the same films",
                hint="choose another folder with --out, or remove this one",
            )
    checkpoint.restore(folder, steps[-1], trainee.networks, trainee.optimizers)
    return steps[-1]


class _Log:
    """`metrics.jsonl`, one line a step, written some steps at a time so that a GPU need not wait."""

    def __init__(self, path: Path, start: int, active: bool) -> None:
        self.path, self.active = path, active
        self.waiting: list[tuple[int, int, Tensor]] = []
        self.names: list[str] = []
        self.summary = ""
        if active and path.is_file():
            # Steps after the checkpoint are about to be done again.
            kept = []
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    break
                if record["step"] < start:
                    kept.append(line + "\n")
            write_text(path, "".join(kept))

    def add(self, step: int, epoch: int, losses: Any) -> None:
        self.names = list(losses)
        self.waiting.append((step, epoch, torch.stack([value.float() for value in losses.values()])))

    def flush(self) -> None:
        """Write what waits. Raises `DivergedError` on a loss that is not finite."""
        if not self.waiting:
            return
        values = torch.stack([row for _, _, row in self.waiting]).tolist()
        lines = []
        for (step, epoch, _), row in zip(self.waiting, values, strict=True):
            if not all(math.isfinite(value) for value in row):
                raise DivergedError(
                    f"training diverged at step {step}",
                    found=", ".join(f"{n} {v:g}" for n, v in zip(self.names, row, strict=True)),
                    expected="finite losses",
                    hint="lower training.learning_rate; the last good checkpoint is kept",
                )
            record: dict[str, float] = {"step": step, "epoch": epoch}
            record |= {n: float(f"{v:.6g}") for n, v in zip(self.names, row, strict=True)}
            lines.append(json.dumps(record) + "\n")
        means = [sum(column) / len(column) for column in zip(*values, strict=True)]
        self.summary = " ".join(f"{n} {v:.3f}" for n, v in zip(self.names, means, strict=True))
        self.waiting.clear()
        if self.active:
            with output_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.writelines(lines)


def _preview(path: Path, trainee: Any, batches: Batches, fabric: Fabric) -> None:
    """The first films of each domain and what the networks make of them, always the same films."""
    if fabric.is_global_zero:
        first = [pixels[:6].unsqueeze(1).float().div(127.5).sub(1) for pixels in batches.pixels]
        grid.write(path, trainee.preview(*first))
    fabric.barrier()


def _card(recipe: Recipe, films: tuple[Films, Films], steps: int) -> dict[str, Any]:
    """Everything a reader of the weights should know, as `weights.Card` wants it."""
    network = recipe.model_dump()["network"]
    used = sorted({licence for side in films for licence in side.licences})
    return {
        "name": f"{network['generator']}.{recipe.name}",
        "architecture": network["generator"],
        "options": {"width": network["width"]},
        "size": recipe.data.size,
        "source_class": recipe.data.source_class,
        "target_class": recipe.data.target_class,
        "licences": used,
        "training": {
            "recipe": recipe.model_dump(exclude={"release"}),
            "steps": steps,
            "films": {side.label: len(side.image_ids) for side in films},
            "fingerprints": {side.label: side.fingerprint() for side in films},
            "learned_from": {
                "films": sorted({name for side in films for name in (*side.image_ids, *side.other_names)}),
                "patients": sorted({name for side in films for name in side.patient_ids}),
            },
            "sources": sorted({i.split("/")[0] for side in films for i in side.image_ids}),
            "permissive": all(licences.is_permissive(licence) for licence in used),
            "torch": torch.__version__,
        },
        "package_version": __version__,
    }
