"""The part of the runner that needs torch: U-Nets trained, test slices segmented."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.segmentation import training
from covid_synth_data.benchmark.segmentation.data import Slices
from covid_synth_data.benchmark.segmentation.suite import Profile
from covid_synth_data.benchmark.training import worker
from covid_synth_data.classifiers.networks import seeded

Grey = npt.NDArray[np.uint8]

_LIBRARIES: Final = ("monai",)


@dataclass(frozen=True)
class Outcome:
    """What one training gives to its result file; `found` are the label maps of the test slices."""

    found: Grey
    fitted: training.Fitted
    code: results.Code
    hardware: results.Hardware


class Worker:
    """Trains the U-Net of a profile."""

    def __init__(self, settings: Profile, device: str) -> None:
        """Raises `ConfigError` for a device that is not there."""
        self.settings, self.device = settings, worker.pick_device(device)
        self.code = _code()

    def train(
        self,
        images: Grey,
        masks: Grey,
        sides: Mapping[str, Slices],
        seed: int,
        advance: Callable[[int], None],
    ) -> Outcome:
        """Train on images and label maps (n, side, side), choose by validation, then segment the test slices.

        Raises `DivergedError`, `MissingExtra`.
        """
        alone = worker.one_thread() if self.device.type == "cpu" else contextlib.nullcontext()
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
            found = training.predict(network, test.images, self.device)
            hardware = worker.hardware(self.device)
        return Outcome(found, fitted, self.code, hardware)


def _code() -> results.Code:
    """Versions of this package and of the libraries that its numbers depend on."""
    code = worker.code()
    found = dict(code.libraries)
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return code.model_copy(update={"libraries": found})
