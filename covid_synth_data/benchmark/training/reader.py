"""The films of one pool as the models of a suite read them: pixels and fixed features, each made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films, Pool
from covid_synth_data.benchmark.request import ClassificationRequest, Progress
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.benchmark.training import augment, fit
from covid_synth_data.classifiers.networks import Network
from covid_synth_data.classifiers.registry import build, entry
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.files.store import Store, default_folder
from covid_synth_data.preprocessing import films as preprocessing

Array = npt.NDArray[Any]

FEATURE_BATCH: Final = 32


def groups_of(films: Films, regime: Regime | None) -> fit.Rows | None:
    """A number for each film (n,), the same for all that were made of one film, where `regime` trains on them
    in one batch; else None."""
    if regime is None or regime.batches != "pairs":
        return None
    numbers = {host: number for number, host in enumerate(dict.fromkeys(films.hosts))}
    return np.array([numbers[host] for host in films.hosts], np.int64)


class FilmReader:
    """Decodes each film of a pool once, computes the features of frozen models once, and keeps both."""

    def __init__(self, request: ClassificationRequest, pool: Pool, progress: Progress) -> None:
        """Raises `ConfigError` for a device that is not there."""
        suite, kind = request.suite, request.films
        self.request, self.suite, self.kind, self.pool, self.progress = request, suite, kind, pool, progress
        self.cache_dir = request.cache_dir or default_folder()
        self.device = machine.pick_device(request.device)
        side = suite.image_size
        made_by = f"{side}-{preprocessing.version(kind)}"
        self.pixels = Store(self.cache_dir / f"pixels-{made_by}", (side, side), np.uint8)
        self.flags = Store(self.cache_dir / f"flags-{made_by}", (1,), np.uint8)
        self.made_by = made_by
        self._bodies: dict[str, Network] = {}

    def fill(self, model: str, train: Sequence[tuple[Films, Regime]], others: Sequence[Films]) -> None:
        """Bring what `model` reads of all these films into the stores. Raises `BadImage`, `OutputError`."""
        ids = list(
            dict.fromkeys(name for films in [*(one for one, _ in train), *others] for name in films.ids)
        )
        keys = []
        for number, name in enumerate(ids, 1):
            keys.append(self.pool.key(name))
            self.progress(number, len(ids), "read")
        if not entry(model).frozen:
            self.decode(keys)
            return
        augmented = dict.fromkeys(
            self.pool.key(name) for films, regime in train if regime.augment == "plain" for name in films.ids
        )
        views = range(1, self.suite.augment_views + 1)
        self._extract(model, [*keys, *(fit.view_key(key, view) for key in augmented for view in views)])

    def films(self, films: Films) -> Array:
        """Their pixels as networks see them, uint8 (n, side, side)."""
        keys = [self.pool.key(name) for name in films.ids]
        self.decode(keys)
        return self.pixels.rows(keys)

    def features(self, model: str, films: Films) -> Array:
        """The pooled features (n, width) of films by the body of a frozen `model`, computed where absent."""
        keys = [self.pool.key(name) for name in films.ids]
        self._extract(model, keys)
        return self.feature_store(model).rows(keys)

    def notes(self, parts: Sequence[Films]) -> list[str]:
        """A note on films whose lungs were not found."""
        if self.kind != "lungs":
            return []
        keys = [self.pool.key(name) for name in dict.fromkeys(name for part in parts for name in part.ids)]
        lost = int((self.flags.rows(keys) == 0).sum())
        return [f"the lungs were not found in {lost} of {len(keys)} films; a fixed ellipse stands for them"]

    def build_network(self, model: str, seed: int, classes: int = 2) -> Network:
        """A network with the initial weights that the request names, its head drawn by `seed`."""
        return build(model, self.request.weights_of(model), seed, classes)

    def _body(self, model: str) -> Network:
        """The network whose features a frozen `model` stands on: one for all films, and never trained."""
        if model not in self._bodies:
            self._bodies[model] = self.build_network(model, 0)
        return self._bodies[model]

    def feature_feed(self, model: str, films: Films, regime: Regime | None = None) -> fit.FeatureFeed:
        """The fixed features of films, augmented by `regime`, or as they are without one. Needs `fill`."""
        keys = [self.pool.key(name) for name in films.ids]
        views = self.suite.augment_views if regime is not None and regime.augment == "plain" else 0
        groups = groups_of(films, regime)
        return fit.FeatureFeed(
            self.feature_store(model), keys, films.labels, self.device, views=views, groups=groups
        )

    def feature_store(self, model: str, network: Network | None = None, changed: str = "") -> Store:
        """The store of the features of `model`; `changed` names what was done to the films before."""
        network = network or self._body(model)
        made_by = f"{entry(model).body}-{(network.weights.sha256 or 'none')[:12]}"
        name = f"features-{made_by}-{self.made_by}-{self.device.type}{changed and f'-{changed}'}"
        return Store(self.cache_dir / name, (network.width,), np.float32)

    def decode(self, keys: Sequence[str]) -> None:
        """Bring the pixels of the films with these keys into the store."""
        side = self.suite.image_size
        total, done = len(self.pixels.missing(keys)), 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            self.progress(done, total, "decode")

        def prepare(key: str) -> preprocessing.Prepared:
            return preprocessing.prepare(load_grey(self.pool.cell(key)), side, self.kind)

        def several(part: Sequence[str]) -> Array:
            with ThreadPoolExecutor(2) as threads:
                made = dict(zip(part, threads.map(prepare, part), strict=True))
            if self.kind == "lungs":
                # Before the pixels: a film that has pixels has its flag, whenever a run is killed.
                self.flags.add(part, lambda keys: np.array([[made[key].found] for key in keys], np.uint8))
            return np.stack([one.pixels for one in made.values()])

        self.pixels.add(keys, several, advance)

    def _extract(self, model: str, keys: Sequence[str]) -> None:
        """Features of `keys`, which may be variants of films. Decodes only films that lack features."""
        network = self._body(model).to(self.device).eval()
        store = self.feature_store(model, network)
        missing = store.missing(keys)
        if not missing:
            return
        self.decode([key.partition(":")[0] for key in missing])
        self.compute(network, store, missing, self._variant, f"features of {model}")

    def compute(
        self,
        network: Network,
        store: Store,
        missing: Sequence[str],
        film: Callable[[str], torch.Tensor],
        what: str,
    ) -> None:
        """Put the features of the films that `missing` names into `store`; `film` gives each as (1, side,
        side) in [0, 1]."""
        done = 0

        def batch(part: Sequence[str]) -> Array:
            nonlocal done
            films = torch.stack([film(key) for key in part])
            # A full batch always: the last digits of a convolution can depend on the number of films.
            room = torch.zeros(size - len(part), *films.shape[1:])
            with torch.inference_mode():
                features: Array = network.features(torch.cat([films, room]).to(self.device)).cpu().numpy()
            done += len(part)
            self.progress(done, len(missing), what)
            return features[: len(part)]

        def batches(part: Sequence[str]) -> list[Sequence[str]]:
            return [part[start : start + size] for start in range(0, len(part), size)]

        # On a CPU films go one by one through as many single threads as there are cores: the features then
        # depend on neither number, and small maps stay in the cores' own caches, which is twice as fast.
        size, workers = (1, torch.get_num_threads()) if self.device.type == "cpu" else (FEATURE_BATCH, 1)
        with (
            machine.one_thread(),
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as threads,
        ):
            store.add(missing, lambda part: np.concatenate(list(threads.map(batch, batches(part)))))

    def _pixels_of(self, key: str) -> Array:
        """A variant of a film as uint8 (side, side)."""
        grey: Array = np.rint(self._variant(key)[0].numpy() * 255).clip(0, 255).astype(np.uint8)
        return grey

    def _variant(self, key: str) -> torch.Tensor:
        """The film (1, side, side) in [0, 1] that `key` names, augmented where it names a variant."""
        base, _, view = key.partition(":plain")
        film = torch.from_numpy(self.pixels.rows([base])).float().unsqueeze(1) / 255.0
        return (augment.plain(film, augment.rng_of_view(base, int(view))) if view else film)[0]
