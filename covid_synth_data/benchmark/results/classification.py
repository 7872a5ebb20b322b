"""The result file of one classifier, with its probabilities of each test film."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, FiniteFloat, Strict
from pydantic.dataclasses import dataclass

from covid_synth_data.benchmark.results.base import TOLERANCE, Count, Result, Share, differences
from covid_synth_data.benchmark.suite import (
    ClassificationSuite,
    Name,
    Preprocessing,
    Regime,
    Training,
    derived,
)
from covid_synth_data.classifiers.own import Origin
from covid_synth_data.errors import MetricError
from covid_synth_data.files.fields import Identifier, Line, Sha256, Side
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import calibration, detection, multiclass

BOOTSTRAP_SEED: Final = 0
"""The bootstrap is part of the metric and not of the experiment, so its seed never changes."""

_FEW: Final = 20
"""Replicates of a bootstrap whose limits nobody looks at."""


class Weights(FrozenModel):
    """The initial weights: "imagenet", "xrv" or "none", and the file they came from."""

    name: Literal["imagenet", "xrv", "none"]
    file: Line | None = None
    sha256: Sha256 | None = None


class Composition(FrozenModel):
    """The training set. `synthetic` counts films per config; `negatives` and `positives` are of both kinds
    of films together and `skew` is their ratio; negatives are all classes but the positive one. `classes`
    counts both kinds of films by class, in the order of the task."""

    real_negatives: Count
    real_positives: Count
    synthetic: dict[Name, Count]
    negatives: Annotated[int, Field(gt=0)]
    positives: Annotated[int, Field(gt=0)]
    skew: Annotated[FiniteFloat, Field(gt=0)]
    classes: dict[Name, Annotated[int, Field(gt=0)]]


class FilmCounts(FrozenModel):
    """The films of a validation or test set."""

    negatives: Count
    positives: Count
    patients: Count
    classes: dict[Name, Count]


class LeftOut(FrozenModel):
    """Films of a source that the task did not use, and why."""

    source: Line
    reason: Line
    films: Count


class Fitting(FrozenModel):
    """How the training went: epochs run, the one that was kept, its loss on the validation films.

    `validation_auc` is that of the positive class against the rest on the validation films, by which the
    baseline to beat is chosen; None where they hold one class only, and in older results.
    """

    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=1)]
    validation_loss: FiniteFloat
    validation_auc: Share | None = None


# No model: a leaderboard holds millions of them, and an object of slots takes far less memory.
@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Prediction:
    """One film of the test set: `label` and the places of `probabilities` are those of the result's
    `classes`."""

    image_id: Annotated[Identifier, Strict()]
    patient_id: Annotated[Identifier, Strict()]
    label: Annotated[int, Field(ge=0), Strict()]
    probabilities: Annotated[list[Annotated[Share, Strict()]], Field(min_length=2), Strict()]


class Metrics(detection.Detection):
    """Everything that is measured on a test set: the positive class against the rest, how far the stated
    probabilities can be believed, and, where there are more than two classes, each of them."""

    calibration: calibration.Calibration
    multiclass: multiclass.Multiclass | None


class ClassificationResult(Result):
    """The whole file.

    `limit` is the largest number of real negatives that was allowed; `notes` repeat what the task says of its
    data. Where the task has `folds`, a file is of one `fold`, from 0. `own` says which classifier of the user
    `model` stands for; None for one of the package.
    """

    format: Literal[2] = 2
    task: Name
    classes: Annotated[list[Name], Field(min_length=2)]
    positive: Name
    image_size: Side
    preprocessing: Preprocessing
    model: Name
    own: Origin | None = None
    weights: Weights
    regime_rule: Regime
    training: Training
    fold: Count | None
    folds: Annotated[int, Field(ge=1, le=1000)]
    composition: Composition
    validation: FilmCounts
    test: FilmCounts
    left_out: list[LeftOut]
    fitting: Fitting
    metrics: Metrics
    predictions: Annotated[list[Prediction], Field(min_length=1)]

    @property
    def path(self) -> Path:
        """The path of the file below the folder of all results."""
        names = (self.suite, self.task, self.preprocessing, self.model, self.regime)
        return result_path(*names, self.seed, self.fold)

    @property
    def tested(self) -> list[str]:
        """The ids of the test films, in the order of the file."""
        return [row.image_id for row in self.predictions]

    def problems(self) -> Iterator[str]:
        """One line for each thing in the file that does not hold, the most telling first."""
        return _problems(self)

    def problems_of_values(self) -> Iterator[str]:
        """The same but for the limits of bootstrapped intervals, which take most of the time. Of more
        than two classes the page of the leaderboard shows them, so there they are not left out."""
        return _problems(self, replicates=_FEW if len(self.classes) == 2 else detection.REPLICATES)


def measure(
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    positive: str,
    *,
    replicates: int = detection.REPLICATES,
) -> Metrics:
    """The metrics of a test set, as every result file states them, with another number of `replicates` of the
    bootstrap where asked. Raises `MetricError`."""
    wide = {len(row.probabilities) for row in predictions} | {len(classes)}
    if len(wide) > 1 or positive not in classes:
        raise MetricError(
            "the predictions do not fit the classes",
            found=f"{sorted(wide)} probabilities in a row",
            expected=f"one for each of {', '.join(classes)}",
        )
    place = list(classes).index(positive)
    labels = [row.label for row in predictions]
    probabilities = [row.probabilities for row in predictions]
    patients = [row.patient_id for row in predictions]
    binary = detection.evaluate(
        [int(label == place) for label in labels],
        [row[place] for row in probabilities],
        patients,
        seed=BOOTSTRAP_SEED,
        replicates=replicates,
    )
    each = None
    if len(classes) > 2:
        each = multiclass.evaluate(
            labels, probabilities, patients, classes, seed=BOOTSTRAP_SEED, replicates=replicates
        )
    return Metrics(
        **binary.model_dump(), calibration=calibration.evaluate(labels, probabilities), multiclass=each
    )


def result_path(
    suite: str, task: str, preprocessing: str, model: str, regime: str, seed: int, fold: int | None
) -> Path:
    """The path of a result below the folder of all results."""
    name = f"seed-{seed}.json" if fold is None else f"seed-{seed}.fold-{fold}.json"
    return Path(suite, task, preprocessing, model, regime, name)


def _problems(result: ClassificationResult, replicates: int = detection.REPLICATES) -> Iterator[str]:
    """One line for each thing that does not hold, the most telling first. Limits of bootstrapped intervals
    are compared where there are as many `replicates` as a result file has."""
    twice = [name for name, n in Counter(row.image_id for row in result.predictions).items() if n > 1]
    if twice:
        yield f"{len(twice)} image ids occur more than once, the first is {twice[0]!r}"
    strange = [row.image_id for row in result.predictions if row.label >= len(result.classes)]
    if strange or result.positive not in result.classes:
        named = ", ".join(result.classes)
        yield f"the classes {named} lack one, that of {strange[0] if strange else result.positive}"
        return
    for row in result.predictions:
        if not math.isclose(sum(row.probabilities), 1.0, abs_tol=1e-6):
            yield f"the probabilities of {row.image_id} sum to {sum(row.probabilities):.6g}"
            return
    test = film_counts(result.predictions, result.classes, result.positive)
    if test != result.test:
        yield f"the test set is stated as {result.test}, the predictions have {test}"
    try:
        measured = measure(result.predictions, result.classes, result.positive, replicates=replicates)
    except MetricError as error:
        yield str(error)
        return
    both = result.metrics.model_dump(), measured.model_dump()
    if replicates != detection.REPLICATES:
        both = _without_limits(both[0]), _without_limits(both[1])
    for name, stated, computed in differences("metrics", *both):
        yield f"{name} is stated as {stated}, the predictions give {computed}"
    made_of = result.composition
    if (result.fold is None) != (result.folds == 1) or (result.fold or 0) >= result.folds:
        yield f"there is no fold {result.fold} of {result.folds}"
    if list(made_of.classes) != result.classes or (
        made_of.classes[result.positive] != made_of.positives
        or sum(made_of.classes.values()) != made_of.negatives + made_of.positives
    ):
        yield f"the counts by class of {made_of} do not add up"
    total = made_of.real_negatives + made_of.real_positives + sum(made_of.synthetic.values())
    if made_of.negatives + made_of.positives != total:
        yield f"{made_of.negatives + made_of.positives} training films are not the {total} of {made_of}"
    if not math.isclose(made_of.skew, made_of.negatives / made_of.positives, rel_tol=TOLERANCE):
        yield f"a skew of {made_of.skew} does not follow from {made_of}"
    asked = result.regime_rule.positives
    if asked is not None and made_of.positives != asked:
        yield f"the regime asks for {asked} positives, {made_of.positives} are stated"
    if result.fitting.best_epoch > result.fitting.epochs:
        yield f"epoch {result.fitting.best_epoch} was kept of {result.fitting.epochs}"
    yield from _against_suite(result)


def _without_limits(content: Any) -> Any:
    """Nested metrics in which a bootstrapped `Estimate` has its value alone."""
    if isinstance(content, dict):
        kept = ["value"] if content.keys() == detection.Estimate.model_fields.keys() else list(content)
        return {name: _without_limits(content[name]) for name in kept}
    return content


def film_counts(predictions: Sequence[Prediction], classes: Sequence[str], positive: str) -> FilmCounts:
    """The counts of a test set."""
    counts = Counter(classes[row.label] for row in predictions)
    return FilmCounts(
        negatives=len(predictions) - counts[positive],
        positives=counts[positive],
        patients=len({row.patient_id for row in predictions}),
        classes={name: counts[name] for name in classes},
    )


def _against_suite(result: ClassificationResult) -> Iterator[str]:
    """Differences from the suite of that name and version, where the package has it."""
    suite = result.known_suite()
    if suite is None:
        return
    if not isinstance(suite, ClassificationSuite):
        yield f"suite {suite.name} {suite.version} is one of {suite.kind}"
        return
    own = suite.regimes.get(result.regime)
    if own != result.regime_rule and (
        own is not None or not derived.is_derived(suite, result.regime, result.regime_rule)
    ):
        yield f"suite {suite.name} {suite.version} has no such regime as {result.regime!r} is stated to be"
    for kind, limit, count in (
        ("negatives", suite.data.max_negatives, result.composition.real_negatives),
        ("positives", suite.data.max_positives, result.composition.real_positives),
        ("positives", suite.data.max_per_class, result.composition.real_positives),
    ):
        if limit is not None and count > limit:
            yield f"suite {suite.name} {suite.version} allows {limit} real {kind}, not {count}"
    if result.model not in suite.models and result.own is None:
        yield f"suite {suite.name} {suite.version} has no model {result.model!r}"
    stated = (result.protocol, result.positive, result.image_size, result.folds)
    expected = (suite.protocol, suite.positive, suite.image_size, suite.folds)
    if result.task not in suite.tasks or stated != expected:
        yield f"suite {suite.name} {suite.version} has another task, protocol, positive class, size or folds"
