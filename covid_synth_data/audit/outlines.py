"""The lungs of a film as numbers: area, balance, place, the side of the heart, the field of view."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import harmonise, lung_shapes, lungs

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

REVISION: Final = 1
"""Counted up with every change of what is measured."""

MARGIN: Final = 3
"""Pixels of 64 around the lungs that do not count as outside of them."""

MEASURES: Final = {
    "found": "lungs found by the network, 1 or 0",
    "lung-area": "area of both lungs, as a share of the film without its frame",
    "left-right-ratio": "area of the lung at the left of the picture over that at the right",
    "height": "height of the box of both lungs, as a share of the film: the field of view",
    "width": "width of the box of both lungs, as a share of the film",
    "centre-across": "centre of both lungs from the left, as a share of the film",
    "centre-down": "centre of both lungs from the top, as a share of the film",
    "heart-side": "mean grey of the inner third of the lung at the right of the picture less that at the left"
    ", in the lower half of the lungs, as a share of white; positive for a heart in its usual place",
}
"""What is measured, in the order of the columns; all but the first only where lungs were found."""

ANATOMY: Final = tuple(MEASURES)[1:]


class Outlines(NamedTuple):
    """`measures` float32 (n, 8), columns as in `MEASURES`; `masks` bool (n, side, side) over whole films."""

    measures: Floats
    masks: Mask

    @classmethod
    def of_rows(cls, rows: npt.NDArray[Any], side: int) -> Outlines:
        """Undo what `row` did."""
        count = len(MEASURES)
        return cls(rows[:, :count], rows[:, count:].reshape(-1, side, side) > 0)

    @property
    def with_lungs(self) -> Mask:
        """Where the network found two lungs, (n,)."""
        return np.asarray(self.measures[:, 0] > 0, bool)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """A measure of the films with lungs, float64."""
        return np.asarray(self.measures[self.with_lungs, tuple(MEASURES).index(name)], np.float64)


def row(grey: Grey, side: int) -> Floats:
    """The measures of a film and its outline at (side, side), as one row of float32."""
    box = harmonise.without_frame(grey)
    fields = lungs.find(grey)
    numbers = np.zeros(len(ANATOMY))
    if fields.found:
        numbers = measured(fields.mask, harmonise.reduced(grey, box))
    whole = lung_shapes.placed(fields.mask, box, grey.shape, side)
    return np.concatenate([[fields.found], numbers, whole.ravel()]).astype(np.float32)


def measured(mask: Mask, film: Floats) -> npt.NDArray[np.float64]:
    """The numbers of `ANATOMY` of an outline (h, w) of two lungs on a film (h, w) in [0, 255]."""
    height, width = mask.shape
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    pair = np.argsort(-sizes, kind="stable")[:2] + 1
    by_place = sorted(pair, key=lambda label: ndimage.center_of_mass(labels == label)[1])
    left, right = (labels == by_place[0], labels == by_place[-1])
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    down, across = ndimage.center_of_mass(mask)
    return np.array(
        [
            mask.mean(),
            left.sum() / max(right.sum(), 1),
            (rows[-1] + 1 - rows[0]) / height,
            (columns[-1] + 1 - columns[0]) / width,
            (across + 0.5) / width,
            (down + 0.5) / height,
            _heart_side(left, right, film),
        ]
    )


def _heart_side(left: Mask, right: Mask, film: Floats) -> float:
    """The difference of grey between the inner thirds of both lungs in the lower half of the lungs.

    The outlines take the lung behind the heart for lung, so it is the grey that tells where the heart is.
    """
    rows = np.flatnonzero((left | right).any(axis=1))
    lower = np.zeros(left.shape, bool)
    lower[(rows[0] + rows[-1] + 1) // 2 :] = True
    greys = [
        float(film[part].mean())
        for part in (_inner(left[:, ::-1] & lower)[:, ::-1], _inner(right & lower))
        if part.any()
    ]
    return (greys[1] - greys[0]) / 255 if len(greys) == 2 else 0.0


def _inner(lung: Mask) -> Mask:
    """The first third of each row of a lung."""
    across = np.cumsum(lung, axis=1)
    return lung & (across <= np.ceil(across[:, -1:] / 3))


def grown(mask: Mask) -> Mask:
    """An outline (64, 64) with its margin."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=MARGIN), bool)
