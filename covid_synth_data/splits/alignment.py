"""Aligning pairs of thumbnails: how alike a crop of one film is to another film, at the best crop."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from covid_synth_data.splits.crops import WHOLE, Floats, Ints, Thumbs, cut, local_contrast

_ALIGNED_AT_ONCE: Final = 128
"""Pairs; what is computed of them at a time stays in the processor's cache."""

_GOALS: Final = 4096
"""Films whose goals are held at once."""


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
    group = whole // _GOALS
    # Pairs that start from one crop of one film follow one another: much of it is then computed once.
    order = np.lexsort((*boxes.T, cropped, group))
    for number in np.unique(group):
        part = order[np.searchsorted(group[order], number) : np.searchsorted(group[order], number, "right")]
        box = boxes[part]
        for stage in _STAGES:
            films, goal_of = np.unique(whole[part], return_inverse=True)
            goals = _goals(thumbs[films], stage)
            alike, box = _aligned(thumbs, cropped[part], goals, goal_of, box, stage)
            kept = alike >= stage.least
            part, box, alike = part[kept], box[kept], alike[kept]
        values[part] = alike
    return values


def _goals(thumbs: Thumbs, stage: _Stage) -> Floats:
    """What crops are compared with: the local contrast (n, cells, cells) of whole films."""
    goals = np.empty((len(thumbs), stage.cells, stage.cells), np.float32)
    for start in range(0, len(thumbs), _ALIGNED_AT_ONCE):
        block = slice(start, start + _ALIGNED_AT_ONCE)
        whole = cut(thumbs[block].astype(np.float32), WHOLE, stage.cells)
        goals[block] = local_contrast(whole, stage.fine, stage.wide)
    return goals


def _aligned(
    thumbs: Thumbs, cropped: Ints, goals: Floats, goal_of: Ints, boxes: Floats, stage: _Stage
) -> tuple[Floats, Floats]:
    """The best likeness (n,) of crops of films to their goals, and the crops (n, 4)."""
    alike, best = np.empty(len(cropped), np.float32), np.empty_like(boxes)
    for start in range(0, len(cropped), _ALIGNED_AT_ONCE):
        block = slice(start, start + _ALIGNED_AT_ONCE)
        films, of_pair = np.unique(cropped[block], return_inverse=True)
        first = thumbs[films].astype(np.float32)
        alike[block], best[block] = _align(first, of_pair, goals[goal_of[block]], boxes[block], stage)
    return alike, best


def _align(films: Floats, of_pair: Ints, goal: Floats, boxes: Floats, stage: _Stage) -> tuple[Floats, Floats]:
    """The best likeness (n,) of crops of `films[of_pair]` to the goals, and the crops (n, 4).

    Gauss-Newton: the goal is written as a multiple of the crop and of what moving each edge would change in
    it.
    """
    best, best_boxes = np.full(len(goal), -1.0, np.float32), boxes
    for move in range(stage.moves + 1):
        crop, of_crop = _different(of_pair, boxes)
        image = local_contrast(cut(films[of_pair[crop]], boxes[crop], stage.cells), stage.fine, stage.wide)
        alike = np.abs(np.einsum("nij,nij->n", image[of_crop], goal))
        better = alike > best
        best = np.where(better, alike, best)
        best_boxes = np.where(better[:, None], boxes, best_boxes)
        if move < stage.moves:
            boxes = _moved(boxes, image, crop, of_crop, goal)
    return best, best_boxes


def _different(films: Ints, boxes: Floats) -> tuple[Ints, Ints]:
    """The first pair of each run with one film and one box, and the number of its run for each pair."""
    new = np.ones(len(films), bool)
    new[1:] = (films[1:] != films[:-1]) | (boxes[1:] != boxes[:-1]).any(axis=1)
    return np.flatnonzero(new), np.cumsum(new) - 1


def _moved(boxes: Floats, image: Floats, crop: Ints, of_crop: Ints, goal: Floats) -> Floats:
    """The boxes after one step. Pair i has the image `of_crop[i]`, as pair `crop[of_crop[i]]` has."""
    changes = _changes(image, boxes[crop]).reshape(len(image), 5, -1)
    # The product of an array with itself takes another way through numpy, which is slower at this size.
    normal = np.matmul(changes, changes.copy().transpose(0, 2, 1))
    ridge = 2e-5 * np.trace(normal, axis1=1, axis2=2) + 1e-9
    normal = normal + ridge[:, None, None] * np.eye(5, dtype=np.float32)
    wanted = np.matmul(changes[of_crop], goal.reshape(len(goal), -1, 1))
    solved = np.linalg.solve(normal[of_crop], wanted)[..., 0]
    scale = solved[:, :1]
    step = solved[:, 1:] / np.where(np.abs(scale) > 0.05, scale, np.inf)
    low, high = np.array(_EDGES, np.float32).T
    return np.asarray(np.clip(boxes + np.clip(step, -_FARTHEST_MOVE, _FARTHEST_MOVE), low, high), np.float32)


def _changes(image: Floats, boxes: Floats) -> Floats:
    """The images, and what moving the upper, lower, left and right edge changes in them, as (n, 5, k, k)."""
    cells = image.shape[1]
    share = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    rows = share[:, None]
    down, right = np.gradient(image, axis=(1, 2))
    down *= (cells / (boxes[:, 1] - boxes[:, 0]))[:, None, None]
    right *= (cells / (boxes[:, 3] - boxes[:, 2]))[:, None, None]
    changes = np.empty((len(image), 5, cells, cells), np.float32)
    changes[:, 0] = image
    for number, (slope, weight) in enumerate(
        ((down, 1 - rows), (down, rows), (right, 1 - share), (right, share)), start=1
    ):
        np.multiply(slope, weight, out=changes[:, number])
    return changes
