"""Metrics of a binary classifier on a test set, with confidence intervals.

In all functions `labels` is an array of shape (n,) of 0 (negative) and 1 (positive), and `probabilities` is
an array of shape (n,) in [0, 1], the probability of being positive. A film is predicted positive at a
probability of `threshold` or more. Arrays for which a metric is not defined raise `MetricError`.

Intervals are at 95 % unless another level is asked for. Clopper-Pearson intervals treat films as
independent, which films of one patient are not; where patients have several films the true interval is
somewhat wider. The interval of the AUC resamples whole patients, so it does not have this flaw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import special, stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEVEL: Final = 0.95
REPLICATES: Final = 2000
SPECIFICITIES: Final = (0.90, 0.95)
"""The specificities at which `evaluate` reads the sensitivity."""

_CHUNK: Final = 4_000_000
"""Weights held at once by the bootstrap, so that its memory does not grow with the test set."""

_BLOCK: Final = 500
"""Replicates that are computed together: the weights of a block stay in the processor's cache."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Proportion(FrozenModel):
    """`count` of `n` with its interval: `value`, `low` and `high` are in [0, 1]."""

    value: Share
    low: Share
    high: Share
    count: Count
    n: Annotated[int, Field(gt=0)]


class Estimate(FrozenModel):
    """A number in [0, 1] with its interval."""

    value: Share
    low: Share
    high: Share


class Confusion(FrozenModel):
    """Counts at one threshold."""

    tp: Count
    fn: Count
    fp: Count
    tn: Count


class OperatingPoint(FrozenModel):
    """The sensitivity where the specificity on the same films is at least `target`.

    Films with a probability above `threshold` are called positive; `specificity` is the share that this
    reaches, which is `target` or a little more, because a test set has steps.
    """

    target: Share
    threshold: Share
    specificity: Share
    sensitivity: Proportion


class Detection(FrozenModel):
    """Everything that `evaluate` measures."""

    threshold: Share
    confusion: Confusion
    sensitivity: Proportion
    specificity: Proportion
    accuracy: Proportion
    auc: Estimate
    sensitivity_at: list[OperatingPoint]
    patients: Annotated[int, Field(gt=0)]


def proportion(count: int, n: int, level: float = LEVEL) -> Proportion:
    """`count` of `n` with the exact interval of Clopper & Pearson 1934."""
    if n < 1 or not 0 <= count <= n:
        raise MetricError(
            "a share is not defined", found=f"{count} of {n}", expected="0 <= count <= n, n >= 1"
        )
    # The limits as quantiles of beta distributions: those of scipy's binomtest, which searches for them 50
    # times longer.
    tail = (1 - level) / 2
    low = float(special.betaincinv(count, n - count + 1, tail)) if count else 0.0
    high = float(special.betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return Proportion(value=count / n, low=low, high=high, count=int(count), n=int(n))


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float = 0.5) -> Confusion:
    """True and false positives and negatives at `threshold`."""
    truth, scores = _checked(labels, probabilities)
    called = scores >= threshold
    positive = truth == 1
    return Confusion(
        tp=int((called & positive).sum()),
        fn=int((~called & positive).sum()),
        fp=int((called & ~positive).sum()),
        tn=int((~called & ~positive).sum()),
    )


