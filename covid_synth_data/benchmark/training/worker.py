"""The part of the runner that needs torch: films into stores, classifiers trained, test films predicted."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from covid_synth_data import __version__
from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.data.composition import Films, Pool
from covid_synth_data.benchmark.data.store import Store
from covid_synth_data.benchmark.running.bench import Progress, Settings
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.benchmark.training import augment, fit, heads, trees
from covid_synth_data.classifiers.networks import Network
from covid_synth_data.classifiers.registry import CLASSIFIERS, build
from covid_synth_data.classifiers.weights import WeightsUsed
from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.metrics import detection
from covid_synth_data.preprocessing import films as preprocessing

Array = npt.NDArray[Any]

FEATURE_BATCH: Final = 32
_LIBRARIES: Final = (
    *("datasets", "numpy", "pillow", "scikit-learn", "scipy", "timm", "torch", "torchvision"),
    "torchxrayvision",
)


@dataclass(frozen=True)
class Outcome:
    """What one training gives to its result file."""

    predictions: list[results.Prediction]
    fitting: results.Fitting
    weights: results.Weights
    code: results.Code
    hardware: results.Hardware
    notes: list[str]


class Worker:
    """Trains the classifiers of a suite on films of one pool, each film decoded once."""

    def __init__(self, settings: Settings, pool: Pool, progress: Progress) -> None:
        """Raises `ConfigError` for a device that is not there."""
        suite, kind = settings.suite, settings.preprocessing
        self.suite, self.kind, self.pool, self.cache_dir = suite, kind, pool, settings.cache_dir
        self.device, self.weights, self.progress = pick_device(settings.device), settings.weights, progress
        self.code = code()
        side = suite.image_size
        made_by = f"{side}-{preprocessing.version(kind)}"
        self.pixels = Store(self.cache_dir / f"pixels-{made_by}", (side, side), np.uint8)
        self.flags = Store(self.cache_dir / f"flags-{made_by}", (1,), np.uint8)
        self.made_by = made_by

    def fill(self, model: str, train: Sequence[tuple[Films, Regime]], others: Sequence[Films]) -> None:
        """Bring what `model` reads of all these films into the stores. Raises `BadImage`, `OutputError`."""
        ids = list(
            dict.fromkeys(name for films in [*(one for one, _ in train), *others] for name in films.ids)
        )
        keys = []
        for number, name in enumerate(ids, 1):
            keys.append(self.pool.key(name))
            self.progress(number, len(ids), "read")
        if not CLASSIFIERS[model].frozen:
            self._decode(keys)
            return
        augmented = dict.fromkeys(
            self.pool.key(name) for films, regime in train if regime.augment == "plain" for name in films.ids
        )
        views = range(1, self.suite.augment_views + 1)
        self._extract(model, [*keys, *(fit.view_key(key, view) for key in augmented for view in views)])

    def train(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> Outcome:
        """Train on `train`, stop by `parts["validation"]`, then predict `parts["test"]`. Needs `fill`."""
        learner = CLASSIFIERS[model].learner in ("head", "network")
        work = self._fit if learner else self._estimate
        return self._outcome(train, parts, *work(model, regime, seed, train, parts, what))

    def train_heads(
        self,
        model: str,
        regime: Regime,
        seeds: Sequence[int],
        trains: Sequence[Films],
        parts: Mapping[str, Films],
        what: str,
    ) -> list[Outcome]:
        """`train` for several seeds of one regime at once, where `model` learns a dense layer on fixed
        features.

        `trains` are the films of each seed, equally many of each class. Needs `fill`.
        """
        settings = self.suite.training_of(model)
        ids = list(dict.fromkeys(name for films in trains for name in films.ids))
        where = {name: place for place, name in enumerate(ids)}
        labels = np.zeros(len(ids), np.int64)
        rows = [np.array([where[name] for name in films.ids]) for films in trains]
        for films, mine in zip(trains, rows, strict=True):
            labels[mine] = films.labels
        union = dataclasses.replace(trains[0], ids=ids, labels=labels, patients=[""] * len(ids))
        networks = [self._build(model, seed, len(union.classes)) for seed in seeds]
        layers = [network.head.to(self.device) for network in networks]
        with one_thread():
            trained = heads.fit(
                layers,
                self._features_of(model, union, regime),
                rows,
                self._features_of(model, parts["validation"]),
                settings,
                sampling=regime.sampling,
                loss=regime.loss,
                seeds=seeds,
                device=self.device,
                advance=lambda epoch: self.progress(epoch, settings.max_epochs, what),
            )
            feeds = {name: self._features_of(model, films) for name, films in parts.items()}
            found = [
                {name: fit.class_probabilities(layer, feed) for name, feed in feeds.items()}
                for layer in layers
            ]
        return [
            self._outcome(films, parts, record, networks[0].weights, probabilities)
            for films, record, probabilities in zip(trains, trained, found, strict=True)
        ]

    def _outcome(
        self,
        train: Films,
        parts: Mapping[str, Films],
        trained: fit.Trained,
        used: WeightsUsed,
        probabilities: Mapping[str, Array],
    ) -> Outcome:
        """What a result file holds of one training, from the probabilities of its validation and test
        films."""
        test = parts["test"]
        rows = zip(test.ids, test.patients, test.labels, probabilities["test"], strict=True)
        return Outcome(
            [
                results.Prediction(
                    image_id=name,
                    patient_id=patient,
                    label=int(label),
                    # Eight digits are what float32 has; the metrics are computed from what the file says.
                    probabilities=[float(f"{probability:.8g}") for probability in row],
                )
                for name, patient, label, row in rows
            ],
            results.Fitting(
                epochs=trained.epochs,
                best_epoch=trained.best_epoch,
                validation_loss=trained.validation_loss,
                validation_auc=_auc(parts["validation"], probabilities["validation"]),
            ),
            results.Weights.model_validate(used.model_dump()),
            self.code,
            hardware(self.device),
            self._notes([train, *parts.values()]),
        )

    def _fit(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> tuple[fit.Trained, WeightsUsed, dict[str, Array]]:
        network, trained = self.learn(model, regime, seed, train, parts["validation"], what)
        learner = network.head if CLASSIFIERS[model].frozen else network
        with one_thread() if CLASSIFIERS[model].frozen else contextlib.nullcontext():
            probabilities = {
                name: fit.class_probabilities(learner, self._feed(model, films))
                for name, films in parts.items()
            }
        return trained, network.weights, probabilities

    def learn(
        self, model: str, regime: Regime, seed: int, train: Films, validation: Films, what: str
    ) -> tuple[Network, fit.Trained]:
        """Train a network, or its dense layer on fixed features, with early stopping. Needs `fill`."""
        settings = self.suite.training_of(model)
        network = self._build(model, seed, len(train.classes)).to(self.device)
        # One dense layer is too small to share out, and one thread gives the same digits on every machine.
        with one_thread() if CLASSIFIERS[model].frozen else contextlib.nullcontext():
            trained = fit.fit(
                network.head if CLASSIFIERS[model].frozen else network,
                self._feed(model, train, regime),
                self._feed(model, validation),
                settings,
                sampling=regime.sampling,
                loss=regime.loss,
                seed=seed,
                device=self.device,
                advance=lambda epoch: self.progress(epoch, settings.max_epochs, what),
            )
        return network, trained

    def films(self, films: Films) -> Array:
        """Their pixels as networks see them, uint8 (n, side, side)."""
        keys = [self.pool.key(name) for name in films.ids]
        self._decode(keys)
        return self.pixels.rows(keys)

    def features(self, model: str, films: Films) -> Array:
        """The pooled features (n, width) of films by the body of a frozen `model`, computed where absent."""
        keys = [self.pool.key(name) for name in films.ids]
        self._extract(model, keys)
        return self._features(model).rows(keys)

    def _estimate(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> tuple[fit.Trained, WeightsUsed, dict[str, Array]]:
        """Fit bagged trees or a logistic regression to fixed features."""
        self.progress(0, 1, what)
        fitted, trained = trees.fit(
            self._features_of(model, train, regime),
            self._features_of(model, parts["validation"]),
            classes=len(train.classes),
            seed=seed,
            learner=CLASSIFIERS[model].learner,
            sampling=regime.sampling,
            loss=regime.loss,
            monitor=self.suite.training_of(model).monitor,
        )
        found = {
            name: trees.class_probabilities(fitted, self._features_of(model, films))
            for name, films in parts.items()
        }
        self.progress(1, 1, what)
        return trained, self._build(model, 0).weights, found

    def _notes(self, parts: Sequence[Films]) -> list[str]:
        """What became of films whose lungs were not found."""
        if self.kind != "lungs":
            return []
        keys = [self.pool.key(name) for name in dict.fromkeys(name for part in parts for name in part.ids)]
        lost = int((self.flags.rows(keys) == 0).sum())
        return [f"the lungs were not found in {lost} of {len(keys)} films; a fixed ellipse stands for them"]

    def _build(self, model: str, seed: int, classes: int = 2) -> Network:
        return build(model, self.weights or self.suite.models[model].weights, seed, classes)

    def _feed(self, model: str, films: Films, regime: Regime | None = None) -> fit.Feed:
        """The films for training by `regime`, or as they are without one."""
        if CLASSIFIERS[model].frozen:
            return self._features_of(model, films, regime)
        keys = [self.pool.key(name) for name in films.ids]
        augmented = regime is not None and regime.augment == "plain"
        return fit.PixelFeed(self.pixels, keys, films.labels, self.device, augment=augmented)

    def _features_of(self, model: str, films: Films, regime: Regime | None = None) -> fit.FeatureFeed:
        keys = [self.pool.key(name) for name in films.ids]
        views = self.suite.augment_views if regime is not None and regime.augment == "plain" else 0
        return fit.FeatureFeed(self._features(model), keys, films.labels, self.device, views=views)

    def _features(self, model: str, network: Network | None = None) -> Store:
        network = network or self._build(model, 0)
        made_by = f"{CLASSIFIERS[model].body}-{(network.weights.sha256 or 'none')[:12]}"
        name = f"features-{made_by}-{self.made_by}-{self.device.type}"
        return Store(self.cache_dir / name, (network.width,), np.float32)

    def _decode(self, keys: Sequence[str]) -> None:
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
        network = self._build(model, 0).to(self.device).eval()
        store = self._features(model, network)
        missing = store.missing(keys)
        if not missing:
            return
        self._decode([key.partition(":")[0] for key in missing])
        done = 0

        def batch(part: Sequence[str]) -> Array:
            nonlocal done
            films = torch.stack([self._variant(key) for key in part])
            # A full batch always: the last digits of a convolution can depend on the number of films.
            room = torch.zeros(size - len(part), *films.shape[1:])
            with torch.inference_mode():
                found: Array = network.features(torch.cat([films, room]).to(self.device)).cpu().numpy()
            done += len(part)
            self.progress(done, len(missing), f"features of {model}")
            return found[: len(part)]

        # On a CPU films go one by one through as many single threads as there are cores: the features then
        # depend on neither number, and small maps stay in the cores' own caches, which is twice as fast.
        size, workers = (1, torch.get_num_threads()) if self.device.type == "cpu" else (FEATURE_BATCH, 1)
        with (
            one_thread(),
            ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as threads,
        ):
            store.add(
                missing,
                lambda part: np.concatenate(
                    list(
                        threads.map(
                            batch, (part[start : start + size] for start in range(0, len(part), size))
                        )
                    )
                ),
            )

    def _variant(self, key: str) -> torch.Tensor:
        """The film (1, side, side) in [0, 1] that `key` names, augmented where it names a variant."""
        base, _, view = key.partition(":plain")
        film = torch.from_numpy(self.pixels.rows([base])).float().unsqueeze(1) / 255.0
        return (augment.plain(film, augment.rng_of_view(base, int(view))) if view else film)[0]


def _auc(films: Films, probabilities: Array) -> float | None:
    """That of the positive class against the rest; None where the films are of one kind only."""
    positives = films.positives
    if positives.all() or not positives.any():
        return None
    # A sum of float32 softmax numbers may pass 1 by a rounding error.
    scores = np.clip(probabilities[:, films.classes.index(films.positive)], 0, 1)
    return detection.auc(positives.astype(int), scores)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes each operation with one thread; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pick_device(name: str) -> torch.device:
    """The device called "auto" (the first of cuda, mps, cpu that is there), "cuda", "mps" or "cpu"."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, usable in there.items() if usable))
    if not there.get(name, False):
        usable = ", ".join(["auto", *(device for device in there if there[device])])
        raise ConfigError(f"no device {name!r} on this machine", expected=f"one of {usable}", hint="use auto")
    return torch.device(name)


def hardware(device: torch.device) -> results.Hardware:
    """What this process computes on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return results.Hardware(device=device.type, name=name, threads=torch.get_num_threads())


def code() -> results.Code:
    """Versions of this package and of the libraries that its numbers depend on."""
    libraries: dict[str, str] = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            libraries[name] = metadata.version(name)
    return results.Code(
        package=__version__, git=commit(), libraries={"python": platform.python_version(), **libraries}
    )


def commit() -> str | None:
    """The git commit of the checkout that this package runs from, with "-dirty" where files differ."""
    checkout = Path(__file__).parents[3]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    asked = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
