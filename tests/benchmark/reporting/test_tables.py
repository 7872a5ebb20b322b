"""Cells of the tables of classifiers."""

from __future__ import annotations

import pytest

from covid_synth_data.benchmark.reporting import tables


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([7], "7"),
        ([3, 1476, 0], "3, 1,476, 0"),
        ([1500, 1400, 1450, 1450, 1450, 1451], "1,450 {1,400 to 1,500}"),
    ],
)
def test_counts_of_many_seeds_are_summed_up(counts, expected):
    assert tables._counts(counts) == expected
