"""Crops of thumbnails at a resolution, and their local contrast: what the search for copies compares."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

SIDE: Final = 64
"""Side of a thumbnail in pixels."""

WHOLE: Final = np.array([[0, 1, 0, 1]], np.float32)
"""The crop that is the whole thumbnail: top, bottom, left and right edge as shares of the side."""

Thumbs = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@cache
def _blur(side: int, sigma: float) -> Floats:
    """The matrix (side, side) that blurs one axis."""
    matrix = ndimage.gaussian_filter1d(np.eye(side, dtype=np.float32), sigma, axis=0, mode="nearest")
    return np.asarray(matrix, np.float32)


def _smooth(images: Floats, sigma: float) -> Floats:
    side = images.shape[-1]
    matrix = _blur(side, sigma)
    # All rows of all images at once: one large product is faster than many small ones.
    blurred = (images.reshape(-1, side) @ matrix.T).reshape(images.shape)
    return np.asarray(np.matmul(matrix, blurred), np.float32)


def local_contrast(images: Floats, fine: float, wide: float) -> Floats:
    """Images (n, k, k) less their blur, over their local spread: mean 0 and length 1; flat ones 0."""
    sharp = images - _smooth(images, fine)
    energy = np.maximum(_smooth(sharp * sharp, wide), 0)
    floor = np.sqrt((sharp * sharp).mean(axis=(1, 2), keepdims=True))
    sharp = sharp / (np.sqrt(energy) + 0.3 * floor + 1e-3)
    sharp -= sharp.mean(axis=(1, 2), keepdims=True)
    length = np.linalg.norm(sharp, axis=(1, 2), keepdims=True)
    return np.asarray(sharp / np.where(length > 1e-2, length, np.inf), np.float32)


def _sampling(low: Floats, high: Floats, cells: int) -> Floats:
    """Matrices (n, cells, 64) that average a line of 64 pixels over equal cells between two shares of it."""
    share = np.linspace(0, 1, cells + 1, dtype=np.float32)
    edges = (low[:, None] + (high - low)[:, None] * share) * SIDE
    total = np.diff(np.clip(edges, 0, SIDE), axis=1)[:, :, None]
    # Of each pixel, what lies before an edge; a cell has what lies between two.
    before = edges[:, :, None] - np.arange(SIDE, dtype=np.float32)
    np.clip(before, 0, 1, out=before)
    weights = before[:, 1:] - before[:, :-1]
    weights *= np.float32(1) / np.where(total > 0, total, np.float32(1))
    return np.asarray(weights, np.float32)


def cut(thumbs: Floats, boxes: Floats, cells: int) -> Floats:
    """The crops `boxes` (n, 4), or (1, 4) for all, of thumbnails (n, 64, 64), as (n, cells, cells)."""
    return cut_columns(cut_rows(thumbs, boxes, cells), boxes, cells)


def cut_rows(thumbs: Floats, boxes: Floats, cells: int) -> Floats:
    """The rows of the crops, as (n, cells, 64)."""
    return np.asarray(np.matmul(_sampling(boxes[:, 0], boxes[:, 1], cells), thumbs), np.float32)


def cut_columns(rows: Floats, boxes: Floats, cells: int) -> Floats:
    """The columns of the crops from their `rows` (n, cells, 64), as (n, cells, cells)."""
    columns = _sampling(boxes[:, 2], boxes[:, 3], cells)
    return np.asarray(np.matmul(rows, columns.transpose(0, 2, 1)), np.float32)