def auc(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half."""
    truth, scores = _checked(labels, probabilities)
    ranks = stats.rankdata(scores)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    above = ranks[truth == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auc_interval(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Estimate:
    """The AUC with the percentile interval of a bootstrap over patients.

    `patients` names the patient of each film; a replicate draws whole patients with replacement,
    separately among those with and those without a positive film, as the test set was put together.
    The same arguments give the same interval.
    """
    truth, scores = _checked(labels, probabilities)
    values = auc_replicates(labels, probabilities, patients, seed=seed, replicates=replicates)
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    value = auc(truth, scores)
    # A percentile interval of a bounded statistic can miss the estimate itself by a rounding error.
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))


def auc_replicates(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Floats:
    """The AUC of each replicate of the bootstrap of `auc_interval`, at most `replicates` of them.

    What is drawn depends on labels, patients and seed and not on the probabilities, so those of two
    classifiers on the same films can be subtracted one by one.
    """
    truth, scores = _checked(labels, probabilities)
    group = patient_numbers(patients, len(truth))
    return _bootstrap(truth, scores, group, (seed, 0xA0C), replicates)


def sensitivity_at_specificity(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, target: float, level: float = LEVEL
) -> OperatingPoint:
    """The best sensitivity at a specificity of at least `target`, both on the films given.

    The threshold is read from the same negatives, so this describes the ROC curve and not a
    classifier that could be deployed; the interval is that of the sensitivity at that threshold.
    """
    truth, scores = _checked(labels, probabilities)
    if not 0 < target <= 1:
        raise MetricError("no such specificity", found=str(target), expected="more than 0, at most 1")
    negatives = np.sort(scores[truth == 0])
    positives = scores[truth == 1]
    # The small term keeps 0.7 x 10 from being taken for a little more than 7.
    below = max(1, math.ceil(target * len(negatives) - 1e-9))
    threshold = float(negatives[below - 1])
    return OperatingPoint(
        target=target,
        threshold=threshold,
        specificity=float((negatives <= threshold).mean()),
        sensitivity=proportion(int((positives > threshold).sum()), len(positives), level),
    )


def evaluate(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    threshold: float = 0.5,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Detection:
    """All metrics of this module at once; `seed` and `replicates` are those of the bootstrap."""
    counts = confusion(labels, probabilities, threshold)
    positives = counts.tp + counts.fn
    negatives = counts.tn + counts.fp
    return Detection(
        threshold=threshold,
        confusion=counts,
        sensitivity=proportion(counts.tp, positives),
        specificity=proportion(counts.tn, negatives),
        accuracy=proportion(counts.tp + counts.tn, positives + negatives),
        auc=auc_interval(labels, probabilities, patients, seed=seed, replicates=replicates),
        sensitivity_at=[
            sensitivity_at_specificity(labels, probabilities, target) for target in SPECIFICITIES
        ],
        patients=len(set(map(str, patients))),
    )


def _checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Ints, Floats]:
    """Both as arrays, or `MetricError`: shapes, values, and at least one film of each class."""
    truth, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != scores.shape:
        raise MetricError(
            "labels and probabilities do not fit",
            found=f"shapes {truth.shape} and {scores.shape}",
            expected="two arrays of shape (n,)",
        )
    if not np.isin(truth, (0, 1)).all():
        raise MetricError("labels are not binary", found=str(np.unique(truth)[:5]), expected="0 and 1 only")
    usable = (scores >= 0) & (scores <= 1)
    if not usable.all():
        row = int(np.argmin(usable))
        raise MetricError(
            "a probability is unusable", found=f"{scores[row]} in row {row}", expected="a number in [0, 1]"
        )
    positives = int(truth.sum())
    if positives in (0, len(truth)):
        raise MetricError(
            "the films are of one class only",
            found=f"{positives} positives, {len(truth) - positives} negatives",
            expected="at least one of each",
            hint="use a test set with both classes",
        )
    return truth.astype(np.int64), scores


def patient_numbers(patients: Sequence[str] | npt.NDArray[Any], films: int) -> Ints:
    """The patient of each film as a number from 0. Raises `MetricError` unless there are `films` of them."""
    if len(patients) != films:
        raise MetricError(
            "the patients do not fit the films", found=f"{len(patients)} patients", expected=f"{films}"
        )
    _, numbers = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    return numbers.astype(np.int64)


def draw_patients(strata: Sequence[Ints], rng: np.random.Generator, size: int) -> Floats:
    """How often each patient is drawn in `size` replicates, of shape (size, patients).

    Each of the `strata`, arrays that share out all patient numbers, keeps its number of patients.
    """
    times = np.zeros((size, sum(map(len, strata))))
    for part in strata:
        times[:, part] = rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=size)
    return times


def draws(
    strata: Sequence[Ints], seed: tuple[int, ...], films: int, replicates: int
) -> Sequence[npt.NDArray[np.float32]]:
    """How often each patient is drawn: pieces (size, patients) that fit into memory with `films` films.

    What is drawn depends on the arguments alone. The draws of the last test sets are kept, because the
    results of one suite share theirs.
    """
    kept = tuple(part.tobytes() for part in strata)
    return _draws(kept, seed, films, replicates)


@lru_cache(maxsize=12)
def _draws(
    strata: tuple[bytes, ...], seed: tuple[int, ...], films: int, replicates: int
) -> tuple[npt.NDArray[np.float32], ...]:
    rng = np.random.default_rng(seed)
    parts = [np.frombuffer(part, dtype=np.int64) for part in strata]
    chunked = [draw_patients(parts, rng, size).astype(np.float32) for size in chunks(films, replicates)]
    for one in chunked:
        one.setflags(write=False)
    return tuple(chunked)


def chunks(films: int, replicates: int) -> Iterator[int]:
    """The sizes of the pieces in which `replicates` replicates of `films` films fit into memory."""
    step = max(1, _CHUNK // films)
    for start in range(0, replicates, step):
        yield min(step, replicates - start)


def weighted_auc(positive: Bools, scores: Floats, weights: npt.NDArray[Any]) -> Floats:
    """The AUC of films with `scores` (n,) under each row of `weights` (replicates, n), whole numbers.

    NaN where a class has no weight.
    """
    negative = np.flatnonzero(~positive)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    first = np.searchsorted(scores[negative], scores[positive], side="left")
    last = np.searchsorted(scores[negative], scores[positive], side="right")
    columns = np.ascontiguousarray(weights.T, dtype=np.float32)  # sums this small are exact
    values = np.full(len(weights), np.nan)
    for start in range(0, len(weights), _BLOCK):
        part = columns[:, start : start + _BLOCK]
        below = running_sum(part[negative])
        hits = part[positive]
        pairs = hits.sum(axis=0, dtype=np.float64) * below[-1]
        above = np.einsum("ij,ij->j", hits, below[first] + below[last], dtype=np.float64) / 2
        np.divide(above, pairs, out=values[start : start + _BLOCK], where=pairs > 0)
    return values


def running_sum(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sums of the first 0, 1, ... rows, (rows + 1, replicates). Whole numbers this small are exact."""
    sums = np.zeros((len(rows) + 1, rows.shape[1]), dtype=np.float32)
    # Row by row is twice as fast as numpy's cumsum along the first axis.
    for place, row in enumerate(rows):
        np.add(sums[place], row, out=sums[place + 1])
    return sums


def _bootstrap(truth: Ints, scores: Floats, group: Ints, seed: tuple[int, ...], replicates: int) -> Floats:
    """The AUC of each replicate that has both classes."""
    with_positive = np.zeros(int(group.max()) + 1, dtype=bool)
    with_positive[group[truth == 1]] = True
    strata = [part for part in (np.flatnonzero(with_positive), np.flatnonzero(~with_positive)) if len(part)]
    replicated = [
        weighted_auc(truth == 1, scores, times[:, group])
        for times in draws(strata, seed, len(truth), replicates)
    ]
    values = np.concatenate(replicated)
    values = values[~np.isnan(values)]
    if not len(values):
        raise MetricError(
            "no interval of the AUC", found="one class only in every replicate", expected="more patients"
        )
    return values
