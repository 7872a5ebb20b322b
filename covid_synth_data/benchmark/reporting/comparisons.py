"""Regimes against baselines on the same test films. A baseline is a regime of real films alone (`mix` is
`real`); an honest one does something about the imbalance or the scarcity that costs no generator. What a
gain over them is, and when it survives, is in `gains`.

A film counts as called rightly, for two classes, when its probability of the positive class is 0.5 or more
for a positive and below for a negative; for more classes, when its own class has the highest probability.
Sensitivity and specificity are those of the positive class against the rest at 0.5, for more classes too.
What the tests take for granted is said in `metrics.comparison`. Seeds are trainings of the same regime,
tested on the same films: their tests are repetitions and not independent evidence, so they are not combined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ResultError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import comparison, detection
from covid_synth_data.metrics.comparison import Comparison, Difference, Fisher
from covid_synth_data.metrics.detection import Bools, Floats, Ints

REAL: Final = "real"
SPECIFICITY: Final = 0.90
"""Where sensitivities are compared too, since what 0.5 means moves with the skew of the training films."""

CALL: Final = 0.5
"""Of two classes, the positive one is called at this probability or more, as in all tables."""

SEED: Final = 0
"""The bootstrap is part of the metric and not of the experiment, so its seed never changes."""


class PredictionLike(Protocol):
    """One film: the index of its class and the probability of each class."""

    @property
    def image_id(self) -> str:
        """Unique in the test set."""

    @property
    def patient_id(self) -> str:
        """Whose film it is."""

    @property
    def label(self) -> int:
        """The place of its class among the classes."""

    @property
    def probabilities(self) -> Sequence[float]:
        """One per class, summing to 1."""


class ResultLike(Protocol):
    """One training: `benchmark.results.Result`, or the pooled folds of a seed."""

    @property
    def seed(self) -> int:
        """Of the training."""

    @property
    def regime(self) -> str:
        """What was trained on."""

    @property
    def regime_rule(self) -> Regime:
        """How that was put together; it says which regimes are baselines."""

    @property
    def predictions(self) -> Sequence[PredictionLike]:
        """Of the test films, or of those of one fold."""


class Spread(FrozenModel):
    """A number over the seeds: mean, lowest and highest."""

    mean: float
    lowest: float
    highest: float


class SeedComparison(FrozenModel):
    """One seed of a regime (b) against the same seed of a baseline (a).

    `films` and `positives` are McNemar's tests on all films and on the positives alone, the difference of the
    latter being that of the sensitivities; `at_specificity` is that on the positives where each has its own
    threshold for a specificity of 0.90. `fisher_films` and `fisher_positives` ignore the pairing, as
    menon2020 does. `sensitivity` and `auc` have intervals over patients. The `_holm` values are corrected
    over all regimes that are compared with this baseline at this seed.
    """

    seed: int
    films: Comparison
    positives: Comparison
    at_specificity: Comparison
    fisher_films: Fisher
    fisher_positives: Fisher
    sensitivity: Difference
    auc: Difference
    films_holm: float
    positives_holm: float
    at_specificity_holm: float


class Pair(FrozenModel):
    """A regime against a baseline: a comparison per seed that both have, and the differences over the seeds.

    Each difference is the regime minus the baseline, in [-1, 1]. `sensitivity_at` has one for each
    specificity of `metrics.detection.SPECIFICITIES`, by its two digits. `mean_auc` is the difference of the
    AUCs' means over the seeds, its interval a bootstrap over patients, the same patients for both regimes
    and for all seeds. `honest` says that the baseline does something about the imbalance (see
    `suite.Regime.honest`), `regime_is_baseline` that the regime is trained on real films alone too.
    """

    baseline: str
    regime: str
    honest: bool
    regime_is_baseline: bool
    seeds: list[SeedComparison]
    accuracy: Spread
    sensitivity: Spread
    specificity: Spread
    sensitivity_at: dict[str, Spread]
    auc: Spread
    mean_auc: Difference


def baselines_of(results: Sequence[ResultLike]) -> list[str]:
    """The regimes among `results` that are trained on real films alone, `real` first."""
    names = dict.fromkeys(one.regime for one in results if one.regime_rule.baseline)
    return sorted(names, key=lambda name: name != REAL)


def compare(
    results: Sequence[ResultLike],
    *,
    positive: int = 1,
    baselines: Sequence[str] | None = None,
    replicates: int = detection.REPLICATES,
) -> list[Pair]:
    """Every regime against every baseline, in the order in which they come in `results`.

    `results` are those of one suite, task, preprocessing and model; folds of a seed are put together.
    `positive` is the index of the class of interest. Baselines are compared with each other too. Raises
    `ResultError` where there is no baseline, or results were tested on different films.
    """
    runs = _runs(results, positive, replicates)
    rules = {one.regime: one.regime_rule for one in results}
    regimes = list(rules)
    chosen = list(baselines) if baselines is not None else baselines_of(results)
    unknown = [name for name in chosen if name not in regimes]
    if not chosen or unknown:
        raise ResultError(
            "there is no baseline to compare with",
            found=", ".join(regimes) or "no results",
            expected=", ".join(unknown) or 'a regime of real films alone (mix = "real")',
            hint="run the baselines too, or name another",
        )
    pairs = []
    for baseline in chosen:
        family = {
            regime: shared
            for regime in regimes
            if regime != baseline and (shared := _shared(runs, baseline, regime))
        }
        found = {(name, seed): _one(runs, baseline, name, seed) for name in family for seed in family[name]}
        seeds = _corrected(found)
        pairs += [
            _pair(runs, rules, (baseline, name), [seeds[name, seed] for seed in family[name]])
            for name in family
        ]
    return pairs


class _Predictions:
    """The predictions of one regime and seed, film by film in the order of the image ids."""

    def __init__(self, predictions: Sequence[PredictionLike], positive: int, replicates: int) -> None:
        rows = sorted(predictions, key=lambda row: row.image_id)
        self.films = [(row.image_id, row.label) for row in rows]
        self.patients = np.array([row.patient_id for row in rows], dtype=object)
        self.truth: Ints = np.array([row.label == positive for row in rows], dtype=np.int64)
        probabilities = np.array([row.probabilities for row in rows], dtype=np.float64)
        self.scores: Floats = probabilities[:, positive]
        self.replicates = replicates
        labels = np.array([row.label for row in rows])
        several = probabilities.shape[1] > 2
        called = probabilities.argmax(axis=1) == labels
        self.right: Bools = called if several else (self.scores >= CALL) == (self.truth == 1)

    @property
    def found(self) -> Bools:
        """Which positives have a probability of 0.5 or more, however many classes there are."""
        found: Bools = self.scores[self.truth == 1] >= CALL
        return found

    @property
    def specificity(self) -> float:
        """The share of the rest with a probability of the positive class below 0.5."""
        return float((self.scores[self.truth == 0] < CALL).mean())

    @cached_property
    def found_at(self) -> dict[float, Bools]:
        """Which positives are found at the threshold that gives a specificity, for each that is reported."""
        positives = self.scores[self.truth == 1]
        return {
            target: positives
            > detection.sensitivity_at_specificity(self.truth, self.scores, target).threshold
            for target in detection.SPECIFICITIES
        }

    @cached_property
    def auc(self) -> float:
        """Of the positive class against the rest."""
        return detection.auc(self.truth, self.scores)

    @cached_property
    def drawn(self) -> Floats:
        """The AUC in each replicate, drawn alike for every regime."""
        return detection.auc_replicates(
            self.truth, self.scores, self.patients, seed=SEED, replicates=self.replicates
        )


Runs = dict[tuple[str, int], _Predictions]


def _runs(results: Sequence[ResultLike], positive: int, replicates: int) -> Runs:
    """By regime and seed, folds put together. Raises `ResultError` where their films differ."""
    pooled: dict[tuple[str, int], list[PredictionLike]] = defaultdict(list)
    for result in results:
        pooled[result.regime, result.seed] += result.predictions
    runs = {key: _Predictions(predictions, positive, replicates) for key, predictions in pooled.items()}
    for (regime, seed), run in runs.items():
        first = next(iter(runs.values()))
        if len(set(run.films)) != len(run.films) or run.films != first.films:
            raise ResultError(
                f"{regime} seed {seed} was not tested on the same films, each once, as the others",
                found=f"{len(run.films)} predictions of {len(set(run.films))} films",
                expected=f"{len(first.films)} films",
                hint="compare results of one suite, task, preprocessing and model, with all folds",
            )
    return runs


def _shared(runs: Runs, baseline: str, regime: str) -> list[int]:
    return [seed for name, seed in runs if name == regime and (baseline, seed) in runs]


def _one(runs: Runs, baseline: str, regime: str, seed: int) -> SeedComparison:
    a, b = runs[baseline, seed], runs[regime, seed]
    positives, at_specificity = (
        comparison.mcnemar(a.found, b.found),
        comparison.mcnemar(a.found_at[SPECIFICITY], b.found_at[SPECIFICITY]),
    )
    films = comparison.mcnemar(a.right, b.right)
    whose = a.patients[a.truth == 1]
    return SeedComparison(
        seed=seed,
        films=films,
        positives=positives,
        at_specificity=at_specificity,
        fisher_films=_fisher(a.right, b.right),
        fisher_positives=_fisher(a.found, b.found),
        sensitivity=comparison.share_difference(a.found, b.found, whose, seed=SEED, replicates=a.replicates),
        auc=comparison.difference(a.auc, b.auc, b.drawn - a.drawn),
        films_holm=films.p,
        positives_holm=positives.p,
        at_specificity_holm=at_specificity.p,
    )


def _fisher(a: Bools, b: Bools) -> Fisher:
    return comparison.fisher(int(a.sum()), len(a), int(b.sum()), len(b))


def _corrected(found: dict[tuple[str, int], SeedComparison]) -> dict[tuple[str, int], SeedComparison]:
    """With Holm's correction over the regimes of each seed."""
    changed = dict(found)
    for seed in dict.fromkeys(seed for _, seed in found):
        keys = [key for key in found if key[1] == seed]
        holm = {
            f"{name}_holm": comparison.holm([getattr(found[key], name).p for key in keys])
            for name in ("films", "positives", "at_specificity")
        }
        for place, key in enumerate(keys):
            changed[key] = found[key].model_copy(
                update={name: values[place] for name, values in holm.items()}
            )
    return changed


