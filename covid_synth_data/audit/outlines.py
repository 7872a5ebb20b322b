"""The lungs of a film as numbers: area, balance, place, the side of the heart, the field of view."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import harmonise, lungs

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
    "heart-side": "how far the mediastinum reaches to the right of the picture more than to the left, in the"
    " lower half of the lungs, over the width of the box; positive for a heart in its usual place",
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
    def found(self) -> Mask:
        """Where the network found two lungs, (n,)."""
        return self.measures[:, 0] > 0

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """A measure of the films with lungs, float64."""
        return self.measures[self.found, tuple(MEASURES).index(name)].astype(np.float64)


def row(grey: Grey, side: int) -> Floats:
    """The measures of a film and its outline at (side, side), as one row of float32."""
    box = harmonise.without_frame(grey)
    fields = lungs.find(grey)
    numbers = measured(fields.mask) if fields.found else np.zeros(len(ANATOMY))
    whole = placed(fields.mask, box, grey.shape, side)
    return np.concatenate([[fields.found], numbers, whole.ravel()]).astype(np.float32)


def measured(mask: Mask) -> npt.NDArray[np.float64]:
    """The numbers of `ANATOMY` of an outline (h, w) of two lungs."""
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
            _heart_side(left, right, rows, columns),
        ]
    )


def _heart_side(left: Mask, right: Mask, rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> float:
    """How much further the gap between the lungs reaches to the right of their upper middle than to the left.

    The middle is that of the gap in the upper half, where the mediastinum lies around the spine.
    """
    middle = (rows[0] + rows[-1] + 1) // 2
    upper, lower = _gap(left[:middle], right[:middle]), _gap(left[middle:], right[middle:])
    if upper is None or lower is None:
        return 0.0
    spine = (upper[0] + upper[1]) / 2
    return float(((lower[1] - spine) - (spine - lower[0])) / (columns[-1] + 1 - columns[0]))


def _gap(left: Mask, right: Mask) -> tuple[float, float] | None:
    """Mean column at which the left lung ends and the right one begins, over rows with both."""
    both = left.any(axis=1) & right.any(axis=1)
    if not both.any():
        return None
    width = left.shape[1]
    ends = width - np.argmax(left[both][:, ::-1], axis=1)
    starts = np.argmax(right[both], axis=1)
    return float(ends.mean()), float(starts.mean())


def placed(mask: Mask, box: harmonise.Box, shape: tuple[int, ...], side: int) -> Mask:
    """An outline over the part `box` of a film as one over the whole film, at (side, side)."""
    height, width = shape
    left, right = (round(side * edge / width) for edge in (box.left, box.right))
    top, bottom = (round(side * edge / height) for edge in (box.top, box.bottom))
    size = (max(right - left, 1), max(bottom - top, 1))
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    whole = np.zeros((side, side), bool)
    part = np.asarray(small) >= 128
    whole[top : top + size[1], left : left + size[0]] = part[: side - top, : side - left]
    return whole


def grown(mask: Mask) -> Mask:
    """An outline (64, 64) with its margin."""
    return np.asarray(ndimage.binary_dilation(mask, iterations=MARGIN), bool)
