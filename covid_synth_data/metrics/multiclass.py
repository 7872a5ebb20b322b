"""How well a classifier tells K classes apart, class by class and over all, and how sure each number is.

Everywhere: `labels` is an array of shape (n,) of indices into `classes`; `probabilities` is of shape (n, K),
in [0, 1], each row summing to 1. A film is called the class with the highest probability, the first of them
where several are equal. Arrays for which a metric is not defined raise `MetricError`.

Intervals are at 95 %. Those of counted films are of Clopper & Pearson 1934 and take films for independent,
which films of one patient are not. All others come from one bootstrap that draws whole patients with
replacement, separately among patients whose films show the same set of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.detection import (
    REPLICATES,
    Count,
    Estimate,
    Floats,
    Ints,
    Proportion,
    Share,
    draws,
    patient_numbers,
    proportion,
    weighted_auc,
)

TARGET_SENSITIVITY: Final = 0.5
"""The sensitivity at which `evaluate` reads the specificity; hussain2022 gives no other."""
SUM_TOLERANCE: Final = 1e-5
"""A softmax in single precision misses 1 by less."""

_TAILS: Final = (0.025, 0.975)


class SpecificityPoint(FrozenModel):
    """The best specificity where at least `target` of the class is found.

    Films with a probability of `threshold` or more are taken for the class; `sensitivity` is the share of it
    that this finds. Read from the same films, so it describes the ROC curve and no classifier for use.
    """

    target: Share
    threshold: Share
    sensitivity: Share
    specificity: Proportion


class ClassMetrics(FrozenModel):
    """One class against all others; `precision` is None where no film was called it."""

    films: Annotated[int, Field(gt=0)]
    sensitivity: Proportion
    specificity: Proportion
    precision: Proportion | None
    f1: Share
    auc: Estimate
    specificity_at_sensitivity: SpecificityPoint


class Pooled(FrozenModel):
    """All n x K pairs of a film and a class as binary cases in one pool (micro-average).

    The metrics of Keras do this to one-hot labels, and the numbers of hussain2022 look like it; the paper
    does not say. `precision` is that of pairs with a probability of 0.5 or more, None without any. The K
    pairs of one film are anything but independent, so shares of pairs have no interval here.
    """

    auc: Estimate
    precision: Share | None
    specificity_at_sensitivity: Share


class Multiclass(FrozenModel):
    """Everything that `evaluate` measures. Rows of `confusion` are the truth, columns what was called."""

    classes: Annotated[list[str], Field(min_length=2)]
    confusion: list[list[Count]]
    accuracy: Proportion
    per_class: dict[str, ClassMetrics]
    macro_sensitivity: Estimate
    macro_f1: Estimate
    macro_auc: Estimate
    micro: Pooled
    patients: Annotated[int, Field(gt=0)]


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Ints:
    """Counts of shape (K, K): row the true class, column the one that was called."""
    truth, scores = checked(labels, probabilities)
    return _confusion(truth, scores)


def specificity_at_sensitivity(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, target: float = TARGET_SENSITIVITY
) -> SpecificityPoint:
    """The best specificity at a sensitivity of at least `target`, of one class against the rest.

    `labels` are 0 and 1, `probabilities` of shape (n,) those of 1. The threshold is the highest that finds
    enough.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 1:
        raise MetricError(
            "these are no probabilities of one class", found=f"shape {scores.shape}", expected="(n,)"
        )
    if not 0 < target <= 1:
        raise MetricError("no such sensitivity", found=str(target), expected="more than 0, at most 1")
    truth, _ = checked(labels, np.stack([1 - scores, scores], axis=1))
    negatives = scores[truth == 0]
    threshold, sensitivity = _threshold(scores[truth == 1], target)
    return SpecificityPoint(
        target=target,
        threshold=threshold,
        sensitivity=sensitivity,
        specificity=proportion(int((negatives < threshold).sum()), len(negatives)),
    )


