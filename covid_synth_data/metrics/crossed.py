"""How sure a mean over trainings is, and a difference of two: bootstrap crossed over patients and seeds.

Films `n`, seeds `S`, patients `G`. `scores` has shape (S, n): the probability of the positive class that the
classifier of each seed gives to each film. The estimand of every statistic is its mean over two populations:
the trainings that a seed could have started, and the patients of the sources that the test set came from. So
two things are drawn, independently of each other (Owen 2007, "The pigeonhole bootstrap"):

- Patients, with all their films, with replacement and separately among those with and those without a
  positive film. All seeds, and both sides of a difference, see the same patients.
- Seeds, S - 1 of S with replacement. S - 1 draws and not S, because the variance of a mean of S draws from S
  values is too small by (S - 1) / S.

The crossed bootstrap counts the part of the variance that belongs to one film under one seed three times. Its
standard error is therefore too large rather than too small.

A difference is judged by its standard error and Student's t. The degrees of freedom follow Satterthwaite from
the two parts: S - 1 for the seeds; for the patients the effective number that contribute, less one. Four
films that one side alone gets right are four patients, and not the 3,000 of the test set. The interval of a
level, which may lie near 1, keeps the quantiles of the replicates, at the level that t asks for (Hesterberg
2015, "expanded percentile").

Not covered: another split, another generator, another hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import detection
from covid_synth_data.metrics.comparison import Signed
from covid_synth_data.metrics.detection import LEVEL, REPLICATES, Bools, Estimate, Floats, Ints, Share

POWER: Final = 0.8
"""The chance with which a gain of the smallest detectable size is found."""

CALL: Final = 0.5
"""Of two classes, the positive one is called at this probability or more."""

_LEAST_PATIENTS: Final = 6
"""Of patients that change sides by chance alone, six to none have a p below 0.05 (2 / 2^6 = 0.03)."""

Pairing = Literal["paired", "independent"]
_BLOCK: Final = 500
"""Replicates that are computed together: the weights of a block stay in the processor's cache."""


@dataclass(frozen=True)
class Draws:
    """The patients of a test set, drawn: `weights` has blocks of shape (n, replicates of the block) that say
    how often each film is drawn; `group` (n,) numbers the patient of each film."""

    truth: Bools
    group: Ints
    weights: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True)
class Statistic:
    """One statistic of one regime.

    `values` (S,) are those of the seeds on the test set, `replicates` (R, S) those on the drawn patients, and
    `influence` (G, S) says how much each patient adds to or takes from the value, to first order. `patients`
    is the number of patients whose films it is a share of; for the AUC, of those with a positive film.
    """

    values: Floats
    replicates: Floats
    influence: Floats
    patients: int

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return float(self.values.mean())


class Contrast(FrozenModel):
    """The mean over seeds of b minus that of a.

    `low` and `high` are the 95 % interval, `p` is two-sided, `degrees` those of Student's t. `shortfall` is
    by how much the difference falls below its expectation in one of five replicates. `least` is 0 where the
    replicates differ; where all are alike, no film changes sides, and it is the share that six patients make.
    """

    a: Share
    b: Share
    difference: Signed
    low: Signed
    high: Signed
    p: Share
    standard_error: float
    degrees: float
    shortfall: float
    least: float

    def detectable(self, alpha: float) -> float:
        """The smallest gain that a two-sided test at `alpha` finds with a chance of 0.8.

        A simulation on the predictions themselves: the crossed replicates of this difference are moved until
        four of five of them pass the threshold of the test.
        """
        threshold = float(stats.t.isf(alpha / 2, self.degrees)) * self.standard_error
        return max(threshold + self.shortfall, self.least)


