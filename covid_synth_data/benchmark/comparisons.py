"""Regimes against each other on the same test films: the gain over real films alone, and over the best that
real films can do without a generator.

A film counts as called rightly, for two classes, when its probability of the positive class is 0.5 or more
for a positive and below for a negative; for more classes, when its own class has the highest probability.
What the tests take for granted is said in `metrics.comparison`. Seeds are trainings of the same regime,
tested on the same films: their tests are repetitions and not independent evidence, so they are not combined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from covid_synth_data.config import Settings
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics import comparison, detection
from covid_synth_data.metrics.comparison import Comparison, Difference, Fisher
from covid_synth_data.metrics.detection import Bools, Floats, Ints

REAL: Final = "real"
HONEST: Final = ("balanced", "weighted", "augmented")
"""Words in the names of regimes of real films alone that do what can be done without a generator."""
SPECIFICITY: Final = 0.90
"""Where sensitivities are compared too, since what 0.5 means moves with the skew of the training films."""

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
    def predictions(self) -> Sequence[PredictionLike]:
        """Of the test films, or of those of one fold."""


class Spread(Settings):
    """A number over the seeds: mean, lowest and highest."""

    mean: float
    lowest: float
    highest: float


class SeedComparison(Settings):
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


class Pair(Settings):
    """A regime against a baseline: a comparison per seed that both have, and the differences over the seeds.

    Each difference is the regime minus the baseline, in [-1, 1].
    """

    baseline: str
    regime: str
    seeds: list[SeedComparison]
    accuracy: Spread
    sensitivity: Spread
    sensitivity_at_specificity: Spread
    auc: Spread


class Gain(Settings):
    """What a regime gains in one metric, in means over the seeds.

    `over_real` is None without a regime `real`. `best` is the baseline, `real` or an honest one, that leaves
    the smallest gain in this metric: chosen on the test films, which can only make the gain look smaller.
    `survives` says that the gain over it is above zero under every seed and more than chance under each: the
    corrected p below 0.05, for the AUC the interval over patients above zero. None where no honest baseline
    was run.
    """

    regime: str
    metric: str
    over_real: float | None
    best: str
    over_best: float
    survives: bool | None


def default_baselines(regimes: Sequence[str]) -> list[str]:
    """The baselines among `regimes`: `real`, then the honest ones (class-balanced, weighted, augmented)."""
    honest = [name for name in regimes if _is_honest(name)]
    return [*([REAL] if REAL in regimes else []), *honest]


def _is_honest(regime: str) -> bool:
    """Real films alone, treated: `real-balanced`, never `real+wgan-augmented`."""
    return regime.startswith(f"{REAL}-") and "+" not in regime and any(word in regime for word in HONEST)


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
    regimes = list(dict.fromkeys(regime for regime, _ in runs))
    chosen = list(baselines) if baselines is not None else default_baselines(regimes)
    unknown = [name for name in chosen if name not in regimes]
    if not chosen or unknown:
        raise ResultError(
            "there is no baseline to compare with",
            found=", ".join(regimes) or "no results",
            expected=", ".join(unknown) or f"{REAL}, or {REAL}-{', '.join(HONEST)}",
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
        pairs += [_pair(baseline, name, [seeds[name, seed] for seed in family[name]]) for name in family]
    return pairs


def gains(pairs: Sequence[Pair]) -> list[Gain]:
    """For each regime that is no baseline: the gains over `real` and over the best baseline."""
    baselines = {pair.baseline for pair in pairs}
    regimes = dict.fromkeys(pair.regime for pair in pairs if pair.regime not in baselines)
    return [_gain(regime, metric, pairs) for regime in regimes for metric in _METRICS]


def table(pairs: Sequence[Pair]) -> str:
    """The gains as text, Markdown at the same time; `NOTES` say what its columns mean."""
    lines = [["regime", "metric", "gain over real", "best baseline", "gain over it", "survives"]]
    for gain in gains(pairs):
        survives = {True: "yes", False: "no", None: "not tested"}[gain.survives]
        lines.append(
            [
                gain.regime,
                gain.metric,
                _signed(gain.over_real),
                gain.best,
                _signed(gain.over_best),
                survives,
            ]
        )
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(text) + "\n"


NOTES: Final = (
    "Gains are differences of means over the seeds. Best baseline: of the regimes with real films alone (as"
    " they are, class-balanced, weighted, augmented) the one that leaves the smallest gain in that metric.",
    "Survives: above zero under every seed, and not by chance under any: McNemar's p, corrected after Holm"
    " over the regimes, below 0.05; for the AUC, the interval over patients above zero.",
    "McNemar takes films for independent; films of one patient are not, so a yes is a little too easy.",
)


class _Run:
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
        self.right: Bools = called if several else (self.scores >= 0.5) == (self.truth == 1)

    @property
    def found(self) -> Bools:
        """Which positives were called so."""
        found: Bools = self.right[self.truth == 1]
        return found

    @cached_property
    def found_at_specificity(self) -> Bools:
        """Which positives are found at the threshold that gives a specificity of 0.90."""
        point = detection.sensitivity_at_specificity(self.truth, self.scores, SPECIFICITY)
        found: Bools = self.scores[self.truth == 1] > point.threshold
        return found

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


Runs = dict[tuple[str, int], _Run]


def _runs(results: Sequence[ResultLike], positive: int, replicates: int) -> Runs:
    """By regime and seed, folds put together. Raises `ResultError` where their films differ."""
    pooled: dict[tuple[str, int], list[PredictionLike]] = defaultdict(list)
    for result in results:
        pooled[result.regime, result.seed] += result.predictions
    runs = {key: _Run(predictions, positive, replicates) for key, predictions in pooled.items()}
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
        comparison.mcnemar(a.found_at_specificity, b.found_at_specificity),
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


def _pair(baseline: str, regime: str, seeds: list[SeedComparison]) -> Pair:
    return Pair(
        baseline=baseline,
        regime=regime,
        seeds=seeds,
        accuracy=_spread([one.films.difference for one in seeds]),
        sensitivity=_spread([one.positives.difference for one in seeds]),
        sensitivity_at_specificity=_spread([one.at_specificity.difference for one in seeds]),
        auc=_spread([one.auc.difference for one in seeds]),
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=float(np.mean(values)), lowest=min(values), highest=max(values))


_METRICS: Final[dict[str, tuple[str, Callable[[SeedComparison], bool]]]] = {
    "sensitivity at 0.5": ("sensitivity", lambda one: one.positives_holm < 0.05),
    "sensitivity at specificity 0.90": (
        "sensitivity_at_specificity",
        lambda one: one.at_specificity_holm < 0.05,
    ),
    "accuracy": ("accuracy", lambda one: one.films_holm < 0.05),
    "AUC": ("auc", lambda one: one.auc.low > 0),
}
"""Each metric of a gain: its spread in a pair, and whether one seed shows more than chance."""


def _gain(regime: str, metric: str, pairs: Sequence[Pair]) -> Gain:
    attribute, clear = _METRICS[metric]
    mine = [pair for pair in pairs if pair.regime == regime]
    means = {pair.baseline: getattr(pair, attribute).mean for pair in mine}
    tested = any(pair.baseline != REAL for pair in mine)
    best = min(mine, key=lambda pair: means[pair.baseline])
    above = getattr(best, attribute).lowest > 0 and all(map(clear, best.seeds))
    return Gain(
        regime=regime,
        metric=metric,
        over_real=means.get(REAL),
        best=best.baseline,
        over_best=means[best.baseline],
        survives=above if tested else None,
    )


def _signed(value: float | None) -> str:
    return "not run" if value is None else f"{value:+.3f}"
