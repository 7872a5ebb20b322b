"""The interval over training sets: coverage by simulation, and what the crossed interval leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed
from covid_synth_data.metrics.half_samples import over_training_sets
from covid_synth_data.metrics.resampling import Statistic

TRUE, PATIENTS, DRAWS, REPLICATES, TESTED = 0.02, 60, 20, 200, 100


def simulated(rng: np.random.Generator) -> tuple[Statistic, Statistic]:
    """Two regimes whose difference is a mean over the training patients of a half, chance of each training,
    and a mean over test patients; in expectation it is `TRUE`."""
    effect = rng.normal(0, 0.08, PATIENTS)
    halves = np.array([rng.permutation(PATIENTS)[: PATIENTS // 2] for _ in range(DRAWS)])
    films = rng.normal(0, 0.04, TESTED)
    chance = rng.normal(0, 0.002, DRAWS)
    values = TRUE + effect[halves].mean(axis=1) + chance + films.mean()
    drawn = films[rng.integers(0, TESTED, (REPLICATES, TESTED))].mean(axis=1) - films.mean()
    replicates = values + drawn[:, None]
    influence = np.repeat((films - films.mean())[:, None] / TESTED, DRAWS, axis=1)
    still = (np.full(DRAWS, 0.5), np.full((REPLICATES, DRAWS), 0.5), np.zeros((TESTED, DRAWS)))
    return Statistic(*still, TESTED), Statistic(0.5 + values, 0.5 + replicates, influence, TESTED)


def test_it_covers_other_training_patients_and_the_crossed_interval_does_not() -> None:
    rng = np.random.default_rng(1)
    covered, narrow, runs = 0, 0, 400
    for _ in range(runs):
        a, b = simulated(rng)
        wide, inner = over_training_sets(a, b), crossed.contrast(a, b)
        covered += wide.low <= TRUE <= wide.high
        narrow += inner.low <= TRUE <= inner.high
    # 95 % give or take three standard errors of 400 runs, and rather more than less.
    assert 0.92 <= covered / runs <= 0.99
    assert narrow / runs < 0.75


def test_what_it_says_of_the_draws() -> None:
    a, b = simulated(np.random.default_rng(2))
    found = over_training_sets(a, b)
    differences = b.values - a.values
    assert found.difference == pytest.approx(differences.mean())
    assert found.spread == pytest.approx(differences.std(ddof=1))
    assert (found.above, found.draws) == (int((differences > 0).sum()), DRAWS)
    # More draws of the same patients do not narrow it to nothing: it stays as wide as the spread asks for.
    assert found.high - found.low > 2 * 2.0 * found.spread


def test_too_few_draws_are_refused() -> None:
    a, b = simulated(np.random.default_rng(3))
    few = Statistic(b.values[:9], b.replicates[:, :9], b.influence[:, :9], TESTED)
    with pytest.raises(MetricError, match="too few draws"):
        over_training_sets(few, few)
    with pytest.raises(MetricError, match="not the same on both sides"):
        over_training_sets(a, few)
