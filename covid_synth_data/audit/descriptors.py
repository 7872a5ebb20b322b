"""Descriptors of films, computed once and kept by content: features, small pictures, lung fields.

The rows lie in stores below the cache folder, one folder for each kind; a row is found by the sha256 of the
film's bytes, so an audit of a set that changed computes what is new and nothing else. A few hundred films are
in memory at a time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data import cluster
from covid_synth_data.audit import outlines
from covid_synth_data.audit.films import Cell, Change, FilmSet
from covid_synth_data.errors import MetricError
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.files.pixels import Grey, content_of, load_grey, resize
from covid_synth_data.files.store import Store
from covid_synth_data.preprocessing import harmonise, lungs
from covid_synth_data.preprocessing.lung_weights import WEIGHTS
from covid_synth_data.splits import copies

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Greys = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Make = Callable[[Grey, Any], Array]
"""A film, and what is given besides (the outline of its lungs, or None), to what is kept of it."""
Progress = Callable[[int, int, str], None]

SIDE: Final = 64
"""Side of the small pictures and of the outlines of lungs."""

FEATURE_SIDE: Final = 224
_VERSION: Final = 1
_BATCH: Final = 64


class FeatureExtractor(Protocol):
    """What turns films uint8 (n, h, w) into features float32 (n, width).

    It may have an attribute `side`, at which it wants the films (224 without it), and one `layer`, which says
    what its features are ("average pool" without it).
    """

    name: str
    width: int
    sha256: str

    def __call__(self, films: npt.NDArray[np.uint8]) -> Floats:
        """The features, a row for each film."""


class Descriptors:
    """The descriptors of any film, from the cache or computed."""

    def __init__(
        self,
        extractor: FeatureExtractor,
        progress: Progress | None = None,
        folder: Path | None = None,
        over: cluster.Spread | None = None,
    ) -> None:
        """`folder` (None: `audit` in the cache folder) is where rows are kept, `over` who computes them
        (None: this process)."""
        self.extractor = extractor
        self.side: int = getattr(extractor, "side", FEATURE_SIDE)
        self.layer: str = getattr(extractor, "layer", "average pool")
        self._over = over
        self._folder = folder or cache_folder() / "audit"
        self._progress = progress or (lambda done, total, text: None)
        self._stores: dict[str, Store] = {}

    def features(self, films: FilmSet) -> Floats:
        """Features float32 (n, width) of whole films, resized to `side`. Raises `MetricError`."""
        rows: Floats = self._featured("features", films, functools.partial(_at_side, self.side))
        return rows

    def inside(self, films: FilmSet) -> Floats:
        """Features of the lungs alone, grey 128 elsewhere."""
        rows: Floats = self._featured(
            "inside", films, functools.partial(_inside, self.side), self.lungs(films).masks
        )
        return rows

    def outside(self, films: FilmSet) -> Floats:
        """Features of what is not lung, grey 128 in place of the lungs and a margin around them."""
        rows: Floats = self._featured(
            "outside", films, functools.partial(_outside, self.side), self.lungs(films).masks
        )
        return rows

    def small(self, films: FilmSet) -> Greys:
        """Whole films at 64 x 64 pixels: uint8 (n, 64, 64)."""
        rows: Greys = self._kept("small", films, (SIDE, SIDE), np.uint8, _small)
        return rows

    def thumbnails(self, films: FilmSet) -> Greys:
        """Films without uniform borders, as `splits.copies` compares them: uint8 (n, 64, 64)."""
        rows: Greys = self._kept("thumbnails", films, (copies.SIDE, copies.SIDE), np.uint8, _thumbnail)
        return rows

    def lungs(self, films: FilmSet) -> outlines.Outlines:
        """Where the lungs are, and what was measured of them."""
        shape = (len(outlines.MEASURES) + SIDE * SIDE,)
        marks = f"{lungs.settings()} {harmonise.settings()} {outlines.REVISION}"
        weights = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
        kind = "lungs-" + hashlib.sha256(f"{marks} {weights}".encode()).hexdigest()[:12]
        return outlines.Outlines.of_rows(self._kept(kind, films, shape, np.float32, _outline), SIDE)

    def _featured(self, kind: str, films: FilmSet, make: Make, given: Array | None = None) -> Any:
        """Features of what `make` gives of each film, (side, side)."""
        network = f"{self.extractor.name} {self.extractor.sha256}"
        name = f"{kind}-{hashlib.sha256(network.encode()).hexdigest()[:12]}"
        rows = self._kept(name, films, (self.extractor.width,), np.float32, make, given, self.extractor)
        if not np.isfinite(rows).all():
            bad = int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise MetricError(
                f"{self.extractor.name} gives no finite features",
                found=films.ids[bad],
                expected="finite numbers",
                hint="look at that image",
            )
        return rows

    def _kept(
        self,
        kind: str,
        films: FilmSet,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        make: Make,
        given: Array | None = None,
        batch: FeatureExtractor | None = None,
    ) -> Any:
        """The rows of `films`; those that are not in the cache are made, several films at a time."""
        store = self._stores.get(kind)
        if store is None:
            store = self._stores[kind] = Store(self._folder / f"{kind}-{_VERSION}", shape, dtype)
        places = {key: place for place, key in enumerate(films.keys)}
        missing, done = store.missing(films.keys), 0
        if not missing:
            return store.rows(films.keys)
        text = f"{kind.partition('-')[0]} of {films.what}"
        # A shard of the store is some batches, so both go through the missing films in step.
        batches = (
            [_film(films, places[key], given) for key in missing[start : start + _BATCH]]
            for start in range(0, len(missing), _BATCH)
        )
        work = functools.partial(_rows, make, films.change, batch, np.dtype(dtype))
        gpu = getattr(getattr(batch, "device", None), "type", "") == "cuda"
        made = map(work, batches) if self._over is None else self._over(work, batches, gpu=gpu)

        def several(keys: Sequence[str]) -> Array:
            nonlocal done
            out = np.empty((len(keys), *shape), dtype)
            for start in range(0, len(keys), _BATCH):
                rows = next(made)
                out[start : start + len(rows)] = rows
                done += len(rows)
                self._progress(done, len(missing), text)
            return out

        store.add(films.keys, several)
        rows = store.rows(films.keys)
        store.let_go()
        return rows


class _Film(NamedTuple):
    """A film of a batch: its place in its set, its id, the undecoded image, and what is given besides."""

    place: int
    name: str
    cell: Cell
    given: Any


def _film(films: FilmSet, place: int, given: Array | None) -> _Film:
    cell = films.cell(place)
    content = content_of(cell, films.ids[place])
    if isinstance(content, Path):  # a node works in another folder
        cell = {"bytes": None, "path": str(content.absolute())}
    return _Film(place, films.ids[place], cell, None if given is None else given[place])


def _rows(
    make: Make,
    change: Change | None,
    batch: FeatureExtractor | None,
    dtype: np.dtype[Any],
    films: Sequence[_Film],
) -> Array:
    """What `make`, and `batch` if there is one, give of some films. Raises `BadImage`."""

    def row(film: _Film) -> Array:
        grey = load_grey(film.cell, name=film.name)
        return make(grey if change is None else change(grey, film.place), film.given)

    with ThreadPoolExecutor(2) as pool:
        rows = np.stack(list(pool.map(row, films)))
    return (batch(rows) if batch else rows).astype(dtype, copy=False)


def _at_side(side: int, film: Grey, given: None) -> Grey:
    return resize(film, side)


def _inside(side: int, film: Grey, mask: Mask) -> Grey:
    return _masked(resize(film, side), mask)


def _outside(side: int, film: Grey, mask: Mask) -> Grey:
    return _masked(resize(film, side), ~outlines.grown(mask))


def _small(film: Grey, given: None) -> Grey:
    return resize(film, SIDE)


def _thumbnail(film: Grey, given: None) -> Grey:
    return copies.thumbnail(resize(film, copies.READ_SIDE))


def _outline(film: Grey, given: None) -> Floats:
    return outlines.row(film, SIDE)


def _masked(film: Grey, mask: Mask) -> Grey:
    """`film` (h, w) where the outline (64, 64) says so, grey 128 elsewhere."""
    height, width = film.shape
    large = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return np.where(large, film, np.uint8(lungs.OUTSIDE)).astype(np.uint8)