def evaluate(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    classes: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Multiclass:
    """All metrics of this module at once; `seed` and `replicates` are those of the bootstrap.

    Raises `MetricError`, also where a class has no film.
    """
    truth, scores = checked(labels, probabilities)
    if len(classes) != scores.shape[1] or len(set(classes)) != len(classes):
        raise MetricError(
            "the classes do not fit the probabilities",
            found=f"{len(set(classes))} names for {scores.shape[1]} columns",
            expected="a name for each column, no name twice",
        )
    group = patient_numbers(patients, len(truth))
    counts = _confusion(truth, scores)
    drawn = _bootstrap(truth, scores, group, (seed, 0xC1A), replicates)
    micro_truth, micro_scores = _pairs(truth, scores)
    aucs = [_auc(truth == k, scores[:, k]) for k in range(len(classes))]
    return Multiclass(
        classes=list(classes),
        confusion=counts.tolist(),
        accuracy=proportion(int(np.trace(counts)), len(truth)),
        per_class={
            name: _of_class(k, truth, scores, counts, _estimate(aucs[k], drawn[f"auc {k}"]))
            for k, name in enumerate(classes)
        },
        macro_sensitivity=_estimate(float(_sensitivities(counts).mean()), drawn["sensitivity"]),
        macro_f1=_estimate(float(_f1(counts).mean()), drawn["f1"]),
        macro_auc=_estimate(float(np.mean(aucs)), drawn["macro"]),
        micro=_pooled(micro_truth, micro_scores, drawn["micro"]),
        patients=int(group.max()) + 1,
    )


def checked(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, every_class: bool = True
) -> tuple[Ints, Floats]:
    """Both as arrays, or `MetricError`: shapes, values, sums; with `every_class`, a film of each class."""
    truth, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2 or truth.shape != scores.shape[:1] or not len(truth):
        raise MetricError(
            "labels and probabilities do not fit",
            found=f"shapes {truth.shape} and {scores.shape}",
            expected="(n,) and (n, K), with n of 1 or more and K of 2 or more",
        )
    usable = ((scores >= 0) & (scores <= 1)).all(axis=1)
    if not usable.all():
        row = int(np.argmin(usable))
        raise MetricError(
            "a probability is unusable",
            found=f"{scores[row].tolist()} in row {row}",
            expected="numbers in [0, 1]",
        )
    off = np.abs(scores.sum(axis=1) - 1)
    if off.max() > SUM_TOLERANCE:
        row = int(np.argmax(off))
        raise MetricError(
            "the probabilities of a film do not sum to 1",
            found=f"{scores[row].sum():.6g} in row {row}",
            expected="1",
            hint="give the output of a softmax over the classes",
        )
    known = np.arange(scores.shape[1])
    if not np.isin(truth, known).all():
        strange = np.setdiff1d(truth, known)[:5]
        raise MetricError(
            "a label is no class", found=str(strange), expected=f"whole numbers from 0 to {known[-1]}"
        )
    missing = np.setdiff1d(known, truth)
    if every_class and len(missing):
        raise MetricError(
            "a class has no film",
            found=f"none with label {missing.tolist()}",
            expected="at least one of each class",
            hint="use a test set that holds all classes",
        )
    return truth.astype(np.int64), scores


def _confusion(truth: Ints, scores: Floats) -> Ints:
    k = scores.shape[1]
    counts = np.bincount(truth * k + scores.argmax(axis=1), minlength=k * k)
    return counts.reshape(k, k).astype(np.int64)


def _of_class(k: int, truth: Ints, scores: Floats, counts: Ints, auc: Estimate) -> ClassMetrics:
    hit, films, called = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
    others = len(truth) - films
    return ClassMetrics(
        films=films,
        sensitivity=proportion(hit, films),
        specificity=proportion(others - (called - hit), others),
        precision=proportion(hit, called) if called else None,
        f1=float(_f1(counts)[k]),
        auc=auc,
        specificity_at_sensitivity=specificity_at_sensitivity(truth == k, scores[:, k]),
    )


def _pooled(truth: Ints, scores: Floats, drawn: Floats) -> Pooled:
    threshold, _ = _threshold(scores[truth == 1], TARGET_SENSITIVITY)
    called = scores >= 0.5
    return Pooled(
        auc=_estimate(_auc(truth == 1, scores), drawn),
        precision=float(truth[called].mean()) if called.any() else None,
        specificity_at_sensitivity=float((scores[truth == 0] < threshold).mean()),
    )


def _pairs(truth: Ints, scores: Floats) -> tuple[Ints, Floats]:
    """Labels 0 / 1 and scores of all n x K pairs, the K of one film side by side."""
    return np.eye(scores.shape[1], dtype=np.int64)[truth].ravel(), scores.ravel()


def _threshold(positives: Floats, target: float) -> tuple[float, float]:
    """The highest threshold that finds at least `target` of the positives, and the share that it finds."""
    # The small term keeps 0.7 x 10 from being taken for a little more than 7.
    enough = max(1, int(np.ceil(target * len(positives) - 1e-9)))
    threshold = float(np.sort(positives)[-enough])
    return threshold, float((positives >= threshold).mean())


def _auc(positive: npt.NDArray[np.bool_], scores: Floats) -> float:
    return float(weighted_auc(positive, scores, np.ones((1, len(scores))))[0])


def _sensitivities(counts: Ints | Floats) -> Floats:
    """Of each class, for one (K, K) or many (..., K, K) tables of counts."""
    shares: Floats = np.diagonal(counts, axis1=-2, axis2=-1) / counts.sum(axis=-1)
    return shares


def _f1(counts: Ints | Floats) -> Floats:
    """The harmonic mean of sensitivity and precision of each class; 0 for a class that is never called."""
    f1: Floats = 2 * np.diagonal(counts, axis1=-2, axis2=-1) / (counts.sum(axis=-1) + counts.sum(axis=-2))
    return f1


def _bootstrap(
    truth: Ints, scores: Floats, group: Ints, seed: tuple[int, ...], replicates: int
) -> dict[str, Floats]:
    """Each statistic in each replicate. Every replicate has every class: each stratum keeps its size."""
    k = scores.shape[1]
    strata = _strata(truth, group, k)
    cells = np.zeros((int(group.max()) + 1, k * k))
    np.add.at(cells, (group, truth * k + scores.argmax(axis=1)), 1)
    micro_truth, micro_scores = _pairs(truth, scores)
    replicated: dict[str, list[Floats]] = {}
    for times in draws(strata, seed, k * len(truth), replicates):
        weights = times[:, group]
        tables = (times.astype(np.float64) @ cells).reshape(len(times), k, k)
        aucs = {f"auc {label}": weighted_auc(truth == label, scores[:, label], weights) for label in range(k)}
        values = {
            **aucs,
            "macro": np.mean(list(aucs.values()), axis=0),
            "micro": weighted_auc(micro_truth == 1, micro_scores, np.repeat(weights, k, axis=1)),
            "sensitivity": _sensitivities(tables).mean(axis=-1),
            "f1": _f1(tables).mean(axis=-1),
        }
        for name, part in values.items():
            replicated.setdefault(name, []).append(part)
    return {name: np.concatenate(parts) for name, parts in replicated.items()}


def _strata(truth: Ints, group: Ints, k: int) -> list[Ints]:
    """Patients by the set of classes that their films show."""
    shows = np.zeros((int(group.max()) + 1, k), dtype=bool)
    shows[group, truth] = True
    _, kind = np.unique(shows, axis=0, return_inverse=True)
    return [np.flatnonzero(kind.ravel() == number) for number in range(int(kind.max()) + 1)]


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, _TAILS)
    # A percentile interval of a bounded statistic can miss the estimate itself by a rounding error.
    low, high = min(float(low), value), max(float(high), value)
    return Estimate(value=min(value, 1.0), low=max(low, 0.0), high=min(high, 1.0))
