"""Lung coordinates: where a point lies in its lung, the same for a small lung and a large one.

    side    the patient's right lung (left in the picture) or the left one
    down    0 at the apex, 1 at the base
    out     0 at the hilum, 1 at the chest wall

They live on a coarse grid (`GRID` x `GRID` over the whole film), whatever the size of the film: lesions are
larger than a cell, so the same lesion can be painted at any resolution.
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]

GRID: Final = 64

RIGHT, LEFT = 1, 2
"""The codes of `Coordinates.side`, for the patient's right and left lung; 0 is no lung."""

LEAST_AREA: Final = 0.015
"""Each lung covers at least this share of the film."""

LEAST_RATIO: Final = 0.2
"""The smaller lung has at least this share of the larger one's area."""

LEAST_APART: Final = 0.15
"""The centres of the lungs are at least this far apart across the film, as a share of its width."""

SMOOTH: Final = 1.5
"""Standard deviation, in rows of the grid, of the smoothing of a lung's edges before `out` is measured."""

_THRESHOLDS: Final = (0.5, 0.8, 0.98)
"""Covered shares of a cell that count as lung, tried in order: a higher one parts lungs that touch."""


class Coordinates(NamedTuple):
    """The lung coordinates of a film, (GRID, GRID) each.

    `side` is 0 outside the lungs. `half` is `RIGHT` or `LEFT` everywhere: the lung that a point is nearer to
    across the film. `down` and `out` go on smoothly outside the lungs, below 0 and above 1, so that a field
    over them has no edge at the lung's border.
    """

    side: Codes
    half: Codes
    down: Plane
    out: Plane


def locate(lungs: Mask) -> Coordinates | None:
    """The coordinates in the two lungs of `lungs` (h, w); None where it does not show two lungs."""
    covered = to_grid(lungs)
    for threshold in _THRESHOLDS:
        regions = _two_regions(covered >= threshold)
        if regions is not None:
            return measure(*regions)
    return None


def to_grid(mask: Mask) -> Plane:
    """The share of each cell of the grid that `mask` (h, w) covers: float32 (GRID, GRID) in [0, 1]."""
    image = Image.fromarray(mask).convert("L").resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / np.float32(255)


def measure(right: Mask, left: Mask) -> Coordinates:
    """The coordinates in two regions (GRID, GRID), of which `right` lies at the left of the picture."""
    at = np.arange(GRID, dtype=np.float32) + np.float32(0.5)
    (wall, hilum), (other_hilum, other_wall) = _edges(right), _edges(left)
    on_right = at[None, :] < ((hilum + other_hilum) / 2)[:, None]
    start, end = (
        np.where(on_right, hilum[:, None], other_hilum[:, None]),
        np.where(on_right, wall[:, None], other_wall[:, None]),
    )
    apart = np.where(on_right, np.minimum(end - start, -2), np.maximum(end - start, 2))
    out = np.clip((at[None, :] - start) / apart, -0.5, 1.5)
    heights = [_height(region, at)[:, None] for region in (right, left)]
    down = np.where(on_right, *heights)
    side = (RIGHT * right + LEFT * left).astype(np.int8)
    half = np.where(on_right, RIGHT, LEFT).astype(np.int8)
    return Coordinates(side, half, down.astype(np.float32), out.astype(np.float32))


def _edges(region: Mask) -> tuple[Plane, Plane]:
    """The left and right edge of `region` in each row (GRID,), smoothed; rows without it take their
    neighbours'."""
    rows = np.flatnonzero(region.any(axis=1))
    first = region.argmax(axis=1)[rows]
    last = GRID - region[:, ::-1].argmax(axis=1)[rows]
    every = np.arange(GRID)
    left, right = (_smoothing() @ np.interp(every, rows, edge) for edge in (first, last))
    return left.astype(np.float32), right.astype(np.float32)


@functools.lru_cache(maxsize=1)
def _smoothing() -> npt.NDArray[np.float64]:
    """The matrix (GRID, GRID) of a Gaussian filter over the rows."""
    return np.asarray(ndimage.gaussian_filter1d(np.eye(GRID), SMOOTH, axis=0, mode="nearest"))


def _height(region: Mask, at: Plane) -> Plane:
    """How far down each row (GRID,) is: 0 at the top of `region`, 1 at its bottom."""
    rows = np.flatnonzero(region.any(axis=1))
    return np.asarray(np.clip((at - rows[0]) / (rows[-1] + 1 - rows[0]), -0.5, 1.5), np.float32)


def _two_regions(mask: Mask) -> tuple[Mask, Mask] | None:
    """The two largest regions of `mask`, from left to right, where they can be a pair of lungs."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return None
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    larger, smaller = np.argsort(-sizes, kind="stable")[:2]
    if sizes[smaller] < max(LEAST_AREA * mask.size, LEAST_RATIO * sizes[larger]):
        return None
    pair = [(labels == label + 1) for label in (larger, smaller)]
    centres = [float(np.nonzero(region)[1].mean()) for region in pair]
    if abs(centres[0] - centres[1]) < LEAST_APART * GRID:
        return None
    return (pair[0], pair[1]) if centres[0] < centres[1] else (pair[1], pair[0])
