"""Finding copies of films that were cropped, framed, inverted or changed in tone.

A film is known by a thumbnail of 64 x 64 pixels without its uniform borders (`thumbnail`). The search has two
steps. `candidates` compares crops of each thumbnail, down to 80 % of each side, with every other thumbnail
at low resolution; this step only has to miss little. `likeness` aligns the two thumbnails of each candidate
by moving the four edges of the crop, and correlates them at a finer resolution; its value is what thresholds
apply to. Both work on local contrast, so that brightness, contrast and gamma matter little, and on the
absolute correlation, so that a negative is as like as a positive. Mirrored films are not looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from covid_synth_data.files.pixels import resize

SIDE: Final = 64
"""Side of a thumbnail in pixels."""

READ_SIDE: Final = 256
"""Side in pixels at which a film is read before its borders are removed."""

FLOOR: Final = 0.75
"""The least likeness that is reported; thresholds lie above it."""

SMALLEST: Final = 0.8
"""The least share of each side that a crop keeps."""

Thumbs = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BORDER_RANGE: Final = 10
"""Grey levels between the 2nd and the 98th percentile of a line that counts as uniform."""
_BORDER_SHARE: Final = 0.5
"""At most so much of a side is taken for border."""

_FLAT_RANGE: Final = 4
"""Grey levels between the 2nd and the 98th percentile of a film that shows nothing."""

_STEP: Final = (1 - SMALLEST) / 3
_COARSE: Final = 24
_BAND: Final = 10
_CANDIDATE: Final = 0.89
_ROWS: Final = 512
_COLUMNS: Final = 4096
_ALIGNED_AT_ONCE: Final = 1024


def thumbnail(grey: Thumbs) -> Thumbs:
    """The thumbnail (64, 64) of a film (256, 256), both uint8 in [0, 255], without uniform borders."""
    top, bottom, left, right = _content(grey)
    return resize(grey[top:bottom, left:right], SIDE)


def is_flat(thumbs: Thumbs) -> npt.NDArray[np.bool_]:
    """Which of the thumbnails (n, 64, 64) show nothing: all black, all white, or one grey (n,)."""
    if not len(thumbs):
        return np.zeros(0, bool)
    low, high = np.percentile(thumbs.reshape(len(thumbs), -1), (2, 98), axis=1)
    return np.asarray(high - low <= _FLAT_RANGE)


Progress = Callable[[int, int, str], None]
"""Called with (done, all, of what)."""


def quiet(done: int, total: int, what: str) -> None:
    """The `Progress` of who does not ask for any."""


def search(thumbs: Thumbs, progress: Progress = quiet) -> tuple[Ints, Floats]:
    """Index pairs (m, 2), first < second, of the thumbnails (n, 64, 64) that are at least `FLOOR` alike, and
    their likeness (m,), 0 to 1."""
    cropped, whole, box = _candidates(thumbs, progress)
    alike = likeness(thumbs, cropped, whole, _BOXES[box])
    kept = alike >= FLOOR
    pairs = np.sort(np.stack([cropped[kept], whole[kept]], axis=1), axis=1)
    first, alike = _strongest(pairs, alike[kept])
    return pairs[first], alike


def _strongest(pairs: Ints, values: Floats) -> tuple[Ints, Floats]:
    """Where the highest value of each of the pairs (m, 2) stands, and that value."""
    order = np.lexsort((-values, pairs[:, 1], pairs[:, 0]))
    ordered = pairs[order]
    first = np.ones(len(pairs), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[first], values[order[first]]


# Borders


def _content(grey: Thumbs) -> tuple[int, int, int, int]:
    """The rectangle (top, bottom, left, right) of a film inside its uniform borders."""
    top, bottom, left, right = 0, grey.shape[0], 0, grey.shape[1]
    # Twice: a border of columns may hide that the rows above the film are uniform.
    for _ in range(2):
        before, after = _uniform_lines(grey[top:bottom, left:right])
        if bottom - top - before - after >= (1 - _BORDER_SHARE) * grey.shape[0]:
            top, bottom = top + before, bottom - after
        before, after = _uniform_lines(grey[top:bottom, left:right].T)
        if right - left - before - after >= (1 - _BORDER_SHARE) * grey.shape[1]:
            left, right = left + before, right - after
    return top, bottom, left, right


def _uniform_lines(grey: Thumbs) -> tuple[int, int]:
    """How many of the first and of the last rows are of one grey."""
    edges = np.sort(grey[[0, -1], ::2], axis=1)
    if not _uniform(edges).any():
        return 0, 0
    uniform = _uniform(np.sort(grey[:, ::2], axis=1))
    if uniform.all():
        return len(grey), 0
    return int(np.argmin(uniform)), int(np.argmin(uniform[::-1]))


def _uniform(lines: Thumbs) -> npt.NDArray[np.bool_]:
    """Which of the sorted rows have nearly one value."""
    last = lines.shape[1] - 1
    spread = lines[:, round(0.98 * last)].astype(np.int64) - lines[:, round(0.02 * last)]
    return np.asarray(spread <= _BORDER_RANGE)


# Local contrast


@cache
def _blur(side: int, sigma: float) -> Floats:
    """The matrix (side, side) that blurs one axis."""
    matrix = ndimage.gaussian_filter1d(np.eye(side, dtype=np.float32), sigma, axis=0, mode="nearest")
    return np.asarray(matrix, np.float32)


def _smooth(images: Floats, sigma: float) -> Floats:
    matrix = _blur(images.shape[-1], sigma)
    return np.asarray(np.matmul(matrix, np.matmul(images, matrix.T)), np.float32)


def _local_contrast(images: Floats, fine: float, wide: float) -> Floats:
    """Images (n, k, k) less their blur, over their local spread: mean 0 and length 1; flat ones 0."""
    sharp = images - _smooth(images, fine)
    energy = np.maximum(_smooth(sharp * sharp, wide), 0)
    floor = np.sqrt((sharp * sharp).mean(axis=(1, 2), keepdims=True))
    sharp = sharp / (np.sqrt(energy) + 0.3 * floor + 1e-3)
    sharp -= sharp.mean(axis=(1, 2), keepdims=True)
    length = np.linalg.norm(sharp, axis=(1, 2), keepdims=True)
    return np.asarray(sharp / np.where(length > 1e-2, length, np.inf), np.float32)


# Candidates


def _boxes() -> Floats:
    """The crops that are tried (n, 4): top, bottom, left and right edge as shares of the side."""
    offsets = [step * _STEP for step in range(4)]
    spans = [(low, 1 - high) for low in offsets for high in offsets if low + high <= 1 - SMALLEST + 1e-6]
    # The middle lies farthest from the others.
    spans.append(((1 - SMALLEST) / 2, (1 + SMALLEST) / 2))
    return np.array([(*rows, *columns) for rows, columns in product(spans, spans)], np.float32)


_BOXES: Final = _boxes()
_WHOLE: Final = np.array([[0, 1, 0, 1]], np.float32)


def _sampling(low: Floats, high: Floats, cells: int) -> Floats:
    """Matrices (n, cells, 64) that average a line of 64 pixels over equal cells between two shares of it."""
    share = np.linspace(0, 1, cells + 1, dtype=np.float32)
    edges = (low[:, None] + (high - low)[:, None] * share) * SIDE
    pixel = np.arange(SIDE, dtype=np.float32)
    overlap = np.minimum(edges[:, 1:, None], pixel + 1) - np.maximum(edges[:, :-1, None], pixel)
    weights = np.maximum(overlap, 0)
    total = weights.sum(axis=2, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1), np.float32)


def _cut(thumbs: Floats, boxes: Floats, cells: int) -> Floats:
    """The crops `boxes` (n, 4), or (1, 4) for all, of thumbnails (n, 64, 64), as (n, cells, cells)."""
    return _cut_columns(_cut_rows(thumbs, boxes, cells), boxes, cells)


def _cut_rows(thumbs: Floats, boxes: Floats, cells: int) -> Floats:
    """The rows of the crops, as (n, cells, 64)."""
    return np.asarray(np.matmul(_sampling(boxes[:, 0], boxes[:, 1], cells), thumbs), np.float32)


def _cut_columns(rows: Floats, boxes: Floats, cells: int) -> Floats:
    """The columns of the crops from their `rows` (n, cells, 64), as (n, cells, cells)."""
    columns = _sampling(boxes[:, 2], boxes[:, 3], cells)
    return np.asarray(np.matmul(rows, columns.transpose(0, 2, 1)), np.float32)


@cache
def _cosines() -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """The rows of the cosine transform that are kept, which products of them, and the weight of each."""
    basis = fft.dct(np.eye(_COARSE, dtype=np.float32), axis=0, norm="ortho")[: _BAND + 1]
    radius = np.hypot(*np.mgrid[: _BAND + 1, : _BAND + 1])
    kept = (radius > 0) & (radius <= _BAND)
    # High frequencies tell films apart, but have little power.
    return basis, kept, np.sqrt(radius[kept]).astype(np.float32)


def _descriptors(crops: Floats) -> Floats:
    """Descriptors (n, 89) of unit length of crops (n, 24, 24); of flat ones 0."""
    contrast = _local_contrast(crops, 2.0, 3.0)
    basis, kept, weight = _cosines()
    values = np.matmul(np.matmul(basis, contrast), basis.T)[:, kept] * weight
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 1e-3, length, np.inf), np.float32)


class _Candidates(NamedTuple):
    """Per candidate the film that is cropped, the other film, and the crop (an index of `_BOXES`)."""

    cropped: Ints
    whole: Ints
    box: Ints


def _candidates(thumbs: Thumbs, progress: Progress) -> _Candidates:
    """The pairs of films of which some crop of the first looks like the second, each with its best crop."""
    blocks = [slice(start, start + _ROWS) for start in range(0, len(thumbs), _ROWS)]
    plain = [_descriptors(_cut(thumbs[block].astype(np.float32), _WHOLE, _COARSE)) for block in blocks]
    found = [_Candidates(*np.empty((3, 0), np.int64))]
    for block in blocks:
        found.append(_candidates_of(thumbs, block, np.concatenate(plain)))
        progress(min(block.stop, len(thumbs)), len(thumbs), "films compared")
    return _Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _candidates_of(thumbs: Thumbs, block: slice, plain: Floats) -> _Candidates:
    """Those whose first film is in the block."""
    pairs, values, boxes = [], [], []
    mine_whole = thumbs[block].astype(np.float32)
    rows, edges = np.empty(0, np.float32), None
    for number, box in enumerate(_BOXES):
        # Boxes with the same upper and lower edge follow one another; their rows are cut once.
        if edges != (edges := tuple(box[:2])):
            rows = _cut_rows(mine_whole, box[None], _COARSE)
        mine = _descriptors(_cut_columns(rows, box[None], _COARSE))
        for start in range(0, len(plain), _COLUMNS):
            alike = mine @ plain[start : start + _COLUMNS].T
            np.abs(alike, out=alike)
            hits = np.flatnonzero(alike > _CANDIDATE)
            first, second = np.divmod(hits, alike.shape[1])
            pairs.append(np.stack([block.start + first, start + second], axis=1))
            values.append(alike.ravel()[hits])
            boxes.append(np.full(len(hits), number, np.int64))
    pair, box_of = np.concatenate(pairs), np.concatenate(boxes)
    best, _ = _strongest(pair, np.concatenate(values))
    best = best[pair[best, 0] != pair[best, 1]]
    return _Candidates(pair[best, 0], pair[best, 1], box_of[best])


# Likeness


class _Stage(NamedTuple):
    """A step of the alignment: resolution, blurs of the local contrast, moves, and what must be reached."""

    cells: int
    fine: float
    wide: float
    moves: int
    least: float


_STAGES: Final = (_Stage(24, 2.0, 3.0, 1, 0.87), _Stage(40, 1.5, 3.0, 2, 0.0))
_FARTHEST_MOVE: Final = 0.04
_EDGES: Final = ((-0.02, 0.3), (0.7, 1.02), (-0.02, 0.3), (0.7, 1.02))


def likeness(thumbs: Thumbs, cropped: Ints, whole: Ints, boxes: Floats) -> Floats:
    """How alike a crop of one film is to another film, 0 to 1, per pair (n,), at the best crop near `boxes`.

    `boxes` (n, 4) are where to start. Pairs that are far from alike at low resolution get 0.
    """
    values = np.zeros(len(cropped), np.float32)
    for start in range(0, len(cropped), _ALIGNED_AT_ONCE):
        part = np.arange(start, min(start + _ALIGNED_AT_ONCE, len(cropped)))
        box = boxes[part]
        for stage in _STAGES:
            first, second = (thumbs[films[part]].astype(np.float32) for films in (cropped, whole))
            alike, box = _align(first, second, box, stage)
            kept = alike >= stage.least
            part, box, alike = part[kept], box[kept], alike[kept]
            if not len(part):
                break
        values[part] = alike
    return values


def _align(first: Floats, second: Floats, boxes: Floats, stage: _Stage) -> tuple[Floats, Floats]:
    """The best likeness (n,) of crops of the first films to the second ones, and the crops (n, 4).

    Gauss-Newton: the second image is written as a multiple of the crop of the first and of what moving each
    edge would change in it.
    """
    goal = _local_contrast(_cut(second, _WHOLE, stage.cells), stage.fine, stage.wide)
    flat_goal = goal.reshape(len(goal), -1, 1)
    best, best_boxes = np.full(len(first), -1.0, np.float32), boxes
    for move in range(stage.moves + 1):
        image = _local_contrast(_cut(first, boxes, stage.cells), stage.fine, stage.wide)
        alike = np.abs((image * goal).sum(axis=(1, 2)))
        better = alike > best
        best = np.where(better, alike, best)
        best_boxes = np.where(better[:, None], boxes, best_boxes)
        if move < stage.moves:
            boxes = _moved(boxes, image, flat_goal)
    return best, best_boxes


def _moved(boxes: Floats, image: Floats, goal: Floats) -> Floats:
    """The boxes after one step."""
    count, cells = len(image), image.shape[1]
    down, right = np.gradient(image, axis=(1, 2))
    down = down * (cells / (boxes[:, 1] - boxes[:, 0]))[:, None, None]
    right = right * (cells / (boxes[:, 3] - boxes[:, 2]))[:, None, None]
    share = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    rows = share[:, None]
    parts = [image, down * (1 - rows), down * rows, right * (1 - share), right * share]
    changes = np.stack(parts, axis=1).reshape(count, 5, -1)
    normal = np.matmul(changes, changes.transpose(0, 2, 1))
    ridge = 2e-5 * np.trace(normal, axis1=1, axis2=2) + 1e-9
    normal = normal + ridge[:, None, None] * np.eye(5, dtype=np.float32)
    solved = np.linalg.solve(normal, np.matmul(changes, goal))[..., 0]
    scale = solved[:, :1]
    step = solved[:, 1:] / np.where(np.abs(scale) > 0.05, scale, np.inf)
    low, high = np.array(_EDGES, np.float32).T
    return np.asarray(np.clip(boxes + np.clip(step, -_FARTHEST_MOVE, _FARTHEST_MOVE), low, high), np.float32)
