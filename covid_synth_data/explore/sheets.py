"""Thumbnails packed into sprite sheets, and which thumbnails look most alike."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.explore.reading import Rows
from covid_synth_data.files.pixels import Grey
from covid_synth_data.metrics import neighbours

ACROSS: Final = 16
"""A sheet has ACROSS x ACROSS thumbnails."""

QUALITY: Final = 60
METHOD: Final = 2
"""Of WebP: with METHOD 2 a sheet is 5 % larger than with 4 and takes half the time."""

NEAREST: Final = 6
_GRID: Final = 16
"""Thumbnails are compared as _GRID x _GRID means."""

_TINTS: Final = {"lung": (60, 140, 255, 70), "ground-glass opacity": (255, 190, 0, 130)}
_LESION: Final = (255, 60, 0)


def of_images(thumbnails: Grey) -> list[str]:
    """Sheets of all thumbnails in their order, each as base64 of a WebP file."""
    return [_encoded(Image.fromarray(_sheet(part))) for part in _parts(thumbnails)]


def of_masks(masks: Mapping[int, Grey], soft: bool) -> list[str]:
    """Sheets of the masks, in the order of their rows, as tints with transparency.

    `soft` masks are maps of a lesion, 0 to 255; others hold the values of `schema.MASK_LABELS`.
    """
    if not masks:
        return []
    stacked = np.stack([masks[number] for number in sorted(masks)])
    table = np.zeros((256, 4), np.uint8)
    if soft:
        table[:, :3], table[:, 3] = _LESION, np.arange(256) * 0.6
    else:
        for value, name in enumerate(schema.MASK_LABELS[1:], 1):
            table[value] = _TINTS.get(name, (*_LESION, 150))
    return [_encoded(Image.fromarray(table[_sheet(part)])) for part in _parts(stacked)]


def alike(rows: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each row the rows whose thumbnails correlate most with it, and the correlations in percent.

    Both have the shape (n, k), k at most NEAREST. A thumbnail of one grey level correlates with none.
    """
    count, side = rows.thumbnails.shape[:2]
    k = min(NEAREST, count - 1)
    if not k:
        return np.zeros((count, 0), np.int64), np.zeros((count, 0), np.int64)
    step = side // _GRID
    cells = rows.thumbnails.reshape(count, _GRID, step, _GRID, step).mean(axis=(2, 4), dtype=np.float32)
    features = cells.reshape(count, -1)
    features -= features.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    features = np.divide(features, lengths, out=np.zeros_like(features), where=lengths > 1e-3)
    nearest = neighbours.nearest(features, features, k, same=True)
    # |x - y|^2 = 2 - 2 r for vectors of length 1.
    return nearest.rows, np.rint(100 * (1 - nearest.distances**2 / 2)).astype(np.int64)


def _parts(pictures: Grey) -> Sequence[Grey]:
    return [pictures[start : start + ACROSS**2] for start in range(0, len(pictures), ACROSS**2)]


def _sheet(part: Grey) -> Grey:
    """Up to ACROSS x ACROSS pictures as one, row by row."""
    side = part.shape[1]
    down = -(-len(part) // ACROSS)
    whole = np.zeros((down * ACROSS, side, side), np.uint8)
    whole[: len(part)] = part
    return whole.reshape(down, ACROSS, side, side).swapaxes(1, 2).reshape(down * side, ACROSS * side)


def _encoded(sheet: Image.Image) -> str:
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=QUALITY, method=METHOD)
    return base64.b64encode(file.getvalue()).decode()
