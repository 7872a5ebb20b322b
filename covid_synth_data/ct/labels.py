"""The values of a label map, what they are called, and the colours in which the paper shows them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data import schema
from covid_synth_data.errors import BadImage

Mask = npt.NDArray[np.uint8]

BACKGROUND: Final = 0
LUNG: Final = 1
GGO: Final = 2
CONSOLIDATION: Final = 3
NAMES: Final = schema.MASK_LABELS
COUNT: Final = len(NAMES)

COLOURS: Final = ((0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0))
"""Red, green, blue of each value, as in jiang2020, Fig. 1: lung, then ground glass, then consolidation."""


def lung_field(mask: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where the slice shows lung, healthy or not; the shape of `mask`."""
    return np.asarray(mask != BACKGROUND)


def infection(mask: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where the slice shows ground-glass opacity or consolidation; the shape of `mask`."""
    return np.asarray(mask >= GGO)


def check(mask: npt.NDArray[np.integer], name: str = "the label map") -> Mask:
    """`mask` as uint8. Raises `BadImage` naming `name` where it has a value that is no label."""
    unknown = [int(value) for value in np.unique(mask) if not 0 <= value < COUNT]
    if unknown:
        raise BadImage(
            f"{name} has values that are no label",
            found=", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else ""),
            expected="; ".join(f"{value} {label}" for value, label in enumerate(NAMES)),
            hint="take the label maps as published, as grey PNG without resampling",
        )
    return np.asarray(mask, np.uint8)


def colour(mask: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """The label map in `COLOURS`: uint8 (..., 3). Raises `BadImage`."""
    return np.array(COLOURS, np.uint8)[check(mask)]


def overlay(
    image: npt.NDArray[np.floating] | npt.NDArray[np.uint8],
    mask: npt.NDArray[np.integer],
    opacity: float = 0.4,
) -> npt.NDArray[np.uint8]:
    """The slice, grey float in [0, 1] or uint8, with its labels over it in `COLOURS`: uint8 (..., 3)."""
    grey = np.asarray(image, np.float32) * (1 if image.dtype == np.uint8 else 255)
    shown = np.repeat(grey[..., None], 3, -1)
    share = np.where(lung_field(mask)[..., None], np.float32(opacity), np.float32(0))
    return np.asarray(np.clip(np.rint(shown * (1 - share) + colour(mask) * share), 0, 255), np.uint8)