def draw(
    truth: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Draws:
    """Draw the patients of a test set whose films have labels `truth` (n,), 0 or 1.

    What is drawn depends on the arguments alone, so that all regimes of a table see the same patients.
    Replicates without one of the classes are drawn again. Raises `MetricError`.
    """
    labels = np.asarray(truth)
    if labels.ndim != 1 or not np.isin(labels, (0, 1)).all() or len(set(labels.tolist())) < 2:
        raise MetricError("the labels do not fit", found=f"shape {labels.shape}", expected="both 0 and 1")
    positive = labels == 1
    group = detection.patient_numbers(patients, len(labels))
    has_positive = np.bincount(group, weights=positive) > 0
    strata = [part for part in (np.flatnonzero(has_positive), np.flatnonzero(~has_positive)) if len(part)]
    rng = np.random.default_rng([seed, 0xC05])
    blocks = []
    for start in range(0, replicates, _BLOCK):
        size = min(_BLOCK, replicates - start)
        times = detection.draw_patients(strata, rng, size)[:, group]
        for _ in range(100):
            lacking = (times[:, positive].sum(axis=1) == 0) | (times[:, ~positive].sum(axis=1) == 0)
            if not lacking.any():
                break
            times[lacking] = detection.draw_patients(strata, rng, int(lacking.sum()))[:, group]
        else:
            raise MetricError(
                "no interval", found="one class only in most replicates", expected="more patients"
            )
        blocks.append(np.ascontiguousarray(times.T, dtype=np.float32))
    return Draws(positive, group, tuple(blocks))


def evaluate(
    draws: Draws,
    scores: npt.ArrayLike,
    right: npt.ArrayLike | None = None,
    specificities: Sequence[float] = detection.SPECIFICITIES,
) -> dict[str, Statistic]:
    """All statistics of a regime by name: `auc`, `sensitivity` and `specificity` at 0.5, `accuracy`, and
    `sensitivity at specificity 0.90` and so on.

    `scores` (S, n); `right` (S, n) says which films are called rightly; for two classes it follows from the
    scores. The threshold for a specificity is read again from the negatives of each replicate: its own chance
    is part of the interval. Raises `MetricError`.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if table.shape[1:] != draws.truth.shape or not ((table >= 0) & (table <= 1)).all():
        raise MetricError(
            "the scores do not fit the films",
            found=f"shape {table.shape}",
            expected=f"(seeds, {len(draws.truth)}), in [0, 1]",
        )
    called = table >= CALL
    rightly = (called == draws.truth) if right is None else np.atleast_2d(np.asarray(right, dtype=bool))
    found = {
        "sensitivity": share(draws, called, draws.truth),
        "specificity": share(draws, ~called, ~draws.truth),
        "accuracy": share(draws, rightly, np.ones_like(draws.truth)),
    }
    sick = len(np.unique(draws.group[draws.truth]))
    ranked = [_ranked(draws, row, specificities) for row in table]
    names = ["auc", *(specificity_name(target) for target in specificities)]
    for place, name in enumerate(names):
        values, replicates, influence = zip(*(one[place] for one in ranked), strict=True)
        found[name] = Statistic(
            np.array(values), np.stack(replicates, axis=1), np.stack(influence, axis=1), sick
        )
    return found


def specificity_name(target: float) -> str:
    """The name of the statistic that is the sensitivity at a specificity of `target`."""
    return f"sensitivity at specificity {target:.2f}"


def interval(one: Statistic, *, films: int | None = None, seed: int = 0, level: float = LEVEL) -> Estimate:
    """The mean over the seeds with its interval.

    With one seed the interval is over patients alone. For a share of `films` films the interval is at least
    as wide as that of Clopper and Pearson at the mean share: where all films are found, no replicate strays.
    """
    drawn = _crossed(one.replicates, seed)
    tail = float(
        stats.norm.sf(stats.t.isf((1 - level) / 2, _degrees(one.values, one.replicates, one.influence)))
    )
    low, high = (float(value) for value in np.quantile(drawn, [tail, 1 - tail]))
    if films is not None:
        count = one.value * films
        half = (1 - level) / 2
        low = min(low, float(special.betaincinv(count, films - count + 1, half)) if count > 0 else 0.0)
        high = max(
            high, float(special.betaincinv(count + 1, films - count, 1 - half)) if count < films else 1.0
        )
    value = min(max(one.value, 0.0), 1.0)
    return Estimate(value=value, low=max(min(low, value), 0.0), high=min(max(high, value), 1.0))


def contrast(
    a: Statistic, b: Statistic, *, pairing: Pairing = "paired", seed: int = 0, level: float = LEVEL
) -> Contrast:
    """b minus a on the same films.

    `pairing="paired"`: seed s of a and seed s of b started from the same weights, so both are drawn together.
    This is right whatever the two have in common. `pairing="independent"`: the seeds of a and of b are draws
    of their own, in any numbers. With one seed the interval is over patients alone. Raises `MetricError`
    where paired seeds differ in number.
    """
    if pairing == "paired" and len(a.values) != len(b.values):
        raise MetricError(
            "the seeds do not make pairs",
            found=f"{len(a.values)} and {len(b.values)} seeds",
            expected="as many of both",
        )
    if pairing == "paired":
        drawn = _crossed(b.replicates - a.replicates, seed)
        degrees = _degrees(b.values - a.values, b.replicates - a.replicates, b.influence - a.influence)
    else:
        drawn = _crossed(b.replicates, seed, 1) - _crossed(a.replicates, seed)
        degrees = _degrees_independent(a, b)
    difference = b.value - a.value
    error = float(drawn.std(ddof=1))
    if error < 1e-12:
        p, error = (1.0 if abs(difference) < 1e-12 else 0.0), 0.0
    else:
        p = float(2 * stats.t.sf(abs(difference) / error, degrees))
    reach = float(stats.t.isf((1 - level) / 2, degrees)) * error
    return Contrast(
        a=min(a.value, 1.0),
        b=min(b.value, 1.0),
        difference=min(max(difference, -1.0), 1.0),
        low=max(difference - reach, -1.0),
        high=min(difference + reach, 1.0),
        p=p,
        standard_error=error,
        degrees=degrees,
        shortfall=float(np.mean(drawn) - np.quantile(drawn, 1 - POWER)),
        least=min(_LEAST_PATIENTS / b.patients, 1.0) if error == 0 else 0.0,
    )


@lru_cache(maxsize=16)
def _draw_seeds(replicates: int, seeds: int, seed: int, side: int = 0) -> Floats:
    """The share of each seed in each replicate, (R, S), rows summing to 1; `side` tells a from b."""
    if seeds == 1:
        return np.ones((replicates, 1))
    rng = np.random.default_rng([seed, 0x5EED, side])
    drawn: Floats = rng.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=replicates) / (seeds - 1)
    drawn.setflags(write=False)
    return drawn


def _crossed(replicates: Floats, seed: int, side: int = 0) -> Floats:
    """Means over the drawn seeds, (R,), of statistics on the drawn patients, (R, S)."""
    found: Floats = np.einsum("rs,rs->r", replicates, _draw_seeds(*replicates.shape, seed, side))
    return found


def _degrees(values: Floats, replicates: Floats, influence: Floats) -> float:
    """Satterthwaite's degrees of freedom of a mean over seeds: see the module."""
    parts = [_patient_part(replicates, influence)]
    if len(values) > 1:
        parts.append((float(values.var(ddof=1)) / len(values), len(values) - 1))
    return _satterthwaite(parts)


def _degrees_independent(a: Statistic, b: Statistic) -> float:
    """The same for the difference of two means over seeds of their own."""
    both = np.stack([b.replicates.mean(axis=1) - a.replicates.mean(axis=1)], axis=1)
    moved = np.stack([b.influence.mean(axis=1) - a.influence.mean(axis=1)], axis=1)
    seeds = [
        (float(one.values.var(ddof=1)) / len(one.values), len(one.values) - 1)
        for one in (a, b)
        if len(one.values) > 1
    ]
    return _satterthwaite([_patient_part(both, moved), *seeds])


def _patient_part(replicates: Floats, influence: Floats) -> tuple[float, float]:
    """The variance over patients of the mean over seeds, and its degrees of freedom."""
    each = influence.mean(axis=1)
    squares = each**2
    effective = float(squares.sum() ** 2 / (squares**2).sum()) if (squares**2).sum() > 0 else 2.0
    return float(replicates.mean(axis=1).var(ddof=1)), max(effective - 1, 1.0)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / degrees for variance, degrees in parts)
    return total**2 / below if below > 0 else min(degrees for _, degrees in parts)


