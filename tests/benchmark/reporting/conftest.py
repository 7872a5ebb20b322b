"""A small folder of results that tests may change."""

from __future__ import annotations

import pytest

from covid_synth_data.benchmark.results import write_result
from tests.leaderboard.made import made


@pytest.fixture
def folder(tmp_path):
    """Two seeds of three regimes of zunair2021."""
    for regime in ("real", "real-balanced", "real+gnc"):
        for seed in range(2):
            result = made("zunair2021", regime, seed, model="lite0-frozen")
            write_result(tmp_path / "results" / result.path, result)
    return tmp_path / "results"
