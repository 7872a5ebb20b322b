"""The part of the runner that needs torch: U-Nets trained, test slices segmented."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from covid_synth_data import machine
from covid_synth_data.benchmark.segmentation import training
from covid_synth_data.benchmark.segmentation.data import Slices
from covid_synth_data.benchmark.suite.segmentation import Profile
from covid_synth_data.benchmark.training.worker import LIBRARIES
from covid_synth_data.classifiers.networks import seeded

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TrainedUNet:
    """The outcome of one training, for its result file; `masks` are the predicted maps of the test slices."""

    masks: Grey
    fitted: training.Fitted
    code: machine.Code
    hardware: machine.Hardware


class Worker:
    """Trains the U-Net of a profile."""

    def __init__(self, settings: Profile, device: str) -> None:
        """Raises `ConfigError` for a device that is not there."""
        self.settings, self.device = settings, machine.pick_device(device)
        self.code = machine.code((*LIBRARIES, "monai"))

    def train(
        self,
        images: Grey,
        masks: Grey,
        sides: Mapping[str, Slices],
        seed: int,
        advance: Callable[[int], None],
    ) -> TrainedUNet:
        """Train on images and label maps (n, side, side), choose by validation, then segment the test slices.

        Raises `DivergedError`, `MissingExtra`.
        """
        alone = machine.one_thread() if self.device.type == "cpu" else contextlib.nullcontext()
        validation, test = sides["validation"], sides["test"]
        with alone, seeded(seed, self.device):
            network = training.build(self.settings.network, seed).to(self.device)
            fitted = training.fit(
                network,
                training.Pairs(images, masks),
                training.Pairs(validation.images, validation.masks),
                self.settings.training,
                seed=seed,
                device=self.device,
                advance=advance,
            )
            predicted = training.predict(network, test.images, self.device)
            hardware = machine.hardware(self.device)
        return TrainedUNet(predicted, fitted, self.code, hardware)
