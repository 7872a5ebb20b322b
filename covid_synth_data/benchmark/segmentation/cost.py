"""The time that a training of a U-Net would take, measured on one batch."""

from __future__ import annotations

import numpy as np
import torch

from covid_synth_data.benchmark.segmentation import training
from covid_synth_data.benchmark.suite.segmentation import Profile
from covid_synth_data.benchmark.training.cost import better_of_two


def time_network(profile: Profile, side: int, device: torch.device) -> tuple[float, float]:
    """Seconds of one training step and of one slice without training, each the better of two."""
    batch = profile.training.batch_size
    network = training.build(profile.network, 0).to(device)
    slices = np.random.default_rng(0).integers(0, 256, (batch, side, side), np.uint8)
    labels = slices % training.CLASSES

    def step() -> None:
        network.train()
        training.loss_of(network, profile.training, slices, labels, device).backward()  # type: ignore[no-untyped-call]

    def predict() -> None:
        training.predict(network, slices, device)

    return better_of_two(step, device), better_of_two(predict, device) / batch
