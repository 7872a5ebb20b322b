"""What a call of the benchmark would do and what that would cost, without training anything.

Costs are measured, not guessed: one batch of each network is timed on the device that would be used. As early
stopping cannot be foreseen, a network's time is an upper limit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from covid_synth_data.benchmark.request import Run
from covid_synth_data.benchmark.running.bench import Bench, Prepared, done
from covid_synth_data.benchmark.training import worker
from covid_synth_data.classifiers.registry import CLASSIFIERS, build


@dataclass(frozen=True)
class Line:
    """All runs of one model on one task: how many, how many of them are done, how many distinct films those
    that are left read, and the seconds that they take at most, of which `extraction` are for fixed
    features."""

    task: str
    model: str
    runs: int
    done: int
    films: int
    extraction: float
    training: float

    @property
    def seconds(self) -> float:
        """Both together."""
        return self.extraction + self.training


def estimate(bench: Bench, runs: Sequence[Run]) -> list[Line]:
    """A line for each task and model; folds are summed. Raises what `Bench.prepare` does."""
    found: dict[tuple[str, str], list[tuple[Prepared, bool]]] = {}
    tested: dict[str, set[str]] = {}
    for part, prepared in bench.parts(runs):
        for one in prepared:
            tested.setdefault(one.run.task, set()).update(part.ids["validation"], part.ids["test"])
            found.setdefault((one.run.task, one.run.model), []).append((one, done(one)))
    return [_line(bench, task, model, rows, tested[task]) for (task, model), rows in found.items()]


def _line(
    bench: Bench, task: str, model: str, rows: Sequence[tuple[Prepared, bool]], tested: set[str]
) -> Line:
    pending = [one for one, ready in rows if not ready]
    films = {name for one in pending for name in one.train.ids} | (tested if pending else set())
    extraction = training = 0.0
    if pending:
        suite, device = bench.suite, worker.pick_device(bench.settings.device)
        settings = suite.training_of(model)
        step, film = _time(bench, model, len(pending[0].train.classes), settings.batch_size, device)
        if CLASSIFIERS[model].frozen:
            views = {
                name
                for one in pending
                if suite.regimes[one.run.regime].augment == "plain"
                for name in one.train.ids
            }
            extraction = film * (len(films) + suite.augment_views * len(views))
        else:
            steps = sum(-(-len(one.train.ids) // settings.batch_size) for one in pending)
            training = settings.max_epochs * (steps * step + len(pending) * len(tested) * film)
    return Line(task, model, len(rows), len(rows) - len(pending), len(films), extraction, training)


def _time(bench: Bench, model: str, classes: int, batch: int, device: torch.device) -> tuple[float, float]:
    """Seconds of one training step and of one film without training, each the better of two."""
    weights = bench.settings.weights or bench.suite.models[model].weights
    network = build(model, weights, 0, classes).to(device)
    side = bench.suite.image_size
    films = torch.from_numpy(np.random.default_rng(0).random((batch, 1, side, side), np.float32)).to(device)
    target = torch.arange(batch, device=device) % classes
    steps, passes = [], []
    for _ in range(2):
        if not CLASSIFIERS[model].frozen:
            start = time.monotonic()
            F.cross_entropy(network(films), target).backward()  # type: ignore[no-untyped-call]
            _wait(device)
            steps.append(time.monotonic() - start)
        start = time.monotonic()
        with torch.inference_mode():
            network.features(films)
        _wait(device)
        passes.append((time.monotonic() - start) / batch)
    return min(steps, default=0.0), min(passes)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
