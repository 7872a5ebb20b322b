"""Descriptors of films, computed once and kept by content: features, small pictures, lung fields.

The rows lie in stores below the cache folder, one folder for each kind; a row is found by the sha256 of the
film's bytes, so an audit of a set that changed computes what is new and nothing else. A few hundred films are
in memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.audit import outlines
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.errors import MetricError
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.files.pixels import Grey, resize
from covid_synth_data.files.store import Store
from covid_synth_data.preprocessing import harmonise, lungs
from covid_synth_data.preprocessing.lung_weights import WEIGHTS
from covid_synth_data.splits import copies

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Greys = npt.NDArray[np.uint8]
Progress = Callable[[int, int, str], None]

SIDE: Final = 64
"""Side of the small pictures and of the outlines of lungs."""

FEATURE_SIDE: Final = 224
_VERSION: Final = 1
_BATCH: Final = 64


class FeatureExtractor(Protocol):
    """What turns films uint8 (n, h, w) into features float32 (n, width)."""

    name: str
    width: int
    sha256: str

    def __call__(self, films: npt.NDArray[np.uint8]) -> Floats:
        """The features, a row for each film."""


class Descriptors:
    """The descriptors of any film, from the cache or computed."""

    def __init__(
        self, extractor: FeatureExtractor, progress: Progress | None = None, folder: Path | None = None
    ) -> None:
        """`folder` (None: `audit` in the cache folder) is where rows are kept."""
        self.extractor = extractor
        self._folder = folder or cache_folder() / "audit"
        self._progress = progress or (lambda done, total, text: None)
        self._stores: dict[str, Store] = {}

    def features(self, films: FilmSet) -> Floats:
        """Features float32 (n, width) of whole films, resized to 224 x 224. Raises `MetricError`."""
        rows: Floats = self._featured("features", films, lambda film, place: film)
        return rows

    def inside(self, films: FilmSet) -> Floats:
        """Features of the lungs alone, grey 128 elsewhere."""
        masks = self.lungs(films).masks
        rows: Floats = self._featured("inside", films, lambda film, place: _masked(film, masks[place]))
        return rows

    def outside(self, films: FilmSet) -> Floats:
        """Features of what is not lung, grey 128 in place of the lungs and a margin around them."""
        masks = self.lungs(films).masks

        def change(film: Grey, place: int) -> Grey:
            return _masked(film, ~outlines.grown(masks[place]))

        rows: Floats = self._featured("outside", films, change)
        return rows

    def small(self, films: FilmSet) -> Greys:
        """Whole films at 64 x 64 pixels: uint8 (n, 64, 64)."""
        shape = (SIDE, SIDE)
        rows: Greys = self._kept("small", films, shape, np.uint8, lambda film, place: resize(film, SIDE))
        return rows

    def thumbnails(self, films: FilmSet) -> Greys:
        """Films without uniform borders, as `splits.copies` compares them: uint8 (n, 64, 64)."""

        def make(film: Grey, place: int) -> Grey:
            return copies.thumbnail(resize(film, copies.READ_SIDE))

        rows: Greys = self._kept("thumbnails", films, (copies.SIDE, copies.SIDE), np.uint8, make)
        return rows

    def lungs(self, films: FilmSet) -> outlines.Outlines:
        """Where the lungs are, and what was measured of them."""
        shape = (len(outlines.MEASURES) + SIDE * SIDE,)
        marks = f"{lungs.settings()} {harmonise.settings()} {outlines.REVISION}"
        weights = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
        kind = "lungs-" + hashlib.sha256(f"{marks} {weights}".encode()).hexdigest()[:12]

        def make(film: Grey, place: int) -> npt.NDArray[np.float32]:
            return outlines.row(film, SIDE)

        return outlines.Outlines.of_rows(self._kept(kind, films, shape, np.float32, make), SIDE)

    def _featured(self, kind: str, films: FilmSet, change: Callable[[Grey, int], Grey]) -> Any:
        """Features of films that `change` was done to at 224 x 224."""

        def make(film: Grey, place: int) -> Grey:
            return change(resize(film, FEATURE_SIDE), place)

        network = f"{self.extractor.name} {self.extractor.sha256}"
        name = f"{kind}-{hashlib.sha256(network.encode()).hexdigest()[:12]}"
        rows = self._kept(name, films, (self.extractor.width,), np.float32, make, self.extractor)
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
        make: Callable[[Grey, int], Array],
        batch: Callable[[Array], Array] | None = None,
    ) -> Any:
        """The rows of `films`; those that are not in the cache are made, several films at a time."""
        store = self._stores.get(kind)
        if store is None:
            store = self._stores[kind] = Store(self._folder / f"{kind}-{_VERSION}", shape, dtype)
        places = {key: place for place, key in enumerate(films.keys)}
        total, done = len(store.missing(films.keys)), 0
        text = f"{kind.partition('-')[0]} of {films.what}"

        def several(keys: Sequence[str]) -> Array:
            nonlocal done
            out = np.empty((len(keys), *shape), dtype)
            with ThreadPoolExecutor(2) as pool:
                for start in range(0, len(keys), _BATCH):
                    part = [places[key] for key in keys[start : start + _BATCH]]
                    rows = list(pool.map(lambda place: make(films.grey(place), place), part))
                    out[start : start + len(part)] = batch(np.stack(rows)) if batch else np.stack(rows)
                    done += len(part)
                    self._progress(done, total, text)
            return out

        store.add(films.keys, several)
        return store.rows(films.keys)


def _masked(film: Grey, mask: npt.NDArray[np.bool_]) -> Grey:
    """`film` (h, w) where the outline (64, 64) says so, grey 128 elsewhere."""
    height, width = film.shape
    large = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    return np.where(large, film, np.uint8(lungs.OUTSIDE)).astype(np.uint8)
