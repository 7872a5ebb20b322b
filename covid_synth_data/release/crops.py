"""Crops of films: releases record them in the column `variant`, and trainings use them as augmentation."""

from __future__ import annotations

from typing import Final

import numpy as np

from covid_synth_data.files.pixels import Grey, resize

THOUSANDTHS: Final = 1000
Crop = tuple[int, int, int, int]
"""Margins (left, top, right, bottom) cut from a film, in thousandths of its width and height."""

WHOLE: Final[Crop] = (0, 0, 0, 0)


def variant_of(crop: Crop) -> str:
    """The crop as it is recorded in the column `variant`."""
    return "full" if crop == WHOLE else "crop:" + ",".join(map(str, crop))


def parse_variant(variant: str) -> Crop:
    """The crop that a `variant` records. Raises `ValueError`."""
    if variant == "full":
        return WHOLE
    kind, _, numbers = variant.partition(":")
    left, top, right, bottom = map(int, numbers.split(","))
    if kind != "crop":
        raise ValueError(f"no variant {variant!r}")
    return left, top, right, bottom


def cut(film: Grey, crop: Crop, size: int) -> Grey:
    """A film (height, width) cropped and resized to (size, size), uint8."""
    height, width = film.shape
    left, top, right, bottom = crop
    x0, x1 = round(width * left / THOUSANDTHS), width - round(width * right / THOUSANDTHS)
    y0, y1 = round(height * top / THOUSANDTHS), height - round(height * bottom / THOUSANDTHS)
    return resize(np.ascontiguousarray(film[y0:y1, x0:x1]), size)