def _pair(
    runs: Runs, rules: Mapping[str, Regime], names: tuple[str, str], seeds: list[SeedComparison]
) -> Pair:
    baseline, regime = names
    a, b = ([runs[name, one.seed] for one in seeds] for name in names)
    drawn = np.mean([new.drawn - old.drawn for old, new in zip(a, b, strict=True)], axis=0)
    return Pair(
        baseline=baseline,
        regime=regime,
        honest=rules[baseline].honest,
        regime_is_baseline=rules[regime].baseline,
        seeds=seeds,
        accuracy=_spread([one.films.difference for one in seeds]),
        sensitivity=_spread([one.positives.difference for one in seeds]),
        specificity=_spread([new.specificity - old.specificity for old, new in zip(a, b, strict=True)]),
        sensitivity_at={
            f"{target:.2f}": _spread(
                [
                    float(new.found_at[target].mean() - old.found_at[target].mean())
                    for old, new in zip(a, b, strict=True)
                ]
            )
            for target in detection.SPECIFICITIES
        },
        auc=_spread([one.auc.difference for one in seeds]),
        mean_auc=comparison.difference(
            float(np.mean([one.auc for one in a])), float(np.mean([one.auc for one in b])), drawn
        ),
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=float(np.mean(values)), lowest=min(values), highest=max(values))
