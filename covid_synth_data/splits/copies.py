"""Finding copies of films that were cropped, framed, inverted or changed in tone.

A film is known by a thumbnail of 64 x 64 pixels without its uniform borders (`thumbnail`). The search has two
steps. `candidates` compares crops of each thumbnail, down to 80 % of each side, with every other thumbnail
at low resolution; this step only has to miss little. `likeness` aligns the two thumbnails of each candidate
by moving the four edges of the crop, and correlates them at a finer resolution; its value is what thresholds
apply to. Both work on local contrast, so that brightness, contrast and gamma matter little, and on the
absolute correlation, so that a negative is as like as a positive. Mirrored films are not looked for.

The first step grows with the square of the number of films. In the approximate search a graph proposes some
films for each crop (`metrics.approximate`), and these alone are compared. It finds a part of the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft

from covid_synth_data.files.pixels import resize
from covid_synth_data.metrics import approximate
from covid_synth_data.splits import crops
from covid_synth_data.splits.alignment import likeness
from covid_synth_data.splits.crops import Floats, Ints, Thumbs, cut, cut_columns, cut_rows, local_contrast

SIDE: Final = crops.SIDE
"""Side of a thumbnail in pixels."""

READ_SIDE: Final = 256
"""Side in pixels at which a film is read before its borders are removed."""

FLOOR: Final = 0.75
"""The least likeness that is reported; thresholds lie above it."""

SMALLEST: Final = 0.8
"""The least share of each side that a crop keeps."""

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
_COLUMNS: Final = 512
_LEADING: Final = 32
"""Of the 89 numbers of a descriptor, so many directions that hold most of it are compared first."""

NEIGHBOURS: Final = 32
"""Of each crop the approximate search compares so many films, the nearest by descriptor."""


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


def search(
    thumbs: Thumbs, progress: Progress = quiet, *, how: str = approximate.EXACT, first: int | None = None
) -> tuple[Ints, Floats]:
    """Index pairs (m, 2), first < second, of the thumbnails (n, 64, 64) that are at least `FLOOR` alike, and
    their likeness (m,), 0 to 1.

    `how` is "exact" or "approximate". An approximate search may miss pairs; those that it reports are pairs
    of the exact search, which may reach a higher likeness by the crops of the other film. With `first`, the
    `first` films are compared with the others alone. Raises `UnknownName`, `MissingExtra`.
    """
    cropped, whole, box = _candidates(thumbs, progress, approximate.wanted(how), first)
    alike = likeness(thumbs, cropped, whole, _BOXES[box])
    kept = alike >= FLOOR
    pairs = np.sort(np.stack([cropped[kept], whole[kept]], axis=1), axis=1)
    best, alike = _strongest(pairs, alike[kept])
    return pairs[best], alike


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


# Candidates


def _boxes() -> Floats:
    """The crops that are tried (n, 4): top, bottom, left and right edge as shares of the side."""
    offsets = [step * _STEP for step in range(4)]
    spans = [(low, 1 - high) for low in offsets for high in offsets if low + high <= 1 - SMALLEST + 1e-6]
    # The middle lies farthest from the others.
    spans.append(((1 - SMALLEST) / 2, (1 + SMALLEST) / 2))
    return np.array([(*rows, *columns) for rows, columns in product(spans, spans)], np.float32)


_BOXES: Final = _boxes()


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
    contrast = local_contrast(crops, 2.0, 3.0)
    basis, kept, weight = _cosines()
    values = np.matmul(np.matmul(basis, contrast), basis.T)[:, kept] * weight
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 1e-3, length, np.inf), np.float32)


class _Candidates(NamedTuple):
    """Per candidate the film that is cropped, the other film, and the crop (an index of `_BOXES`)."""

    cropped: Ints
    whole: Ints
    box: Ints


class _Bound(NamedTuple):
    """What tells cheaply that two descriptors are not alike: the product of their leading numbers, and the
    lengths of the rest of both, which bound what the rest can add."""

    leading: Floats
    rest: Floats

    @classmethod
    def of(cls, descriptors: Floats, directions: Floats) -> _Bound:
        """Of descriptors (n, 89): `leading` (n, m) along the directions (89, m), and `rest` (n,)."""
        leading = descriptors @ directions
        rest = np.sqrt(np.maximum((descriptors**2).sum(axis=1) - (leading**2).sum(axis=1), 0))
        return cls(leading, rest)


class _Plain(NamedTuple):
    """Uncropped films, those of which the directions leave least first: row in the thumbnails, descriptor."""

    row: Ints
    descriptors: Floats
    directions: Floats
    bound: _Bound


def _plain(descriptors: Floats) -> _Plain:
    directions = np.linalg.eigh(descriptors.T @ descriptors)[1][:, : -_LEADING - 1 : -1]
    order = np.argsort(_Bound.of(descriptors, directions).rest)
    return _Plain(order, descriptors[order], directions, _Bound.of(descriptors[order], directions))


def settings(how: str) -> str:
    """The search in words, with what its answers depend on."""
    text = approximate.settings(how, NEIGHBOURS)
    return text if how == approximate.EXACT else f"{text}; {NEIGHBOURS} films for each of {len(_BOXES)} crops"


def _candidates(
    thumbs: Thumbs, progress: Progress, by_graph: bool = False, first: int | None = None
) -> _Candidates:
    """The pairs of films of which some crop of the first looks like the second, each with its best crop."""
    found = [_Candidates(*np.empty((3, 0), np.int64))]
    parts = [
        _descriptors(cut(thumbs[block].astype(np.float32), crops.WHOLE, _COARSE))
        for block in _blocks(0, len(thumbs))
    ]
    whole = np.concatenate([np.empty((0, len(_cosines()[2])), np.float32), *parts])
    # Which films are cropped, and which they are compared with.
    all_films = (0, len(thumbs))
    ways = [(all_films, all_films)]
    if first is not None:
        one, other = (0, first), (first, len(thumbs))
        ways = [(one, other), (other, one)]
    for mine, theirs in ways:
        compared = whole[slice(*theirs)]
        candidates_of = _proposed(compared, theirs[0]) if by_graph else _compared(compared, theirs[0])
        for block in _blocks(*mine):
            found.append(candidates_of(block.start, _cropped(thumbs[block])))
            progress(block.stop, len(thumbs), "films compared")
    return _Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _blocks(start: int, stop: int) -> list[slice]:
    """The rows from `start` to `stop` in blocks."""
    return [slice(row, min(row + _ROWS, stop)) for row in range(start, stop, _ROWS)]


def _cropped(thumbs: Thumbs) -> Iterator[Floats]:
    """The descriptors (n, 89) of each of the crops `_BOXES` of thumbnails (n, 64, 64)."""
    rows, edges = np.empty(0, np.float32), None
    films = thumbs.astype(np.float32)
    for box in _BOXES:
        # Boxes with the same upper and lower edge follow one another; their rows are cut once.
        if edges != (edges := tuple(box[:2])):
            rows = cut_rows(films, box[None], _COARSE)
        yield _descriptors(cut_columns(rows, box[None], _COARSE))


_CandidatesOf = Callable[[int, Iterator[Floats]], _Candidates]
"""The number of the first film of a block, and the descriptors of each crop of its films, to the candidates
whose first film is in the block."""


def _compared(whole: Floats, offset: int) -> _CandidatesOf:
    """Every crop is compared with every film. `whole` (n, 89) are descriptors of uncropped films, `offset`
    the number of the first of them."""
    plain = _plain(whole)

    def candidates_of(start: int, cropped: Iterator[Floats]) -> _Candidates:
        pairs, values, boxes = [], [], []
        for number, mine in enumerate(cropped):
            first, second, alike = _more_alike(mine, plain, _CANDIDATE)
            pairs.append(np.stack([start + first, offset + plain.row[second]], axis=1))
            values.append(alike)
            boxes.append(np.full(len(first), number, np.int64))
        pair, box_of = np.concatenate(pairs), np.concatenate(boxes)
        best, _ = _strongest(pair, np.concatenate(values))
        best = best[pair[best, 0] != pair[best, 1]]
        return _Candidates(pair[best, 0], pair[best, 1], box_of[best])

    return candidates_of


def _more_alike(mine: Floats, plain: _Plain, least: float) -> tuple[Ints, Ints, Floats]:
    """Which of my descriptors and which of the plain ones have an absolute product above `least`, and it."""
    bound = _Bound.of(mine, plain.directions)
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(plain.row), _COLUMNS):
        block = slice(start, start + _COLUMNS)
        alike = bound.leading @ plain.bound.leading[block].T
        np.abs(alike, out=alike)
        # Less a little for rounding.
        enough = least - 1e-4 - bound.rest * plain.bound.rest[block].max()
        first, second = np.divmod(np.flatnonzero(alike > enough[:, None]), alike.shape[1])
        rows.append(first)
        columns.append(start + second)
    first, second = np.concatenate(rows), np.concatenate(columns)
    exact = np.abs(np.einsum("ij,ij->i", mine[first], plain.descriptors[second]))
    kept = exact > least
    return first[kept], second[kept], exact[kept]


def _proposed(whole: Floats, offset: int) -> _CandidatesOf:
    """The crops of a film are compared with the films that a graph proposes for any of them."""
    # A flat film has no descriptor, and is like no other.
    shown = np.flatnonzero(whole.any(axis=1))
    # The film that is nearest to a negative is the one whose negative is nearest.
    graph = approximate.Graph(np.concatenate([whole[shown], -whole[shown]]))

    def candidates_of(start: int, cropped: Iterator[Floats]) -> _Candidates:
        found = [_Candidates(*np.empty((3, 0), np.int64))]
        for film, mine in enumerate(np.stack(list(cropped), axis=1), start):
            near = graph.nearest(mine, NEIGHBOURS, NEIGHBOURS)
            others = shown[np.unique(near[near >= 0] % len(shown))]
            others = others[others != film - offset]
            alike = np.abs(mine @ whole[others].T)
            best = alike.argmax(axis=0)
            kept = alike[best, np.arange(len(others))] > _CANDIDATE
            others, best = others[kept], best[kept]
            found.append(_Candidates(np.full(len(others), film), offset + others, best))
        return _Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))

    return candidates_of
