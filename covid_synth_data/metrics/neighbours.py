"""Nearest neighbours by matrix products, in batches, so that memory does not grow with the sets.

The products use squared distances |x|^2 + |y|^2 - 2 x.y in float32 after the mean of the references is taken
off both sets. The k nearest are then measured again by subtraction, so that the distance of a row to its own
copy is 0 and not what rounding leaves. With a graph (`approximate`) the candidates come from it instead; they
are measured in the same way, so a distance is that of its row, and only a nearer row can be missed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics.approximate import Graph

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_QUERIES: Final = 512
_REFERENCES: Final = 8192
_CENTRES: Final = 2048
_SPARE: Final = 4
"""Neighbours kept beyond k while float32 decides, so that rounding does not change which are the nearest."""

_PROPOSED: Final = 16
"""Rows that a graph proposes beyond k: some are passed over, and a walk finds the first ones more surely."""

_FARTHEST: Final = 2048
"""A query that finds fewer than k among so many proposed rows is compared with all references."""

_Candidates = Callable[
    [npt.NDArray[np.float32], npt.NDArray[Any] | None, npt.NDArray[Any] | None, Ints | None], Ints
]
"""Queries, their groups, the groups of the references, and the rows to pass over, to rows (n, k or more)."""


class Neighbours(NamedTuple):
    """Euclidean distances (n, k), in increasing order, and the rows of the references (n, k)."""

    distances: Floats
    rows: Ints


def nearest(
    queries: npt.ArrayLike,
    references: npt.ArrayLike,
    k: int = 1,
    *,
    query_groups: npt.ArrayLike | None = None,
    reference_groups: npt.ArrayLike | None = None,
    same: bool = False,
    graph: Graph | None = None,
) -> Neighbours:
    """The `k` nearest of `references` (m, d) for each of `queries` (n, d).

    Where both groups are given, (n,) and (m,), a reference of the query's own group is passed over; with
    `same`, row i is passed over for query i. Where fewer than `k` are left, distances are infinite and rows
    -1. A `graph` over the references makes the search approximate. Raises `MetricError` for empty or unequal
    arrays, values that are not finite, fewer than `k` references, and a graph of other references.
    """
    first, second = checked(queries, "queries"), checked(references, "references")
    if first.shape[1] != second.shape[1]:
        raise MetricError(
            "features of different extractors",
            found=f"{first.shape[1]} and {second.shape[1]} columns",
            expected="the same number",
        )
    if not 1 <= k <= len(second) - same:
        raise MetricError(
            f"too few references for {k} neighbours",
            found=str(len(second)),
            expected=f"at least {k + same}",
            hint="give more films",
        )
    if graph is not None and len(graph) != len(second):
        raise MetricError(
            "a graph of other references", found=f"{len(graph)} rows", expected=str(len(second))
        )
    mine, theirs = _groups(query_groups, len(first)), _groups(reference_groups, len(second))
    candidates = _by_products(second, k) if graph is None else _by_graph(graph, second, k)
    distances, rows = np.empty((len(first), k)), np.empty((len(first), k), np.int64)
    for start in range(0, len(first), _QUERIES):
        part = slice(start, min(start + _QUERIES, len(first)))
        own = None if mine is None else mine[part]
        number = np.arange(part.start, part.stop) if same else None
        found = candidates(first[part], own, theirs, number)
        distances[part], rows[part] = _measured(first[part], second, found, k)
    return Neighbours(distances, rows)


def counts_within(
    queries: npt.NDArray[np.float32], centres: npt.NDArray[np.float32], limits: npt.ArrayLike
) -> Ints:
    """How many balls each query (n, d) lies in, (n,): balls around `centres` (m, d).

    `limits`, one for all or (m,), are the squared radii. A query on the edge of a ball lies in it.
    """
    middle = centres.mean(axis=0)
    squares = np.broadcast_to(np.asarray(limits, np.float64), (len(centres),))
    counts = np.zeros(len(queries), np.int64)
    # In float64, which takes twice the memory, so only a block of both sets is ever converted.
    for first in range(0, len(centres), _CENTRES):
        block = slice(first, first + _CENTRES)
        points = (centres[block] - middle).astype(np.float64)
        lengths = np.einsum("ij,ij->i", points, points)
        for start in range(0, len(queries), _QUERIES):
            part = (queries[start : start + _QUERIES] - middle).astype(np.float64)
            squared = np.einsum("ij,ij->i", part, part)[:, None] + lengths - 2 * (part @ points.T)
            counts[start : start + len(part)] += (squared <= squares[block]).sum(axis=1)
    return counts


def _by_products(references: npt.NDArray[np.float32], k: int) -> _Candidates:
    """The likely nearest references, by the products with all of them."""
    centre = references.mean(axis=0)
    shifted = references - centre
    lengths = np.einsum("ij,ij->i", shifted, shifted)

    def candidates(
        queries: npt.NDArray[np.float32],
        mine: npt.NDArray[Any] | None,
        theirs: npt.NDArray[Any] | None,
        own_row: Ints | None,
    ) -> Ints:
        return _smallest(queries - centre, shifted, lengths, k + _SPARE, mine, theirs, own_row)

    return candidates


def _smallest(
    queries: npt.NDArray[np.float32],
    references: npt.NDArray[np.float32],
    lengths: npt.NDArray[np.float32],
    k: int,
    mine: npt.NDArray[Any] | None,
    theirs: npt.NDArray[Any] | None,
    own_row: Ints | None,
) -> Ints:
    """Rows (n, k or fewer) of the likely nearest references, -1 where a reference is passed over."""
    best = np.full((len(queries), 0), np.inf, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(references), _REFERENCES):
        block = slice(start, min(start + _REFERENCES, len(references)))
        squared = lengths[block] - 2 * (queries @ references[block].T)
        if mine is not None and theirs is not None:
            squared[mine[:, None] == theirs[block][None]] = np.inf
        if own_row is not None:
            inside = np.flatnonzero((own_row >= block.start) & (own_row < block.stop))
            squared[inside, own_row[inside] - block.start] = np.inf
        keep = min(k, squared.shape[1])
        at = np.argpartition(squared, keep - 1, axis=1)[:, :keep]
        values = np.concatenate([best, np.take_along_axis(squared, at, 1)], axis=1)
        names = np.concatenate([rows, at + block.start], axis=1)
        keep = min(k, values.shape[1])
        at = np.argpartition(values, keep - 1, axis=1)[:, :keep]
        best, rows = np.take_along_axis(values, at, 1), np.take_along_axis(names, at, 1)
    return np.where(np.isfinite(best), rows, -1)


def _by_graph(graph: Graph, references: npt.NDArray[np.float32], k: int) -> _Candidates:
    """The references that a graph proposes, -1 where one is passed over."""
    width = k + _PROPOSED

    def candidates(
        queries: npt.NDArray[np.float32],
        mine: npt.NDArray[Any] | None,
        theirs: npt.NDArray[Any] | None,
        own_row: Ints | None,
    ) -> Ints:
        rows = np.full((len(queries), width), -1, np.int64)
        left, asked = np.arange(len(queries)), width
        while len(left) and asked <= _FARTHEST:
            found = graph.nearest(queries[left], asked)
            if mine is not None and theirs is not None:
                found[mine[left, None] == theirs[found]] = -1
            if own_row is not None:
                found[found == own_row[left, None]] = -1
            # Those that remain keep their order.
            order = np.argsort(found < 0, axis=1, kind="stable")[:, :width]
            rows[left] = np.take_along_axis(found, order, 1)
            # A group that fills the answer hides the others behind it.
            left = left[rows[left, k - 1] < 0]
            asked = 4 * asked
        if len(left):
            all_of_them = _by_products(references, k)
            found = all_of_them(
                queries[left],
                None if mine is None else mine[left],
                theirs,
                None if own_row is None else own_row[left],
            )
            rows[left] = -1
            rows[left, : found.shape[1]] = found
        return rows

    return candidates


def _measured(
    queries: npt.NDArray[np.float32], references: npt.NDArray[np.float32], rows: Ints, k: int
) -> tuple[Floats, Ints]:
    """Exact distances of the candidates, the `k` smallest in order; equal ones by their row."""
    distances = np.full(rows.shape, np.inf)
    for column in range(rows.shape[1]):
        gap = queries.astype(np.float64) - references[rows[:, column]]
        distances[:, column] = np.sqrt(np.einsum("ij,ij->i", gap, gap))
    distances[rows < 0] = np.inf
    order = np.lexsort((rows, distances), axis=1)[:, :k]
    found = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
    short = k - found[0].shape[1]
    if short:
        padded = ((0, 0), (0, short))
        return np.pad(found[0], padded, constant_values=np.inf), np.pad(found[1], padded, constant_values=-1)
    return found


def checked(values: npt.ArrayLike, name: str, least: int = 1) -> npt.NDArray[np.float32]:
    """`values` as float32 (n, d) with `least` rows or more, finite. Raises `MetricError` naming the set."""
    return np.ascontiguousarray(valid(values, name, least), dtype=np.float32)


def valid(values: npt.ArrayLike, name: str, least: int = 1) -> npt.NDArray[Any]:
    """`values` as they are, where `checked` would take them. Raises `MetricError` naming the set."""
    given: npt.NDArray[Any] = np.asarray(values)
    if given.ndim != 2 or given.dtype.kind not in "fiu" or given.shape[1] == 0:
        raise MetricError(
            f"features of the {name} of a wrong kind",
            found=f"{given.dtype} {given.shape}",
            expected="numbers (n, d)",
        )
    if len(given) < least:
        raise MetricError(f"too few {name}", found=str(len(given)), expected=f"at least {least}")
    bad = np.flatnonzero(~np.isfinite(given).all(axis=1))
    if len(bad):
        raise MetricError(
            f"features of the {name} that are not finite",
            found=f"{len(bad)} rows, first row {bad[0]}",
            expected="finite numbers",
        )
    return given


def _groups(values: npt.ArrayLike | None, n: int) -> npt.NDArray[Any] | None:
    if values is None:
        return None
    given: npt.NDArray[Any] = np.asarray(values)
    if given.shape != (n,):
        raise MetricError("groups do not fit the rows", found=str(given.shape), expected=f"({n},)")
    return given
