"""The part of the runner that needs torch: films into stores, classifiers trained, test films predicted."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch

from covid_synth_data import __version__
from covid_synth_data.benchmark import augment, results, training
from covid_synth_data.benchmark.cache import Store
from covid_synth_data.benchmark.classifiers import CLASSIFIERS, build
from covid_synth_data.benchmark.composition import Films, Pool
from covid_synth_data.benchmark.networks import Network
from covid_synth_data.benchmark.suite import Regime, Suite
from covid_synth_data.errors import ConfigError
from covid_synth_data.pixels import load_grey

Array = npt.NDArray[Any]

FEATURE_BATCH: Final = 32
_LIBRARIES: Final = ("datasets", "numpy", "pillow", "scipy", "timm", "torch", "torchvision")


@dataclass(frozen=True)
class Outcome:
    """What one training gives to its result file."""

    predictions: list[results.Prediction]
    fitting: results.Fitting
    weights: results.Weights
    code: results.Code
    hardware: results.Hardware


class Worker:
    """Trains the classifiers of a suite on films of one pool, each film decoded once."""

    def __init__(
        self,
        suite: Suite,
        pool: Pool,
        cache_dir: Path,
        device: str,
        weights: Literal["imagenet", "none"] | None,
        progress: Callable[[int, int, str], None],
    ) -> None:
        """`weights` replaces those that the suite gives its models. Raises `ConfigError` for a device that
        is not there."""
        side = suite.image_size
        self.suite, self.pool, self.cache_dir = suite, pool, cache_dir
        self.device, self.weights, self.progress = pick_device(device), weights, progress
        self.code = code()
        self.pixels = Store(cache_dir / f"pixels-{side}", (side, side), np.uint8)

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
        self._extract(model, [*keys, *(training.view_key(key, view) for key in augmented for view in views)])

    def train(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> Outcome:
        """Train on `train`, stop by `parts["validation"]`, then predict `parts["test"]`. Needs `fill`."""
        settings = self.suite.training_of(model)
        network = self._build(model, seed)
        used = results.Weights.model_validate(network.weights.model_dump())
        learner = network.head if CLASSIFIERS[model].frozen else network
        learner.to(self.device)
        test = parts["test"]
        # One dense layer is too small to share out, and one thread gives the same digits on every machine.
        with one_thread() if CLASSIFIERS[model].frozen else contextlib.nullcontext():
            trained = training.fit(
                learner,
                self._feed(model, train, regime),
                self._feed(model, parts["validation"]),
                settings,
                sampling=regime.sampling,
                seed=seed,
                device=self.device,
                advance=lambda epoch: self.progress(epoch, settings.max_epochs, what),
            )
            probabilities = training.probabilities(learner, self._feed(model, test))
        rows = zip(test.ids, test.patients, test.labels, probabilities, strict=True)
        return Outcome(
            [
                results.Prediction(
                    image_id=name,
                    patient_id=patient,
                    label=1 if label else 0,
                    # Eight digits are what float32 has; the metrics are computed from what the file says.
                    probability=float(f"{probability:.8g}"),
                )
                for name, patient, label, probability in rows
            ],
            results.Fitting(
                epochs=trained.epochs, best_epoch=trained.best_epoch, validation_loss=trained.validation_loss
            ),
            used,
            self.code,
            hardware(self.device),
        )

    def _build(self, model: str, seed: int) -> Network:
        return build(model, self.weights or self.suite.models[model].weights, seed)

    def _feed(self, model: str, films: Films, regime: Regime | None = None) -> training.Feed:
        """The films for training by `regime`, or as they are without one."""
        keys = [self.pool.key(name) for name in films.ids]
        plain = regime is not None and regime.augment == "plain"
        if CLASSIFIERS[model].frozen:
            views = self.suite.augment_views if plain else 0
            return training.FeatureFeed(self._features(model), keys, films.labels, self.device, views=views)
        return training.PixelFeed(self.pixels, keys, films.labels, self.device, augment=plain)

    def _features(self, model: str, network: Network | None = None) -> Store:
        network = network or self._build(model, 0)
        made_by = f"{CLASSIFIERS[model].body}-{(network.weights.sha256 or 'none')[:12]}"
        name = f"features-{made_by}-{self.suite.image_size}-{self.device.type}"
        return Store(self.cache_dir / name, (network.width,), np.float32)

    def _decode(self, keys: Sequence[str]) -> None:
        side = self.suite.image_size
        total, done = len(self.pixels.missing(keys)), 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            self.progress(done, total, "decode")

        with ThreadPoolExecutor(2) as threads:
            self.pixels.add(
                keys,
                lambda part: np.stack(
                    list(threads.map(lambda key: load_grey(self.pool.cell(key), side), part))
                ),
                advance,
            )

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
    checkout = Path(__file__).parents[2]
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    asked = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
