"""Comparison of two classifiers: differences, intervals and tests.

Two classifiers that were tested on the same films are compared film by film (McNemar, paired differences).
This has far more power than checking whether their intervals overlap. Fisher's exact test ignores the
pairing. It is included because menon2020 reports it.

Assumptions:

- `mcnemar` and `fisher`: films are independent. Films of one patient are not, so where patients have several
  films the p value is too small. `share_difference` and `auc_difference` draw whole patients instead.
- `fisher` also assumes two groups of different films. On the same films it is usually conservative.
- All: the classifiers are fixed. No test covers another training seed, split, hospital or generator.
- A p value is the probability of a difference at least as large under the null hypothesis. It does not
  measure the size or use of a difference. With many pairs some fall below 0.05 by chance: `holm` corrects a
  family of tests.

Arrays for which a test is not defined raise `MetricError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.detection import (
    LEVEL,
    REPLICATES,
    Bools,
    Count,
    Floats,
    Proportion,
    Share,
    auc,
    auc_replicates,
    chunks,
    draw_patients,
    patient_numbers,
    proportion,
)

Signed = Annotated[float, Field(ge=-1.0, le=1.0)]


class Comparison(FrozenModel):
    """McNemar's test: films that both, only `a`, only `b` or neither got right, and the exact two-sided p.

    `difference` is the share right under b minus that under a, in [-1, 1].
    """

    both: Count
    only_a: Count
    only_b: Count
    neither: Count
    difference: Signed
    p: Share


class Fisher(FrozenModel):
    """Fisher's exact test, two-sided, of two shares as if of different films; `difference` is b minus a."""

    a: Proportion
    b: Proportion
    difference: Signed
    p: Share


class Difference(FrozenModel):
    """A metric under b minus that under a on the same films, with a bootstrap interval over patients."""

    a: Share
    b: Share
    difference: Signed
    low: Signed
    high: Signed


def mcnemar(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> Comparison:
    """Did b get more films right than a? `right_a` and `right_b` are of shape (n,), booleans, film by film.

    Only films that one got right and the other wrong count; under chance each falls to either side as a fair
    coin does (exact binomial test). p is 1 where there is none.
    """
    a, b = _pair(right_a, right_b)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    p = float(stats.binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return Comparison(
        both=int((a & b).sum()),
        only_a=only_a,
        only_b=only_b,
        neither=int((~a & ~b).sum()),
        difference=(only_b - only_a) / len(a),
        p=min(p, 1.0),
    )


def fisher(count_a: int, n_a: int, count_b: int, n_b: int) -> Fisher:
    """Do `count_a` of `n_a` and `count_b` of `n_b` differ, taken as counts of different films?"""
    a, b = proportion(count_a, n_a), proportion(count_b, n_b)
    table = [[count_a, n_a - count_a], [count_b, n_b - count_b]]
    p = float(stats.fisher_exact(table).pvalue)
    return Fisher(a=a, b=b, difference=b.value - a.value, p=min(p, 1.0))


def share_difference(
    right_a: npt.ArrayLike,
    right_b: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Difference:
    """The share of films that b gets right minus that of a; each replicate draws whole patients, for both
    alike.

    Given the positives alone it is the difference in sensitivity.
    """
    a, b = _pair(right_a, right_b)
    group = patient_numbers(patients, len(a))
    n_patients = int(group.max()) + 1
    films = np.bincount(group, minlength=n_patients)
    gain = np.bincount(group, weights=b.astype(float) - a, minlength=n_patients)
    rng = np.random.default_rng([seed, 0xD1F])
    drawn = [
        times @ gain / (times @ films)
        for times in (
            draw_patients([np.arange(n_patients)], rng, size) for size in chunks(n_patients, replicates)
        )
    ]
    return difference(float(a.mean()), float(b.mean()), np.concatenate(drawn), level)


def auc_difference(
    labels: npt.ArrayLike,
    probabilities_a: npt.ArrayLike,
    probabilities_b: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Difference:
    """The AUC of b minus that of a on the same films; each replicate draws the same patients for both.

    `labels` (n,) are 0 and 1, the probabilities (n,) those of 1.
    """
    drawn_a, drawn_b = (
        auc_replicates(labels, scores, patients, seed=seed, replicates=replicates)
        for scores in (probabilities_a, probabilities_b)
    )
    return difference(auc(labels, probabilities_a), auc(labels, probabilities_b), drawn_b - drawn_a, level)


def difference(a: float, b: float, drawn: Floats, level: float = LEVEL) -> Difference:
    """`b` minus `a` with the percentile interval of the differences `drawn` in the replicates."""
    tail = (1 - level) / 2
    low, high = (float(value) for value in np.quantile(drawn, [tail, 1 - tail]))
    # A percentile interval can miss the estimate itself by a rounding error.
    return Difference(a=a, b=b, difference=b - a, low=min(low, b - a), high=max(high, b - a))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of a family of tests, corrected after Holm 1979, in the order given.

    A corrected value below 0.05 keeps the chance of even one false finding in the family below 5 %, whatever
    the tests have to do with each other.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise MetricError("these are no p values", found=str(p_values)[:80], expected="numbers in [0, 1]")
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    factors = np.arange(len(values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return [float(value) for value in corrected]


def _pair(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> tuple[Bools, Bools]:
    """Both as arrays of booleans, or `MetricError`."""
    a, b = np.asarray(right_a), np.asarray(right_b)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise MetricError(
            "the two classifiers were not tested on the same films",
            found=f"shapes {a.shape} and {b.shape}",
            expected="two arrays of shape (n,), n of 1 or more",
        )
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise MetricError("these do not say right or wrong", expected="booleans, or 0 and 1")
    return a.astype(np.bool_), b.astype(np.bool_)
