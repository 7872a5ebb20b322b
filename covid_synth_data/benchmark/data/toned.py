"""Films whose tone is changed at random, smoothly, with nothing learned: a control for translations.

A generator that changes local contrast and brightness makes films that differ from their sources in two ways:
in what it learned of the target class, and in that tone was changed at all. These films have the
second alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.files.pixels import Grey

CELLS: Final = 6
"""The fields are drawn on a grid of so many cells a side and interpolated: smooth, as those of
`cyclegan-unet-tone` are."""


def random_tone(film: Grey, change: float, seed: tuple[int, ...]) -> Grey:
    """`film` (height, width), uint8, with a random field of gain and one of offset.

    Their strength is such that the mean absolute change is `change` grey levels, as far as the range from 0
    to 255 allows. The outcome depends on the arguments alone.
    """
    rng = np.random.default_rng(seed)
    gain, offset = _field(rng, film.shape), _field(rng, film.shape)
    pixels = film.astype(np.float64)
    delta = (pixels - 128) / 64 * gain + offset
    # Clipping makes the change grow more slowly than the strength: halve the interval until it fits.
    low, high = 0.0, 512.0
    for _ in range(20):
        strength = (low + high) / 2
        reached = np.abs(np.clip(pixels + strength * delta, 0, 255) - pixels).mean()
        low, high = (strength, high) if reached < change else (low, strength)
    return np.asarray(np.clip(pixels + low * delta, 0, 255).round(), np.uint8)


def _field(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """A smooth field of mean 0 and deviation 1."""
    grid = Image.fromarray(rng.normal(size=(CELLS, CELLS)).astype(np.float32))
    field = np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float64)
    return np.asarray((field - field.mean()) / field.std())
