"""How alike two films are whatever was done to their tone and margins: the correlation of local contrast.

Ribs, vessels, devices and letters are where local contrast is; a change of brightness or contrast over wider
areas leaves it as it is. A crop moves it, so the films of the gallery are cropped in several ways.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Greys = npt.NDArray[np.uint8]

FINE: Final = 1.5
"""Standard deviation in pixels of the blur whose difference from the film is its detail."""

WIDE: Final = 5.0
"""Standard deviation in pixels of the neighbourhood in which detail is brought to one strength."""

CUT: Final = 2
"""Pixels that a crop of the gallery cuts from a side: 3 % of the small pictures."""

_AT_ONCE: Final = 512
_EDGE: Final = 3
_FLOOR: Final = 2.0
"""Grey levels of detail below which a neighbourhood counts as flat."""


def likeness(films: Greys, gallery: Greys) -> Floats:
    """The likeness (n, m), -1 to 1, of films (n, side, side) to those of a gallery (m, side, side).

    Of each gallery film it is the greatest over 16 crops: 0 or `CUT` pixels off each side.
    """
    rows = details(films.astype(np.float32))
    side = gallery.shape[1]
    best = np.full((len(films), len(gallery)), -1, np.float32)
    for start in range(0, len(gallery), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        some = gallery[part].astype(np.float32)
        for top, bottom, left, right in product((0, CUT), repeat=4):
            down, across = _stretch(side, top, bottom), _stretch(side, left, right)
            cropped = down @ some @ across.T
            best[:, part] = np.maximum(best[:, part], rows @ details(cropped).T)
    return best


def details(films: Floats) -> Floats:
    """The local contrast of films (n, side, side) as rows of mean 0 and length 1."""
    fine = films - ndimage.gaussian_filter(films, (0, FINE, FINE))
    strength = np.sqrt(ndimage.gaussian_filter(fine**2, (0, WIDE, WIDE))) + _FLOOR
    inner = slice(_EDGE, -_EDGE)
    rows = (fine / strength)[:, inner, inner].reshape(len(films), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)


def _stretch(side: int, before: int, after: int) -> npt.NDArray[Any]:
    """The matrix (side, side) that cuts pixels before and after a line and stretches the rest, linearly."""
    kept = side - before - after
    at = np.clip((np.arange(side) + 0.5) * kept / side - 0.5, 0, kept - 1) + before
    low = np.minimum(at.astype(int), side - 2)
    matrix = np.zeros((side, side), np.float32)
    matrix[np.arange(side), low] = 1 - (at - low)
    matrix[np.arange(side), low + 1] = at - low
    return matrix
