"""Result files put together: the folds of a seed pooled, the seeds of a regime side by side."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from covid_synth_data.benchmark.reporting.samples import Sample, sample
from covid_synth_data.benchmark.results import (
    ClassificationResult,
    Metrics,
    Prediction,
    find,
    measure,
    validate_values,
)
from covid_synth_data.benchmark.suite import ClassificationSuite, Regime, is_suite, load_suite
from covid_synth_data.errors import ResultError

Key = tuple[str, str, str, str, str, str]
"""Suite, its version, task, preprocessing, model, regime."""


@dataclass(frozen=True)
class Seed:
    """One seed of a regime: its files, one or one per fold, and its predictions of the whole test set.

    Where there are folds each film was predicted by the classifier that never saw its patient.
    """

    seed: int
    regime: str
    results: tuple[ClassificationResult, ...]
    predictions: tuple[Prediction, ...]

    @cached_property
    def metrics(self) -> Metrics:
        """Of all predictions. Whoever compares regimes alone does not wait for their intervals."""
        first = self.results[0]
        if len(self.predictions) == len(first.predictions):
            return first.metrics
        return measure(self.predictions, first.classes, first.positive)

    @property
    def regime_rule(self) -> Regime:
        """The rule of the regime; the same in all folds."""
        return self.results[0].regime_rule

    @property
    def validation_auc(self) -> float | None:
        """Mean over the folds of the AUC on the validation films; None where one of them does not tell."""
        known = [one.fitting.validation_auc for one in self.results]
        stated = [value for value in known if value is not None]
        return sum(stated) / len(stated) if len(stated) == len(known) else None

    @property
    def validation_loss(self) -> float:
        """Mean over the folds of the loss on the validation films."""
        return sum(one.fitting.validation_loss for one in self.results) / len(self.results)


@dataclass(frozen=True)
class Group:
    """All seeds of one regime, model, preprocessing and task."""

    key: Key
    seeds: tuple[Seed, ...]

    @property
    def first(self) -> ClassificationResult:
        """A result that speaks for what all have in common."""
        return self.seeds[0].results[0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all its results."""
        every = hashlib.sha256()
        for seed in self.seeds:
            for one in seed.results:
                every.update(one.model_dump_json().encode() + b"\n")
        return every.hexdigest()

    @cached_property
    def sample(self) -> Sample:
        """Its predictions with every statistic, resampled once for all tables."""
        return sample(self.seeds, positive=self.first.classes.index(self.first.positive))


Progress = Callable[[int, int, str], None]
"""Gets (done, all, what is done)."""


def collect(
    results_dir: str | Path, progress: Progress | None = None, suite: str | None = None
) -> list[Group]:
    """The groups of all result files below `results_dir`, or of one `suite`, in the order of the suites.

    Every file is validated first (`results.validate_values`). Raises `ResultError` when there
    is none, when one is wrong, when a fold is missing, and when the seeds of a group were not tested on the
    same films or used different data.
    """
    files: dict[Key, dict[int, list[ClassificationResult]]] = defaultdict(lambda: defaultdict(list))
    paths = find(Path(results_dir), "classification")
    for number, path in enumerate(paths, 1):
        result = validate_values(path, ClassificationResult)
        key = (
            *(result.suite, result.suite_version, result.task),
            *(result.preprocessing, result.model, result.regime),
        )
        if suite in (None, result.suite):
            files[key][result.seed].append(result)
        if progress:
            progress(number, len(paths), "reading results")
    if not files:
        raise ResultError(
            f"no results of the suite {suite!r} in {results_dir}",
            found=f"{len(paths)} files of other suites",
            expected="a suite that was run",
            hint="leave --suite out to see all",
        )
    groups = [
        Group(key, tuple(pool(results) for _, results in sorted(seeds.items())))
        for key, seeds in files.items()
    ]
    _same_films(groups)
    return sorted(groups, key=lambda group: _rank(group.key))


def comparable(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups that differ in nothing but the regime: same suite and version, task, preprocessing, model,
    initial weights and limit of real negatives. In the order in which they come."""
    together: dict[tuple[object, ...], list[Group]] = defaultdict(list)
    for group in groups:
        together[*group.key[:5], group.first.weights.name, group.first.limit].append(group)
    return list(together.values())


def pool(results: Sequence[ClassificationResult]) -> Seed:
    """The files of one seed as one. Raises `ResultError` where a fold is missing or a film is in two."""
    first = results[0]
    if first.fold is None and len(results) == 1:
        return Seed(first.seed, first.regime, (first,), tuple(first.predictions))
    ordered = sorted(results, key=lambda result: result.fold if result.fold is not None else -1)
    name = f"{first.suite} {first.task} {first.model} {first.regime} seed {first.seed}"
    if [result.fold for result in ordered] != list(range(first.folds)):
        raise ResultError(
            f"{name} does not have each fold once",
            found=", ".join(str(result.fold) for result in ordered),
            expected=f"0 to {first.folds - 1}",
            hint="run the suite again: it goes on with what is missing",
        )
    rows = [row for result in ordered for row in result.predictions]
    if len({row.image_id for row in rows}) != len(rows):
        raise ResultError(
            f"a film is tested in two folds of {name}", hint="remove these files and run that part again"
        )
    return Seed(first.seed, first.regime, tuple(ordered), tuple(rows))


def _same_films(groups: Sequence[Group]) -> None:
    """Rows of one task stand in one table only if they were tested on the same films with the same labels."""
    tested: dict[tuple[str, ...], tuple[Seed, frozenset[tuple[str, int]]]] = {}
    for group in groups:
        for seed in group.seeds:
            films = frozenset((row.image_id, row.label) for row in seed.predictions)
            other, expected = tested.setdefault(group.key[:3], (seed, films))
            if films != expected:
                raise ResultError(
                    f"results of {group.key[0]} {group.key[2]} were tested on different films",
                    found=f"{group.key[4]} {group.key[5]} seed {seed.seed} differs in"
                    f" {len(films ^ expected)} films",
                    expected=f"those of {other.results[0].model} {other.regime} seed {other.seed}",
                    hint="keep results of different sources in different folders",
                )
        shared = {(one.dataset, one.weights, one.limit) for seed in group.seeds for one in seed.results}
        if len(shared) > 1:
            raise ResultError(
                f"the seeds of {' '.join(group.key)} do not belong together",
                found="different datasets, weights or limits",
                hint="keep them in different folders",
            )


def _rank(key: Key) -> tuple[object, ...]:
    """Order of a group: models and regimes as the suite lists them, by name where it is not ours."""
    suite, version, task, kind, model, regime = key
    kinds = ("plain", "re-encoded", "harmonised", "lungs")
    models, regimes = [], []
    known = load_suite(suite) if is_suite(suite) else None
    if isinstance(known, ClassificationSuite):
        models, regimes = list(known.models), list(known.regimes)
    return (
        suite,
        version,
        task,
        kinds.index(kind),
        models.index(model) if model in models else len(models),
        model,
        regimes.index(regime) if regime in regimes else len(regimes),
        regime,
    )
