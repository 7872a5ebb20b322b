"""The predictions of all seeds of one regime as arrays, and every statistic of them by the crossed
bootstrap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics import detection, resampling
from covid_synth_data.metrics.resampling import Statistic

BOOTSTRAP_SEED: Final = 0
"""The bootstrap is part of the metric and not of the experiment, so its seed never changes."""


class PredictionLike(Protocol):
    """One film: the index of its class and the probability of each class."""

    @property
    def image_id(self) -> str:
        """Unique in the test set."""

    @property
    def patient_id(self) -> str:
        """The patient of the film."""

    @property
    def label(self) -> int:
        """The place of its class among the classes."""

    @property
    def probabilities(self) -> Sequence[float]:
        """One per class, summing to 1."""


class ResultLike(Protocol):
    """One training: the pooled folds of a seed (`collect.Seed`), or one of them."""

    @property
    def seed(self) -> int:
        """Of the training."""

    @property
    def regime(self) -> str:
        """The name of the regime."""

    @property
    def regime_rule(self) -> Regime:
        """How that was put together; it says which regimes are baselines."""

    @property
    def predictions(self) -> Sequence[PredictionLike]:
        """Of the test films, or of those of one fold."""

    @property
    def validation_auc(self) -> float | None:
        """On the validation films; None where an older result does not tell."""

    @property
    def validation_loss(self) -> float:
        """On the validation films, of the epoch that was kept."""


@dataclass(frozen=True)
class Sample:
    """All seeds of a regime on one test set. `films` are (image id, label) in the order of the ids.

    `statistics` are those of `metrics.resampling.evaluate`, and `macro sensitivity` where there are more than
    two classes. `validation_auc` and `validation_loss` are means over seeds and folds.
    """

    regime: str
    rule: Regime
    seeds: tuple[int, ...]
    films: tuple[tuple[str, int], ...]
    statistics: dict[str, Statistic]
    validation_auc: float | None
    validation_loss: float

    def of_seeds(self, seeds: Sequence[int]) -> dict[str, Statistic]:
        """The statistics of these seeds alone, in this order."""
        columns = [self.seeds.index(seed) for seed in seeds]
        return {
            name: replace(
                statistic,
                values=statistic.values[columns],
                replicates=statistic.replicates[:, columns],
                influence=statistic.influence[:, columns],
            )
            for name, statistic in self.statistics.items()
        }


def sample(
    results: Sequence[ResultLike], *, positive: int = 1, replicates: int = detection.REPLICATES
) -> Sample:
    """The seeds of one regime, folds of a seed put together. `positive` is the index of the class of
    interest.

    A film counts as called rightly, for two classes, when its probability of the positive class is 0.5 or
    more for a positive and below for a negative; for more classes, when its own class has the highest
    probability. Raises `ResultError` where the seeds were tested on different films.
    """
    pooled: dict[int, list[PredictionLike]] = defaultdict(list)
    for result in results:
        pooled[result.seed] += result.predictions
    rows = {
        seed: sorted(predictions, key=lambda row: row.image_id)
        for seed, predictions in sorted(pooled.items())
    }
    first = next(iter(rows.values()))
    films = tuple((row.image_id, row.label) for row in first)
    for seed, predictions in rows.items():
        mine = tuple((row.image_id, row.label) for row in predictions)
        if mine != films or len(set(mine)) != len(mine):
            raise ResultError(
                f"{results[0].regime} seed {seed} was not tested on the same films, each once, as the others",
                found=f"{len(mine)} predictions of {len(set(mine))} films",
                expected=f"{len(films)} films",
                hint="compare results of one suite, task, preprocessing and model, with all folds",
            )
    labels = np.array([row.label for row in first])
    patients = tuple(row.patient_id for row in first)
    probabilities = np.array([[row.probabilities for row in predictions] for predictions in rows.values()])
    draws = _draws(tuple((labels == positive).tolist()), patients, replicates)
    right = probabilities.argmax(axis=2) == labels if probabilities.shape[2] > 2 else None
    statistics = resampling.evaluate(draws, probabilities[:, :, positive], right)
    if right is not None:
        statistics["macro sensitivity"] = resampling.mean(
            [resampling.share(draws, right, labels == label) for label in np.unique(labels)]
        )
    aucs = [result.validation_auc for result in results]
    known = [value for value in aucs if value is not None]
    return Sample(
        regime=results[0].regime,
        rule=results[0].regime_rule,
        seeds=tuple(rows),
        films=films,
        statistics=statistics,
        validation_auc=float(np.mean(known)) if len(known) == len(aucs) else None,
        validation_loss=float(np.mean([result.validation_loss for result in results])),
    )


@lru_cache(maxsize=8)
def _draws(truth: tuple[bool, ...], patients: tuple[str, ...], replicates: int) -> resampling.Draws:
    """The patients drawn, once for all regimes of a test set."""
    return resampling.draw(np.array(truth, int), patients, seed=BOOTSTRAP_SEED, replicates=replicates)


def samples(
    results: Sequence[ResultLike], *, positive: int = 1, replicates: int = detection.REPLICATES
) -> list[Sample]:
    """One sample per regime, in the order in which they come. Raises `ResultError` as `sample` does, and
    where regimes were tested on different films."""
    by_regime: dict[str, list[ResultLike]] = defaultdict(list)
    for result in results:
        by_regime[result.regime].append(result)
    return [sample(of_regime, positive=positive, replicates=replicates) for of_regime in by_regime.values()]
