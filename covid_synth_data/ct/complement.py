"""Complementing (jiang2020, Sect. III-E): the synthetic lung in the real slice, and the lung alone.

A complemented image holds pixels of a real patient and is made on the user's own copy of the real slices;
what is released is the lung alone.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from covid_synth_data.ct.labels import lung_field
from covid_synth_data.errors import MetricError

Pixel = TypeVar("Pixel", np.uint8, np.float32, np.float64)


def complement(
    synthetic_lung: npt.NDArray[Pixel], real: npt.NDArray[Pixel], mask: npt.NDArray[np.integer]
) -> npt.NDArray[Pixel]:
    """`real` with the pixels of `synthetic_lung` where `mask` shows lung or infection.

    All (..., height, width) or images (n, 1, height, width) with label maps (n, height, width); the two
    images of one type (uint8, or float in [0, 1]). Raises `MetricError` where shapes or types differ.
    """
    if synthetic_lung.dtype != real.dtype:
        raise MetricError(
            "images of two types cannot be combined",
            found=f"{synthetic_lung.dtype} and {real.dtype}",
            expected="both uint8, or both float in [0, 1]",
        )
    if synthetic_lung.shape != real.shape:
        raise MetricError(
            "synthetic and real image of different shapes", found=f"{synthetic_lung.shape} and {real.shape}"
        )
    return np.where(_field(real, mask), synthetic_lung, real)


def lung_only(image: npt.NDArray[Pixel], mask: npt.NDArray[np.integer]) -> npt.NDArray[Pixel]:
    """`image` where `mask` shows lung or infection, 0 elsewhere; shapes as for `complement`."""
    return np.where(_field(image, mask), image, image.dtype.type(0))


def _field(image: npt.NDArray[Pixel], mask: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Where there is lung, in the shape of `image`."""
    field = lung_field(mask)
    if image.ndim == 4 and field.ndim == 3 and image.shape[1] == 1:
        field = field[:, None]
    if field.shape != image.shape:
        raise MetricError("image and label map of different shapes", found=f"{image.shape} and {mask.shape}")
    return field
