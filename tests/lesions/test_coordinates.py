"""Lung coordinates of drawn lungs, and masks that show no two lungs."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.lesions import coordinates
from covid_synth_data.lesions.coordinates import GRID, LEFT, RIGHT


def two_boxes(side: int = 256, gap: int = 32) -> np.ndarray:
    lungs = np.zeros((side, side), bool)
    middle = side // 2
    lungs[side // 4 : -side // 4, side // 8 : middle - gap // 2] = True
    lungs[side // 4 : -side // 4, middle + gap // 2 : -side // 8] = True
    return lungs


@pytest.mark.parametrize("side", [64, 256, 300])
def test_coordinates_run_from_hilum_to_wall_and_from_apex_to_base(side: int) -> None:
    where = coordinates.locate(two_boxes(side, side // 8))
    assert where is not None
    right, left = where.side == RIGHT, where.side == LEFT
    assert right[:, : GRID // 2].sum() == right.sum() > 0
    assert left[:, GRID // 2 :].sum() == left.sum() > 0
    inside = where.side > 0
    for plane in (where.down, where.out):
        assert 0 <= plane[inside].min() < 0.1
        assert 0.9 < plane[inside].max() <= 1
    row = GRID // 2
    across = where.out[row]
    assert np.all(np.diff(across[right[row]]) < 0)  # the wall of the right lung is at the left of the picture
    assert np.all(np.diff(across[left[row]]) > 0)
    assert np.all(np.diff(where.down[:, GRID // 4][right[:, GRID // 4]]) > 0)


def test_coordinates_have_no_edge_at_the_border_of_a_lung() -> None:
    where = coordinates.locate(two_boxes())
    assert where is not None
    column = GRID // 4
    assert np.abs(np.diff(where.down[:, column])).max() < 0.05
    assert np.abs(np.diff(where.out[GRID // 2, : GRID // 2 - 2])).max() < 0.1


def test_lungs_that_touch_by_a_bridge_are_parted() -> None:
    lungs = two_boxes(256, 32)
    lungs[128:130, 100:160] = True
    assert coordinates.locate(lungs) is not None


@pytest.mark.parametrize("kind", ["none", "one", "full", "small second", "one above the other"])
def test_no_two_lungs(kind: str) -> None:
    lungs = two_boxes()
    if kind == "none":
        lungs[:] = False
    elif kind == "one":
        lungs[:, 128:] = False
    elif kind == "full":
        lungs[:] = True
    elif kind == "small second":
        lungs[:, 128:] = False
        lungs[100:106, 200:206] = True
    else:
        lungs[:] = False
        lungs[20:100, 60:180] = lungs[140:220, 60:180] = True
    assert coordinates.locate(lungs) is None
