"""Limits of real films: the count outside, how far, and which are shown."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.audit import limits
from covid_synth_data.audit.contract import Findings
from tests.audit.conftest import film_set, noise


def test_values_outside_are_counted_and_measured_in_ranges():
    count, beyond = limits.outside(np.array([0.0, 1.0, 2.0, 3.0, 7.0]), 1.0, 3.0)
    assert count == 2
    assert beyond == pytest.approx([0.5, 0, 0, 0, 2.0])


def test_limits_that_coincide_leave_finite_amounts():
    count, beyond = limits.outside(np.array([1.0, 2.0]), 1.0, 1.0)
    assert count == 1
    assert np.isfinite(beyond).all()


def test_the_farthest_outside_are_shown_first_and_none_within():
    findings, films = Findings(), film_set("films", noise(4, 0), "a")
    excess = np.array([0.5, 0.0, 2.0, 1.0])
    limits.show_worst(findings, films, np.arange(4), excess, "outside by {}", 2)
    assert [(shown.image_id, shown.text) for shown in findings.shown] == [
        (films.ids[2], "outside by 2.00"),
        (films.ids[3], "outside by 1.00"),
    ]
    findings.shown.clear()
    limits.show_worst(findings, films, np.arange(4), excess, "outside by {}", 9)
    assert len(findings.shown) == 3
