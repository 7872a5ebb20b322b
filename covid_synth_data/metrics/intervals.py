"""Intervals of means and of other statistics where rows come in groups, such as the films of a patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel

Floats = npt.NDArray[np.float64]

LEVEL: Final = 0.95
REPLICATES: Final = 1000


class Interval(FrozenModel):
    """A number with the limits of its 95 % interval."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


def mean(
    values: npt.ArrayLike, groups: Sequence[str] | npt.NDArray[Any], *, seed: int = 0, level: float = LEVEL
) -> Interval:
    """The mean of `values` (n,) with the percentile interval of a bootstrap over whole groups.

    `groups` (n,) names the group of each value. With one group alone the interval is the value itself.
    Raises `MetricError` for no values, values that are not finite, and groups of another length.
    """
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or not len(given) or len(groups) != len(given) or not np.isfinite(given).all():
        raise MetricError(
            "values without a mean",
            found=f"{given.shape}, {len(groups)} groups",
            expected="finite (n,), n > 0",
        )
    _, number = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    sums, counts = np.bincount(number, given), np.bincount(number)
    drawn = np.random.default_rng([seed, 0x3EA]).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=REPLICATES
    )
    replicates = (drawn @ sums) / (drawn @ counts)
    value = float(given.mean())
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))


def parts_of(groups: Sequence[str] | npt.NDArray[Any], parts: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """A number below `parts` for each row, the same for all rows of a group; groups are dealt at random."""
    names, number = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    order = np.random.default_rng([seed, 0x9A7]).permutation(len(names))
    return np.asarray(order[number] % parts, np.int64)


def jackknife(
    statistic: Callable[..., float],
    sets: Sequence[npt.NDArray[Any]],
    groups: Sequence[Sequence[str]],
    *,
    parts: int = 8,
    seed: int = 0,
) -> Interval:
    """`statistic(*sets)` with the interval of a delete-a-group jackknife.

    The rows of each set are dealt to `parts` parts of whole groups; the statistic is taken without each part
    in turn. A bootstrap would repeat rows, which distances between neighbours do not stand. Raises
    `MetricError` where a set has fewer than two groups.
    """
    numbers = [parts_of(names, parts, seed) for names in groups]
    used = [np.unique(part) for part in numbers]
    if min(map(len, used)) < 2:
        raise MetricError(
            "too few groups for an interval", found=str(min(map(len, used))), expected="at least 2"
        )

    def value(kept: tuple[Floats, ...]) -> float:
        chosen = [
            rows[np.isin(part, names[keep > 0])] if (keep == 0).any() else rows
            for rows, part, names, keep in zip(sets, numbers, used, kept, strict=True)
        ]
        return float(statistic(*chosen))

    return from_deletions(value, tuple(map(len, used)))


def from_deletions(
    value: Callable[[tuple[Floats, ...]], float], parts: Sequence[int], level: float = LEVEL
) -> Interval:
    """The jackknife of `value`, which is given for each set which parts are kept, 1 or 0 (parts,).

    The variances of the sets add up, as the sets are independent; the limits are those of Student's t.
    """
    everything = tuple(np.ones(count) for count in parts)
    variance = 0.0
    for place, count in enumerate(parts):
        without = []
        for out in range(count):
            kept = [np.array(part) for part in everything]
            kept[place][out] = 0
            without.append(value(tuple(kept)))
        spread = np.asarray(without) - np.mean(without)
        variance += (count - 1) / count * float(spread @ spread)
    whole = value(everything)
    half = float(stats.t.ppf((1 + level) / 2, min(parts) - 1)) * float(np.sqrt(variance))
    return Interval(value=whole, low=whole - half, high=whole + half)
