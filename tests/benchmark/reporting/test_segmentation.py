"""Cells of the tables of segmentation."""

from __future__ import annotations

import pytest

from covid_synth_data.benchmark.reporting import segmentation
from covid_synth_data.metrics.segmentation import Mean


def mean(value, half, left_out=0):
    return Mean(value=value, half=half, n=3, left_out=left_out)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([mean(0.4459, 0.1)], "44.59 ± 10.00"),
        ([mean(0.4459, 5.6495, left_out=1)], "44.59 (too few parts for an interval) (1 left out)"),
        ([mean(0.40, 0.1), mean(0.50, 0.2)], "45.00 ± 20.00 {40.00 to 50.00}"),
        ([mean(0.4, None)], "40.00"),
        ([mean(None, None)], segmentation.DASH),
    ],
)
def test_an_interval_wider_than_all_shares_is_not_shown(means, expected):
    assert segmentation._cell(means) == expected
