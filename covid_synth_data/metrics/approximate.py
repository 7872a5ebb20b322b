"""Approximate nearest neighbours: a graph proposes candidates, and whoever asks judges each of them exactly.

The graph is the HNSW index of faiss (Malkov and Yashunin 2020, arXiv:1603.09320). Points are linked to near
ones on several layers, and a search walks along the links towards the query. One search takes a time of the
order of log n, building n log n; comparing everything with everything takes n^2. A neighbour can be missed.

One thread builds the graph, and the layers are drawn from a fixed seed. The same rows in the same order give
the same graph and the same candidates on one machine, with any number of threads at the search.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MissingExtra, UnknownName

EXACT: Final = "exact"
APPROXIMATE: Final = "approximate"
SEARCHES: Final = (EXACT, APPROXIMATE)

LINKS: Final = 16
"""Links of a point on each layer, and twice as many on the lowest (M)."""

BUILDING: Final = 80
"""Points that are kept while the links of a new one are chosen (efConstruction)."""

WALKING: Final = 64
"""Points that are kept during a search (efSearch), unless a caller says how many."""

_ADDED: Final = 65_536
"""Rows that are handed to the index at once."""


def wanted(search: str) -> bool:
    """Whether `search`, one of `SEARCHES`, is the approximate one, whose library is then there.

    Raises `UnknownName`, `MissingExtra`.
    """
    if search not in SEARCHES:
        raise UnknownName("search", search, SEARCHES)
    if search == APPROXIMATE:
        _faiss()
    return search == APPROXIMATE


def settings(search: str, walking: int = WALKING) -> str:
    """The search in words, with what its answers depend on."""
    if search != APPROXIMATE:
        return search
    return f"{search}, HNSW graph with {LINKS} links, {BUILDING} points at building and {walking} at search"


def version() -> str:
    """The version of faiss. Raises `MissingExtra`."""
    return str(_faiss().__version__)


class Graph:
    """A graph over rows, which proposes the likely nearest of them."""

    def __init__(self, rows: npt.NDArray[np.float32]) -> None:
        """`rows` float32 (n, d). Raises `MissingExtra`."""
        faiss = _faiss()
        self._index = faiss.IndexHNSWFlat(rows.shape[1], LINKS)
        self._index.hnsw.efConstruction = BUILDING
        with _one_thread(faiss):
            for start in range(0, len(rows), _ADDED):
                self._index.add(np.ascontiguousarray(rows[start : start + _ADDED], np.float32))

    def __len__(self) -> int:
        """How many rows."""
        return int(self._index.ntotal)

    def nearest(
        self, queries: npt.NDArray[np.float32], k: int, walking: int = WALKING
    ) -> npt.NDArray[np.int64]:
        """The numbers (m, k) of the likely nearest rows to `queries` (m, d), the nearest first.

        The distance is Euclidean. A walk keeps `walking` points, or `k` where these are more. -1 stands where
        it found fewer than `k` rows.
        """
        parameters = _faiss().SearchParametersHNSW(efSearch=max(walking, k))
        _, rows = self._index.search(np.ascontiguousarray(queries, np.float32), k, params=parameters)
        return np.asarray(rows, np.int64)


@contextlib.contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingExtra("faiss", "search", purpose="finds approximate neighbours") from error
    return faiss
