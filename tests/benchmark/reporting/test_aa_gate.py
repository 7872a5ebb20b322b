"""The gate on stored predictions, which runs on every change: identical regimes are rarely told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.benchmark.reporting import aa_gate
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed

STORED = Path(__file__).parents[2] / "data" / "aa-predictions.npz"
"""60 trainings of dense layers on drawn features, by `benchmarks/statistics/aa_gate.py --made`."""


@pytest.fixture(scope="module")
def pool():
    return aa_gate.Pool.load(STORED)


def test_identical_regimes_are_told_apart_in_at_most_5_percent_of_draws(pool):
    found = aa_gate.run(pool, seeds=10, draws=60, replicates=500)
    assert found.passed, found.told_apart
    assert (found.trainings, found.seeds, found.draws, found.told_apart.n) == (60, 10, 60, 60)
    assert found.films > found.patients == 700
    # The old way, with patients alone, errs far more often: seeds vary, and it does not know.
    assert found.patients_only["AUC"].value > 0.12


def test_a_rule_without_seeds_fails_the_gate(pool, monkeypatch):
    """The mean over the seeds there are, on drawn patients: what intervals over patients alone rest on."""
    monkeypatch.setattr(crossed, "_crossed", lambda replicates, *_: replicates.mean(axis=1))
    assert not aa_gate.run(pool, seeds=10, draws=30, replicates=300).passed


def test_too_few_trainings_are_refused(pool):
    with pytest.raises(MetricError, match="found 60; expected 125: 5 groups of 25"):
        aa_gate.run(pool, seeds=25, draws=1)


def test_a_pool_survives_its_file(pool, tmp_path):
    pool.save(tmp_path / "pool.npz")
    again = aa_gate.Pool.load(tmp_path / "pool.npz")
    assert np.array_equal(again.scores, pool.scores)
    assert len(set(again.patients)) == len(set(pool.patients))
    assert STORED.stat().st_size < 200_000
