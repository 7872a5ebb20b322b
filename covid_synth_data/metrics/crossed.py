"""Intervals of a mean over trainings and of a difference of two means: bootstrap over patients and seeds.

Seeds `S`, patients `G`, replicates `R`; the statistics come from `resampling`. The estimand of every
statistic is its mean over two populations: the trainings that a seed could have started, and the patients of
the sources that the test set came from. So two things are drawn, independently of each other (Owen 2007,
"The pigeonhole bootstrap"):

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

Not covered: another split, other training patients, another generator, another hospital. Where each seed
trains on its own half of the patients (`benchmark.suite.half_samples`) the mean is over halves of these too;
`metrics.half_samples` makes an interval of them that covers other training patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from scipy import special, stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.comparison import Signed
from covid_synth_data.metrics.detection import LEVEL, Estimate, Floats, Share
from covid_synth_data.metrics.resampling import Statistic

POWER: Final = 0.8
"""The chance with which a gain of the smallest detectable size is found."""

_LEAST_PATIENTS: Final = 6
"""Of patients that change sides by chance alone, six to none have a p below 0.05 (2 / 2^6 = 0.03)."""

Pairing = Literal["paired", "independent"]


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


def interval(
    statistic: Statistic, *, films: int | None = None, seed: int = 0, level: float = LEVEL
) -> Estimate:
    """The mean over the seeds with its interval.

    With one seed the interval is over patients alone. For a share of `films` films the interval is at least
    as wide as that of Clopper and Pearson at the mean share: if all films are found, all replicates are
    equal.
    """
    drawn = _crossed(statistic.replicates, seed)
    tail = float(
        stats.norm.sf(
            stats.t.isf(
                (1 - level) / 2, _degrees(statistic.values, statistic.replicates, statistic.influence)
            )
        )
    )
    low, high = (float(value) for value in np.quantile(drawn, [tail, 1 - tail]))
    if films is not None:
        count = statistic.value * films
        half = (1 - level) / 2
        low = min(low, float(special.betaincinv(count, films - count + 1, half)) if count > 0 else 0.0)
        high = max(
            high, float(special.betaincinv(count + 1, films - count, 1 - half)) if count < films else 1.0
        )
    value = min(max(statistic.value, 0.0), 1.0)
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


class GapShare(FrozenModel):
    """The share of the gap from a baseline to a ceiling that a regime closes; below 0 where it falls behind
    the baseline, above 1 where it passes the ceiling. `low` and `high` are the 95 % interval."""

    value: float
    low: float
    high: float


def gap_share(
    baseline: Statistic, regime: Statistic, ceiling: Statistic, *, seed: int = 0, level: float = LEVEL
) -> GapShare | None:
    """How much of the gap from `baseline` to `ceiling` the regime closes; seed s of the three is a pair.

    The interval is made of quantiles of the ratio over the crossed replicates, so all three see the same
    films and seeds. None where the gap is not above 0 in the part of the replicates that the level asks for:
    the share of a gap that may not be there means nothing. Raises `MetricError` where the seeds differ in
    number.
    """
    if len({len(statistic.values) for statistic in (baseline, regime, ceiling)}) > 1:
        raise MetricError(
            "the seeds do not make pairs",
            found=", ".join(str(len(statistic.values)) for statistic in (baseline, regime, ceiling)),
            expected="as many of all three",
        )
    half = (1 - level) / 2
    gap = _crossed(ceiling.replicates - baseline.replicates, seed)
    closed = _crossed(regime.replicates - baseline.replicates, seed)
    if np.quantile(gap, half) <= 0 or ceiling.value <= baseline.value:
        return None
    positive = gap > 0
    low, high = (float(value) for value in np.quantile(closed[positive] / gap[positive], [half, 1 - half]))
    value = (regime.value - baseline.value) / (ceiling.value - baseline.value)
    return GapShare(value=value, low=low, high=high)


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
    crossed: Floats = np.einsum("rs,rs->r", replicates, _draw_seeds(*replicates.shape, seed, side))
    return crossed


def _degrees(values: Floats, replicates: Floats, influence: Floats) -> float:
    """Satterthwaite's degrees of freedom of a mean over seeds: see the module."""
    parts = [variance_over_patients(replicates, influence)]
    if len(values) > 1:
        parts.append((float(values.var(ddof=1)) / len(values), len(values) - 1))
    return satterthwaite(parts)


def _degrees_independent(a: Statistic, b: Statistic) -> float:
    """The same for the difference of two means over seeds of their own."""
    both = np.stack([b.replicates.mean(axis=1) - a.replicates.mean(axis=1)], axis=1)
    moved = np.stack([b.influence.mean(axis=1) - a.influence.mean(axis=1)], axis=1)
    seeds = [
        (float(statistic.values.var(ddof=1)) / len(statistic.values), len(statistic.values) - 1)
        for statistic in (a, b)
        if len(statistic.values) > 1
    ]
    return satterthwaite([variance_over_patients(both, moved), *seeds])


def variance_over_patients(replicates: Floats, influence: Floats) -> tuple[float, float]:
    """The variance over test patients of the mean over seeds, and its degrees of freedom.

    `replicates` (R, S) are a statistic, or a difference of two, on the drawn patients; `influence` (G, S) is
    what each patient adds to it.
    """
    each = influence.mean(axis=1)
    squares = each**2
    effective = float(squares.sum() ** 2 / (squares**2).sum()) if (squares**2).sum() > 0 else 2.0
    return float(replicates.mean(axis=1).var(ddof=1)), max(effective - 1, 1.0)


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom of a sum of independent variances, each given with its own."""
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / degrees for variance, degrees in parts)
    return total**2 / below if below > 0 else min(degrees for _, degrees in parts)
