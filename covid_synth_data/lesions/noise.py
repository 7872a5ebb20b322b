"""Cloudy noise of a stated size of clouds, and resampling between the grid and the film.

Planes are resampled by two small matrix products, which cost less than a library's call at these sizes. The
matrices hold Pillow's own weights.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from PIL import Image
from scipy import ndimage

from covid_synth_data.lesions.coordinates import GRID, Plane

Window = tuple[slice, slice]
"""Rows and columns of a film."""

WHOLE: Final = (slice(None), slice(None))

OCTAVES: Final = 3
"""Each further octave has half the size of clouds and `FALL` of the amplitude."""

FALL: Final = 0.5

_MARGIN: Final = 1.5
"""Noise is drawn this much beyond each edge of the grid, in clouds, so that the edges are not flat."""


def clouds(random: np.random.Generator, cells: float) -> Plane:
    """Noise of zero mean and unit spread, float32 (GRID, GRID): about `cells` clouds across and down."""
    total = np.zeros((GRID, GRID), np.float32)
    for octave in range(OCTAVES):
        count = min(max(round(cells * 2**octave), 1), GRID)
        coarse = random.standard_normal((count + 3, count + 3), np.float32)
        weights = _weights(count + 3, GRID, Image.Resampling.BICUBIC, _MARGIN)
        total += np.float32(FALL**octave) * (weights @ coarse @ weights.T)
    total -= total.mean()
    spread: Plane = total / np.float32(max(float(total.std()), 1e-6))
    return spread


def enlarge(plane: Plane, shape: tuple[int, ...], window: Window = WHOLE) -> Plane:
    """The square `plane` over the whole of a film of `shape` (h, w), bicubic; the part `window` of that."""
    down, across = (_weights(len(plane), side, Image.Resampling.BICUBIC) for side in shape)
    return np.asarray(down[window[0]] @ plane @ across[window[1]].T, np.float32)


def shrink(film: Plane) -> Plane:
    """The means of `film` (h, w) over the cells of the grid: float32 (GRID, GRID)."""
    down, across = (_weights(side, GRID, Image.Resampling.BOX) for side in film.shape)
    return np.asarray(down @ film @ across.T, np.float32)


def blur(plane: Plane, spread: float) -> Plane:
    """`plane` (GRID, GRID) under a Gaussian of standard deviation `spread`, in cells, zeros around it."""
    weights = _gaussian(spread)
    return np.asarray(weights @ plane @ weights.T, np.float32)


@functools.lru_cache(maxsize=8)
def _gaussian(spread: float) -> Plane:
    unit = np.eye(GRID, dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter1d(unit, spread, axis=0, mode="constant"), np.float32)


@functools.lru_cache(maxsize=256)
def _weights(before: int, after: int, how: Image.Resampling, margin: float = 0.0) -> Plane:
    """The matrix (after, before) that resamples a line without its `margin` at both ends."""
    unit = Image.fromarray(np.eye(before, dtype=np.float32))
    box = (0.0, margin, float(before), before - margin)
    return np.asarray(unit.resize((before, after), how, box=box), np.float32)