def share(draws: Draws, hits: Bools, among: Bools) -> Statistic:
    """The share of the films in `among` (n,) that are in `hits` (S, n).

    In a replicate that drew no film of `among` it is that of the test set.
    """
    inside = hits[:, among].astype(np.float32)
    values = inside.mean(axis=1, dtype=np.float64)
    drawn = [block[among] for block in draws.weights]
    films = np.concatenate([block.sum(axis=0, dtype=np.float64) for block in drawn])[:, None]
    found = np.concatenate([(inside @ block).T.astype(np.float64) for block in drawn])
    replicates = np.divide(found, films, out=np.tile(values, (len(found), 1)), where=films > 0)
    moved = (inside - values[:, None]) / inside.shape[1]
    patients = len(np.unique(draws.group[among]))
    return Statistic(values, replicates, _by_patient(draws, moved, among), patients)


def mean(parts: Sequence[Statistic]) -> Statistic:
    """The mean of several statistics of the same seeds and draws."""
    return Statistic(
        np.mean([one.values for one in parts], axis=0),
        np.mean([one.replicates for one in parts], axis=0),
        np.mean([one.influence for one in parts], axis=0),
        min(one.patients for one in parts),
    )


def _by_patient(draws: Draws, moved: Floats, among: Bools) -> Floats:
    """Sums over the films of each patient, (G, S), of `moved` (S, films in `among`)."""
    group, patients = draws.group[among], int(draws.group.max()) + 1
    return np.stack([np.bincount(group, weights=row, minlength=patients) for row in moved], axis=1)


