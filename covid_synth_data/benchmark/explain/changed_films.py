"""Predictions of trained classifiers for changed films; outlines of lungs and features are kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.explain import changes
from covid_synth_data.benchmark.training import fit
from covid_synth_data.benchmark.training.worker import Worker
from covid_synth_data.classifiers.networks import Network
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.files.store import Store
from covid_synth_data.preprocessing import lung_weights

Floats = npt.NDArray[np.float64]


class ChangedFilms:
    """The films of one worker under every change, read by classifiers of `model`."""

    def __init__(self, worker: Worker, model: str) -> None:
        """`model` is a network or a dense layer on fixed features."""
        self.worker, self.model = worker, model
        self.changes = changes.names(worker.kind)
        self.network = worker.build_network(model, 0).to(worker.device).eval()
        side, version = worker.suite.image_size, changes.version()
        finder = lung_weights.read_card().sha256[:12]
        self.outlines = Store(
            worker.cache_dir / f"outlines-{worker.made_by}-{finder}", (side, side), np.uint8
        )
        self.store = (
            worker.feature_store(model, self.network, version)
            if entry(model).frozen
            else Store(worker.cache_dir / f"pixels-{worker.made_by}-{version}", (side, side), np.uint8)
        )
        # A film is followed by itself under the next change.
        self._seen = lru_cache(maxsize=8)(self._read)

    def fill(self, films: Films) -> None:
        """Find the lungs of films and bring all that classifiers read of them into the stores."""
        worker = self.worker
        keys = [worker.pool.key(name) for name in films.ids]
        worker.decode(keys)
        missing = self.outlines.missing(keys)
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            worker.progress(done, len(missing), "find lungs")

        self.outlines.add(missing, lambda part: np.stack([self._outline(key) for key in part]), advance)
        some = [name for name in self.changes if name != changes.WHOLE]
        absent = self.store.missing([f"{key}:{name}" for key in keys for name in some])
        if entry(self.model).frozen:
            what = f"features of {self.model}, changed films"
            worker.compute(self.network, self.store, absent, self._tensor, what)
        else:
            self.store.add(absent, lambda part: np.stack([self._changed(key) for key in part]))

    def found(self, films: Films) -> npt.NDArray[np.bool_]:
        """Which films have two lungs that were found, (n,). Needs `fill`."""
        keys = [self.worker.pool.key(name) for name in films.ids]
        return np.array([bool(self.outlines.rows([key]).any()) for key in keys])

    def scores(self, network: Network, films: Films) -> Iterator[tuple[str, Floats]]:
        """For each change its name and the probability of the positive class of each film, (n,). Needs
        `fill`, and that of the worker."""
        worker, frozen = self.worker, entry(self.model).frozen
        keys = [worker.pool.key(name) for name in films.ids]
        place = films.classes.index(films.positive)
        for name in self.changes:
            store, named = self.store, [f"{key}:{name}" for key in keys]
            if name == changes.WHOLE:
                store, named = (worker.feature_store(self.model) if frozen else worker.pixels), keys
            kind: Any = fit.FeatureFeed if frozen else fit.PixelFeed
            feed = kind(store, named, films.labels, worker.device)
            with machine.one_thread():
                probabilities = fit.class_probabilities(network.head if frozen else network, feed)
            yield name, np.clip(probabilities[:, place], 0, 1)

    def _outline(self, key: str) -> npt.NDArray[np.uint8]:
        film = load_grey(self.worker.pool.cell(key))
        return changes.outline(film, self.worker.suite.image_size, self.worker.kind).astype(np.uint8)

    def _read(self, key: str) -> changes.Seen:
        worker = self.worker
        film, lungs = worker.pixels.rows([key])[0], self.outlines.rows([key])[0] > 0
        return changes.Seen(film, lungs, load_grey(worker.pool.cell(key)))

    def _changed(self, named: str) -> npt.NDArray[np.uint8]:
        key, _, name = named.partition(":")
        return changes.CHANGES[name].apply(self._seen(key))

    def _tensor(self, named: str) -> torch.Tensor:
        return torch.from_numpy(self._changed(named).copy())[None].float() / 255.0
