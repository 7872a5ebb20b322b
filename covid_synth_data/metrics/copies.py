"""Copies of training films: distances of synthetic films, compared with those of held-out real films.

A generator that learned the distribution makes films about as far from its training films as other real films
are. A generator that memorised films makes some that are much nearer. All functions take arrays of distances
or features.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import neighbours
from covid_synth_data.metrics.approximate import Graph
from covid_synth_data.metrics.detection import Proportion, proportion

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EXPECTED: Final = 0.01
"""Share of held-out films that stand beyond the threshold by its definition."""


class Beyond(FrozenModel):
    """The share of made films beyond `threshold`, beside that of held-out films, `expected` by design."""

    threshold: FiniteFloat
    expected: Annotated[float, Field(ge=0, le=1)]
    made: Proportion
    held_out: Proportion


def beyond_threshold(
    made: npt.ArrayLike, held_out: npt.ArrayLike, expected: float = EXPECTED, *, above: bool = False
) -> Beyond:
    """The share of `made` (m,) nearer to training films than all but `expected` of `held_out` (n,) films are.

    Values are distances; with `above` they are likenesses, of which high ones are near. The threshold is a
    quantile of the held-out values alone. It needs 1 / `expected` of them. Raises `MetricError`.
    """
    first, second = _values(made, "made"), _values(held_out, "held-out")
    least = int(np.ceil(1 / expected))
    if len(second) < least:
        raise MetricError(
            "too few held-out films for a threshold", found=str(len(second)), expected=f"at least {least}"
        )
    if above:
        threshold = float(np.quantile(second, 1 - expected, method="higher"))
        hits, false = first > threshold, second > threshold
    else:
        threshold = float(np.quantile(second, expected, method="lower"))
        hits, false = first < threshold, second < threshold
    return Beyond(
        threshold=threshold,
        expected=expected,
        made=proportion(int(hits.sum()), len(first)),
        held_out=proportion(int(false.sum()), len(second)),
    )


def authentic(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    real_groups: npt.NDArray[Any] | None = None,
    graph: Graph | None = None,
) -> Bools:
    """Which of `fake` (m, d) are authentic as Alaa et al. 2022, Sect. 3, define it, (m,).

    A made film is authentic where its nearest training film has another training film nearer to it than the
    made film is. `real_groups` (n,) passes over films of the same patient, which would count as nearer ones
    whatever the generator does. A `graph` over `real` makes the search approximate.
    """
    near = neighbours.nearest(fake, real, graph=graph)
    if real_groups is None:
        own = neighbours.nearest(real, real, same=True, graph=graph)
    else:
        own = neighbours.nearest(
            real, real, query_groups=real_groups, reference_groups=real_groups, graph=graph
        )
    found: Bools = own.distances[near.rows[:, 0], 0] < near.distances[:, 0]
    return found


def ct_score(
    made: npt.ArrayLike,
    held_out: npt.ArrayLike,
    made_cells: npt.ArrayLike | None = None,
    held_out_cells: npt.ArrayLike | None = None,
    least: int = 10,
) -> float:
    """The C_T statistic of data copying (Meehan et al. 2020): below 0 where made films lie nearer to training
    films than held-out ones do; below about -3 is a sign of copying.

    `made` (m,) and `held_out` (n,) are distances to the nearest training film. In each cell of the feature
    space the Mann-Whitney U of both is turned into a z-score; the score is their mean, weighted by held-out
    films. Cells with fewer than `least` films of either set are passed over; None is one cell for all. Raises
    `MetricError` where no cell is left.
    """
    first, second = _values(made, "made"), _values(held_out, "held-out")
    mine = np.zeros(len(first)) if made_cells is None else np.asarray(made_cells)
    theirs = np.zeros(len(second)) if held_out_cells is None else np.asarray(held_out_cells)
    if mine.shape != first.shape or theirs.shape != second.shape:
        raise MetricError(
            "cells do not fit the distances",
            found=f"{mine.shape} and {theirs.shape}",
            expected=f"{first.shape} and {second.shape}",
        )
    scores, weights = [], []
    for cell in np.unique(theirs):
        near, far = first[mine == cell], second[theirs == cell]
        if min(len(near), len(far)) >= least:
            scores.append(_z(near, far))
            weights.append(len(far))
    if not scores:
        raise MetricError(
            "no cell with enough films of both sets",
            found=f"{len(first)} made, {len(second)} held-out",
            expected=f"at least {least} of each in a cell",
            hint="give more films, or fewer cells",
        )
    return float(np.average(scores, weights=weights))


def _z(first: Floats, second: Floats) -> float:
    """How far the ranks of `first` lie above those of `second`, in standard deviations of no difference."""
    n, m = len(first), len(second)
    statistic = float(stats.mannwhitneyu(first, second).statistic)
    return (statistic - n * m / 2) / float(np.sqrt(n * m * (n + m + 1) / 12))


def _values(values: npt.ArrayLike, name: str) -> Floats:
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise MetricError(
            f"unusable distances of the {name} films",
            found=f"shape {given.shape}",
            expected="finite (n,), n > 0",
        )
    return given
