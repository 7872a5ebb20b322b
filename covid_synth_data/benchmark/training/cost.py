"""The time that trainings of classifiers would take, measured on one batch of each network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covid_synth_data.benchmark.request import ClassificationRequest
from covid_synth_data.classifiers.registry import build, entry

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Cost:
    """Distinct images read, and seconds at most: `extraction` of fixed features, `training` of networks."""

    images: int = 0
    extraction: float = 0.0
    training: float = 0.0


def time_network(
    request: ClassificationRequest, model: str, classes: int, device: torch.device
) -> tuple[float, float]:
    """Seconds of one training step and of one film without training, each the better of two."""
    import torch
    from torch.nn import functional as F

    suite, batch = request.suite, request.suite.training_of(model).batch_size
    network = build(model, request.weights_of(model), 0, classes).to(device)
    if not entry(model).frozen:
        network = network.to(memory_format=torch.channels_last)
    side = suite.image_size
    films = torch.from_numpy(np.random.default_rng(0).random((batch, 1, side, side), np.float32)).to(device)
    target = torch.arange(batch, device=device) % classes

    def step() -> None:
        F.cross_entropy(network(films), target).backward()  # type: ignore[no-untyped-call]

    def features() -> None:
        with torch.inference_mode():
            network.features(films)

    step_seconds = 0.0 if entry(model).frozen else better_of_two(step, device)
    return step_seconds, better_of_two(features, device) / batch


def better_of_two(work: Callable[[], None], device: torch.device) -> float:
    """The shorter of the seconds that `work` takes on `device` when it is done twice."""
    import torch

    times = []
    for _ in range(2):
        start = time.monotonic()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.monotonic() - start)
    return min(times)
