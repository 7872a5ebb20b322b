"""Whether a mask shows two lungs: rules of size and place, without torch."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from covid_synth_data.preprocessing.harmonise import Box

Mask = npt.NDArray[np.bool_]

LEAST_AREA, MOST_AREA = 0.05, 0.70
"""Lung fields outside these shares of the film are not believed."""

THRESHOLDS: Final = (0.5, 0.7, 0.9)
"""What is as likely as this is taken for lung; the later ones where the ones before give no two lungs."""

BRIDGE: Final = 3
"""Bridges and spurs of up to twice this many pixels of the common side are cut."""

LEAST_RATIO: Final = 0.4
"""The smaller lung has at least this share of the larger one's area (outlines by hand: 0.61 or more)."""

LEAST_APART, MOST_ASKEW = 0.2, 0.2
"""Their centres are at least and at most this far apart, across and down, as shares of the film (outlines by
hand: 0.28 or more, 0.16 or less)."""

ELLIPSE: Final = (0.5, 0.47, 0.42, 0.40)
"""The substitute for lungs: an ellipse, centre x and y and half axes as shares of the film without frame."""


class Fields(NamedTuple):
    """The lung fields of a film: `mask` (COMMON_SIDE, COMMON_SIDE) over the film without its frame; whether
    the network `found` them, or the central ellipse stands in their place."""

    mask: Mask
    found: bool


def believed(likely: npt.NDArray[np.float32] | Mask) -> Fields:
    """The pixels whose `likely`, in [0, 1], is above the first threshold at which they look like two lungs: a
    higher threshold parts lungs that touch. The fixed ellipse if they do so at none."""
    for threshold in THRESHOLDS:
        lungs = two_lungs(likely >= threshold)
        if lungs is not None:
            return Fields(lungs, True)
    return Fields(ellipse(likely.shape[0]), False)


def two_lungs(mask: Mask) -> Mask | None:
    """The two largest regions of `mask` without thin bridges and spurs, holes filled; None unless they have
    the size and place of two lungs."""
    core = ndimage.binary_erosion(mask, iterations=BRIDGE, border_value=1)
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    largest = np.argsort(-sizes, kind="stable")[:2] + 1
    if len(largest) < 2:
        return None
    grown = [mask & ndimage.binary_dilation(labels == label, iterations=BRIDGE) for label in largest]
    regions = [ndimage.binary_fill_holes(region) for region in grown]
    areas = [float(region.mean()) for region in regions]
    (y, x), (other_y, other_x) = (ndimage.center_of_mass(region) for region in regions)
    side = mask.shape[0]
    fits = (
        LEAST_AREA <= sum(areas) <= MOST_AREA
        and min(areas) >= LEAST_RATIO * max(areas)
        and abs(x - other_x) >= LEAST_APART * side
        and abs(y - other_y) <= MOST_ASKEW * side
    )
    return regions[0] | regions[1] if fits else None


def ellipse(side: int) -> Mask:
    """The fixed central ellipse on a film of (side, side)."""
    x, y, across, down = ELLIPSE
    at = (np.arange(side) + 0.5) / side
    inside: Mask = ((at[None, :] - x) / across) ** 2 + ((at[:, None] - y) / down) ** 2 <= 1
    return inside


def placed(mask: Mask, box: Box, shape: tuple[int, ...], side: int) -> Mask:
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
