"""The part of the engine that needs torch: classifiers trained, test films predicted."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films, Pool
from covid_synth_data.benchmark.request import ClassificationRequest, Progress
from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.benchmark.training import added, fit, heads, own, trees
from covid_synth_data.benchmark.training.job import TrainingJob
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
    """The outcome of one training, for its result file."""

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

    def train(self, jobs: Sequence[TrainingJob], parts: Mapping[str, Films]) -> list[TrainedClassifier]:
        """Train on the films of each of `jobs`, stop by `parts["validation"]`, then predict `parts["test"]`.

        Several jobs are trained at once: they are of one regime and of one model that learns a dense layer on
        fixed features, and have equally many films of each class. Needs `fill`.
        """
        model, regime = jobs[0].model, jobs[0].regime
        if entry(model).learner not in ("head", "network"):
            _only_mixed(model, regime)
        works = {"head": self._fit, "network": self._fit, "own": self._fit_own}
        work = works.get(entry(model).learner, self._estimate)
        if regime.join != "scores":
            fitted = work(jobs, parts)
        else:
            halves = zip(*(added.halves(job.films) for job in jobs), strict=True)
            both = [work(_with_films(jobs, films), parts) for films in halves]
            fitted = [_sum(done, parts) for done in zip(*both, strict=True)]
        return [self._outcome(job.films, parts, *one) for job, one in zip(jobs, fitted, strict=True)]

    def learn(
        self, jobs: Sequence[TrainingJob], validation: Films
    ) -> tuple[list[Network], list[fit.Trained]]:
        """Train a network, or its dense layer on fixed features, for each of `jobs`, with early stopping.

        Several jobs are as in `train`. Needs `fill`.
        """
        model = jobs[0].model
        networks = [self.build_network(model, job.seed, len(job.films.classes)) for job in jobs]
        learn = self._learn_heads if len(jobs) > 1 else self._learn_one
        # The films of each stage, of all jobs; there is one stage unless a regime fine-tunes.
        stages = zip(*(added.stages(job.films, job.regime.join) for job in jobs), strict=True)
        records = [learn(_with_films(jobs, films), networks, validation) for films in stages]
        return networks, [added.total(stage) for stage in zip(*records, strict=True)]

    def _learn_one(
        self, jobs: Sequence[TrainingJob], networks: Sequence[Network], validation: Films
    ) -> list[fit.Trained]:
        """Train a network, or its dense layer, further."""
        (job,), (network,) = jobs, networks
        network.to(self.device)
        frozen = entry(job.model).frozen
        if not frozen:
            # A depthwise convolution runs twice as fast on a CPU, and no slower elsewhere.
            network.to(memory_format=torch.channels_last)
        learner = network.head if frozen else network
        train, validated = self._feed(job.model, job.films, job.regime), self._feed(job.model, validation)
        # One dense layer is too small to share out, and one thread gives the same digits on every machine.
        with machine.one_thread() if frozen else contextlib.nullcontext():
            return [fit.fit(learner, train, validated, seed=job.seed, **self._options(job))]

    def _learn_heads(
        self, jobs: Sequence[TrainingJob], networks: Sequence[Network], validation: Films
    ) -> list[fit.Trained]:
        """Train the dense layers of `networks` further, all at once, each on the films of its job."""
        # One set of films with those of all jobs, and the rows of each.
        trains = [job.films for job in jobs]
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
        layers = [network.head.to(self.device) for network in networks]
        train = self.feature_feed(jobs[0].model, union, jobs[0].regime)
        validated = self.feature_feed(jobs[0].model, validation)
        with machine.one_thread():
            seeds = [job.seed for job in jobs]
            return heads.fit(layers, train, rows, validated, seeds=seeds, **self._options(jobs[0]))

    def _options(self, job: TrainingJob) -> dict[str, Any]:
        """The arguments of `fit.fit` and `heads.fit` besides films and seeds."""
        settings = self.suite.training_of(job.model)
        return {
            "settings": settings,
            "sampling": job.regime.sampling,
            "loss": job.regime.loss,
            "device": self.device,
            "advance": lambda epoch: self.progress(epoch, settings.max_epochs, job.title),
        }

    def _fit(self, jobs: Sequence[TrainingJob], parts: Mapping[str, Films]) -> list[Found]:
        """Train networks or dense layers, and what each says of `parts`."""
        model = jobs[0].model
        networks, trained = self.learn(jobs, parts["validation"])
        frozen = entry(model).frozen
        feeds = {name: self._feed(model, films) for name, films in parts.items()}
        with machine.one_thread() if frozen else contextlib.nullcontext():
            probabilities = [
                {
                    name: fit.class_probabilities(network.head if frozen else network, feed)
                    for name, feed in feeds.items()
                }
                for network in networks
            ]
        return [
            (record, network.weights, found)
            for record, network, found in zip(trained, networks, probabilities, strict=True)
        ]

    def _outcome(
        self,
        train: Films,
        parts: Mapping[str, Films],
        trained: fit.Trained,
        used: WeightsUsed,
        probabilities: Mapping[str, Array],
    ) -> TrainedClassifier:
        """The fields of a result file for one training, from the probabilities of its validation and test
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

    def _estimate(self, jobs: Sequence[TrainingJob], parts: Mapping[str, Films]) -> list[Found]:
        """Fit bagged trees or a logistic regression to fixed features."""
        (job,) = jobs
        self.progress(0, 1, job.title)
        fitted, trained = trees.fit(
            self.feature_feed(job.model, job.films, job.regime),
            self.feature_feed(job.model, parts["validation"]),
            classes=len(job.films.classes),
            seed=job.seed,
            learner=entry(job.model).learner,
            sampling=job.regime.sampling,
            loss=job.regime.loss,
            monitor=self.suite.training_of(job.model).monitor,
        )
        probabilities = {
            name: trees.class_probabilities(fitted, self.feature_feed(job.model, films))
            for name, films in parts.items()
        }
        self.progress(1, 1, job.title)
        return [(trained, self.build_network(job.model, 0).weights, probabilities)]

    def _fit_own(self, jobs: Sequence[TrainingJob], parts: Mapping[str, Films]) -> list[Found]:
        """Fit a classifier of the user to pixels of films and, where the regime augments, of variants."""
        (job,) = jobs
        self.progress(0, 1, job.title)
        views = range(1, self.suite.augment_views + 1) if job.regime.augment == "plain" else ()
        keys = [self.pool.key(name) for name in job.films.ids]
        variants = [fit.view_key(key, view) for view in views for key in keys]
        films = [self.pixels.rows(keys), *(self._pixels_of(key)[None] for key in variants)]
        trained, probabilities = own.fit(
            self.suite.models[job.model].own or "",
            np.concatenate(films),
            np.tile(job.films.labels, 1 + len(views)),
            {name: self.films(part) for name, part in parts.items()},
            parts["validation"].labels,
            classes=len(job.films.classes),
            seed=job.seed,
            sampling=job.regime.sampling,
            loss=job.regime.loss,
            monitor=self.suite.training_of(job.model).monitor,
        )
        self.progress(1, 1, job.title)
        return [(trained, NO_WEIGHTS, dict(probabilities))]

    def _feed(self, model: str, films: Films, regime: Regime | None = None) -> fit.Feed:
        """The films for training by `regime`, or as they are without one."""
        if entry(model).frozen:
            return self.feature_feed(model, films, regime)
        keys = [self.pool.key(name) for name in films.ids]
        augmented = regime is not None and regime.augment == "plain"
        groups = groups_of(films, regime)
        return fit.PixelFeed(self.pixels, keys, films.labels, self.device, augment=augmented, groups=groups)


def _with_films(jobs: Sequence[TrainingJob], films: Sequence[Films]) -> list[TrainingJob]:
    """`jobs` with these films in place of their own."""
    return [dataclasses.replace(job, films=some) for job, some in zip(jobs, films, strict=True)]


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