def _ranked(
    draws: Draws, scores: Floats, specificities: Sequence[float]
) -> list[tuple[float, Floats, Floats]]:
    """Value, replicates (R,) and influence (G,) of the AUC, then of the sensitivity at each specificity.

    Films are sorted once; a replicate changes their weights and not their order.
    """
    negatives, positives = np.flatnonzero(~draws.truth), np.flatnonzero(draws.truth)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    positives = positives[np.argsort(scores[positives], kind="stable")]
    below, above = scores[negatives], scores[positives]
    first, last = np.searchsorted(below, above, "left"), np.searchsorted(below, above, "right")
    rows = [
        _block(block, negatives, positives, (first, last), (below, above), specificities)
        for block in draws.weights
    ]
    one = np.ones((len(scores), 1), dtype=np.float32)
    whole = _block(one, negatives, positives, (first, last), (below, above), specificities)

    # Placements: which share of the other class lies on the right side of a film, ties counting half.
    beaten = (first + last) / 2 / len(below)
    beating = 1 - (np.searchsorted(above, below, "left") + np.searchsorted(above, below, "right")) / 2 / len(
        above
    )
    moved = np.zeros(len(scores))
    moved[positives] = (beaten - beaten.mean()) / len(above)
    moved[negatives] = (beating - beating.mean()) / len(below)
    influences = [moved]
    for target in specificities:
        hit = above > below[max(1, int(np.ceil(target * len(below) - 1e-9))) - 1]
        moved = np.zeros(len(scores))
        moved[positives] = (hit - hit.mean()) / len(above)
        influences.append(moved)
    return [
        (
            float(whole[place][0]),
            np.concatenate([block[place] for block in rows]),
            np.bincount(draws.group, weights=influences[place]).astype(np.float64),
        )
        for place in range(1 + len(specificities))
    ]


def _block(
    weights: npt.NDArray[np.float32],
    negatives: Ints,
    positives: Ints,
    places: tuple[Ints, Ints],
    sorted_scores: tuple[Floats, Floats],
    specificities: Sequence[float],
) -> list[Floats]:
    """The AUC and the sensitivities of a block of replicates, each (replicates,)."""
    lost = _running_sum(weights[negatives])
    hits = weights[positives]
    pairs = hits.sum(axis=0, dtype=np.float64) * lost[-1]
    under = np.einsum("ij,ij->j", hits, lost[places[0]] + lost[places[1]]).astype(np.float64)
    found = [under / 2 / pairs]
    caught = _running_sum(hits)
    columns = np.arange(weights.shape[1])
    below, above = sorted_scores
    for target in specificities:
        threshold = below[_first_at(lost, target) - 1]
        missed = caught[np.searchsorted(above, threshold, "right"), columns]
        found.append(1 - missed.astype(np.float64) / caught[-1])
    return found


def _running_sum(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sums of the first 0, 1, ... rows, (rows + 1, replicates). Whole numbers this small are exact."""
    sums = np.zeros((len(rows) + 1, rows.shape[1]), dtype=np.float32)
    # Row by row is twice as fast as numpy's cumsum along the first axis.
    for place, row in enumerate(rows):
        np.add(sums[place], row, out=sums[place + 1])
    return sums


def _first_at(sums: npt.NDArray[np.float32], target: float) -> Ints:
    """The first row of running `sums` that reaches `target` of the last, at least 1, for each column."""
    columns = np.arange(sums.shape[1])
    wanted = target * sums[-1].astype(np.float64) - 1e-6
    low, high = np.ones_like(columns), np.full_like(columns, len(sums) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = sums[middle, columns] >= wanted
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low
