"""The part of the engine that needs torch: classifiers trained, test films predicted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films, Pool
from covid_synth_data.benchmark.request import ClassificationRequest, Progress
from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.benchmark.training import added, fit, heads, own, trees
from covid_synth_data.benchmark.training.reader import Array, FilmReader, groups_of
from covid_synth_data.classifiers.networks import Network
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.classifiers.weights import NO_WEIGHTS, WeightsUsed
from covid_synth_data.errors import ConfigError
from covid_synth_data.metrics import detection

Found = tuple[fit.Trained, WeightsUsed, dict[str, Array]]
"""A training, its initial weights, and the probabilities of the films of each part."""

LIBRARIES: Final = (
    *("datasets", "numpy", "pillow", "scikit-learn", "scipy", "timm", "torch", "torchvision"),
    "torchxrayvision",
)


@dataclass(frozen=True)
class TrainedClassifier:
    """What one training gives to its result file."""

    predictions: list[results.Prediction]
    fitting: results.Fitting
    weights: results.Weights
    code: machine.Code
    hardware: machine.Hardware
    notes: list[str]


class Worker(FilmReader):
    """Trains the classifiers of a suite on films of one pool, each film decoded once."""

    def __init__(self, request: ClassificationRequest, pool: Pool, progress: Progress) -> None:
        """Raises `ConfigError` for a device that is not there."""
        super().__init__(request, pool, progress)
        self.code = machine.code(LIBRARIES)

    def train(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> TrainedClassifier:
        """Train on `train`, stop by `parts["validation"]`, then predict `parts["test"]`. Needs `fill`."""
        if entry(model).learner not in ("head", "network"):
            _only_mixed(model, regime)
        works = {"head": self._fit, "network": self._fit, "own": self._fit_own}
        work = works.get(entry(model).learner, self._estimate)
        if regime.join != "scores":
            return self._outcome(train, parts, *work(model, regime, seed, train, parts, what))
        done = [work(model, regime, seed, part, parts, what) for part in added.halves(train)]
        return self._outcome(train, parts, *_sum(done, parts))

    def train_heads(
        self,
        model: str,
        regime: Regime,
        seeds: Sequence[int],
        trains: Sequence[Films],
        parts: Mapping[str, Films],
        what: str,
    ) -> list[TrainedClassifier]:
        """`train` for several seeds of one regime at once, where `model` learns a dense layer on fixed
        features.

        `trains` are the films of each seed, equally many of each class. Needs `fill`.
        """
        if regime.join != "scores":
            found = self._fit_heads(model, regime, seeds, trains, parts, what)
        else:
            halves = zip(*(added.halves(films) for films in trains), strict=True)
            both = [self._fit_heads(model, regime, seeds, half, parts, what) for half in halves]
            found = [_sum(done, parts) for done in zip(*both, strict=True)]
        return [self._outcome(films, parts, *one) for films, one in zip(trains, found, strict=True)]

    def _fit_heads(
        self,
        model: str,
        regime: Regime,
        seeds: Sequence[int],
        trains: Sequence[Films],
        parts: Mapping[str, Films],
        what: str,
    ) -> list[Found]:
        """A dense layer for each seed, learned from its own of `trains`, and what each says of `parts`."""
        networks, trained = self.learn_heads(model, regime, seeds, trains, parts["validation"], what)
        with machine.one_thread():
            feeds = {name: self.feature_feed(model, films) for name, films in parts.items()}
            found = [
                {name: fit.class_probabilities(network.head, feed) for name, feed in feeds.items()}
                for network in networks
            ]
        return [
            (record, networks[0].weights, probabilities)
            for record, probabilities in zip(trained, found, strict=True)
        ]

    def learn_heads(
        self,
        model: str,
        regime: Regime,
        seeds: Sequence[int],
        trains: Sequence[Films],
        validation: Films,
        what: str,
    ) -> tuple[list[Network], list[fit.Trained]]:
        """`learn` for several seeds at once, where `model` learns a dense layer on fixed features.

        `trains` are as in `train_heads`. Needs `fill`.
        """
        networks = [self.build_network(model, seed, len(trains[0].classes)) for seed in seeds]
        records: list[fit.Trained | None] = [None] * len(seeds)
        for stage in zip(*(added.stages(films, regime.join) for films in trains), strict=True):
            done = self._learn_stage(model, regime, seeds, networks, stage, validation, what)
            records = [added.after(before, now) for before, now in zip(records, done, strict=True)]
        return networks, [record for record in records if record is not None]

    def _learn_stage(
        self,
        model: str,
        regime: Regime,
        seeds: Sequence[int],
        networks: Sequence[Network],
        trains: Sequence[Films],
        validation: Films,
        what: str,
    ) -> list[fit.Trained]:
        """Train the dense layers of `networks` further, each on its own of `trains`."""
        settings = self.suite.training_of(model)
        ids = list(dict.fromkeys(name for films in trains for name in films.ids))
        where = {name: place for place, name in enumerate(ids)}
        labels = np.zeros(len(ids), np.int64)
        rows = [np.array([where[name] for name in films.ids]) for films in trains]
        for films, mine in zip(trains, rows, strict=True):
            labels[mine] = films.labels
        host_of = {name: host for films in trains for name, host in zip(films.ids, films.hosts, strict=True)}
        union = dataclasses.replace(
            trains[0], ids=ids, labels=labels, patients=[""] * len(ids), hosts=[host_of[name] for name in ids]
        )
        with machine.one_thread():
            return heads.fit(
                [network.head.to(self.device) for network in networks],
                self.feature_feed(model, union, regime),
                rows,
                self.feature_feed(model, validation),
                settings,
                sampling=regime.sampling,
                loss=regime.loss,
                seeds=seeds,
                device=self.device,
                advance=lambda epoch: self.progress(epoch, settings.max_epochs, what),
            )

    def _outcome(
        self,
        train: Films,
        parts: Mapping[str, Films],
        trained: fit.Trained,
        used: WeightsUsed,
        probabilities: Mapping[str, Array],
    ) -> TrainedClassifier:
        """What a result file holds of one training, from the probabilities of its validation and test
        films."""
        test = parts["test"]
        rows = zip(test.ids, test.patients, test.labels, probabilities["test"], strict=True)
        return TrainedClassifier(
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
            machine.hardware(self.device),
            self.notes([train, *parts.values()]),
        )

    def _fit(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> Found:
        network, trained = self.learn(model, regime, seed, train, parts["validation"], what)
        learner = network.head if entry(model).frozen else network
        with machine.one_thread() if entry(model).frozen else contextlib.nullcontext():
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
        network = self.build_network(model, seed, len(train.classes)).to(self.device)
        if not entry(model).frozen:
            # A depthwise convolution runs twice as fast on a CPU, and no slower elsewhere.
            network = network.to(memory_format=torch.channels_last)
        trained = None
        # One dense layer is too small to share out, and one thread gives the same digits on every machine.
        with machine.one_thread() if entry(model).frozen else contextlib.nullcontext():
            for films in added.stages(train, regime.join):
                now = fit.fit(
                    network.head if entry(model).frozen else network,
                    self._feed(model, films, regime),
                    self._feed(model, validation),
                    settings,
                    sampling=regime.sampling,
                    loss=regime.loss,
                    seed=seed,
                    device=self.device,
                    advance=lambda epoch: self.progress(epoch, settings.max_epochs, what),
                )
                trained = added.after(trained, now)
        assert trained is not None  # noqa: S101 - there is always a stage
        return network, trained

    def _estimate(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> Found:
        """Fit bagged trees or a logistic regression to fixed features."""
        self.progress(0, 1, what)
        fitted, trained = trees.fit(
            self.feature_feed(model, train, regime),
            self.feature_feed(model, parts["validation"]),
            classes=len(train.classes),
            seed=seed,
            learner=entry(model).learner,
            sampling=regime.sampling,
            loss=regime.loss,
            monitor=self.suite.training_of(model).monitor,
        )
        found = {
            name: trees.class_probabilities(fitted, self.feature_feed(model, films))
            for name, films in parts.items()
        }
        self.progress(1, 1, what)
        return trained, self.build_network(model, 0).weights, found

    def _fit_own(
        self, model: str, regime: Regime, seed: int, train: Films, parts: Mapping[str, Films], what: str
    ) -> tuple[fit.Trained, WeightsUsed, dict[str, Array]]:
        """Fit a classifier of the user to pixels of films and, where the regime augments, of variants."""
        self.progress(0, 1, what)
        views = range(1, self.suite.augment_views + 1) if regime.augment == "plain" else ()
        keys = [self.pool.key(name) for name in train.ids]
        variants = [fit.view_key(key, view) for view in views for key in keys]
        films = [self.pixels.rows(keys), *(self._pixels_of(key)[None] for key in variants)]
        trained, found = own.fit(
            self.suite.models[model].own or "",
            np.concatenate(films),
            np.tile(train.labels, 1 + len(views)),
            {name: self.films(part) for name, part in parts.items()},
            parts["validation"].labels,
            classes=len(train.classes),
            seed=seed,
            sampling=regime.sampling,
            loss=regime.loss,
            monitor=self.suite.training_of(model).monitor,
        )
        self.progress(1, 1, what)
        return trained, NO_WEIGHTS, dict(found)

    def _feed(self, model: str, films: Films, regime: Regime | None = None) -> fit.Feed:
        """The films for training by `regime`, or as they are without one."""
        if entry(model).frozen:
            return self.feature_feed(model, films, regime)
        keys = [self.pool.key(name) for name in films.ids]
        augmented = regime is not None and regime.augment == "plain"
        groups = groups_of(films, regime)
        return fit.PixelFeed(self.pixels, keys, films.labels, self.device, augment=augmented, groups=groups)


def _only_mixed(model: str, regime: Regime) -> None:
    """Raise `ConfigError` where a regime asks for what only a network can do: learn in stages or batches."""
    if regime.join == "fine-tune" or regime.batches == "pairs":
        asked = 'join = "fine-tune"' if regime.join == "fine-tune" else 'batches = "pairs"'
        raise ConfigError(
            f"classifier {model} learns from all films at once",
            found=asked,
            expected="a network or a dense layer on fixed features",
            hint="choose another model or regime",
        )


def _sum(done: Sequence[Found], parts: Mapping[str, Films]) -> Found:
    """The classifiers of the real and of the synthetic films as one (`added.add`)."""
    labels = {name: films.labels for name, films in parts.items()}
    trained, probabilities = added.add([(one, found) for one, _, found in done], labels)
    return trained, done[0][1], probabilities


def _auc(films: Films, probabilities: Array) -> float | None:
    """That of the positive class against the rest; None where the films are of one kind only."""
    positives = films.positives
    if positives.all() or not positives.any():
        return None
    # A sum of float32 softmax numbers may pass 1 by a rounding error.
    scores = np.clip(probabilities[:, films.classes.index(films.positive)], 0, 1)
    return detection.auc(positives.astype(int), scores)
