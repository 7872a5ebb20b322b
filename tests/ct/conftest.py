"""Phantom rows that several files of tests share."""

from __future__ import annotations

from typing import Any

import pytest

from covid_synth_data.ct import phantom


@pytest.fixture(scope="session")
def phantom_rows() -> list[dict[str, Any]]:
    """Nine patients of six slices at 64 x 64."""
    return phantom.rows(size=64, patients=9, slices=6, seed=3)
