"""Squares of drawn lungs beside those of training slices: copies are found, other slices are not."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.ct import phantom
from covid_synth_data.ct.slices import read_slice
from covid_synth_data.errors import EmptySplit
from generation.report import ct_copies

SQUARE = 12


def slices(seed: int, count: int = 12) -> list[ct_copies.Slice]:
    rows = phantom.rows(size=96, patients=3, slices=4, seed=seed)
    return [read_slice(row) for row in rows[:count]]


def compare(**groups):
    ticks: list[int] = []
    training = slices(0)
    found = ct_copies.compare(
        {"drawn": slices(1), "held out": slices(2), **groups},
        training,
        square=SQUARE,
        seed=0,
        progress=ticks.append,
    )
    assert ticks == list(range(1, len(training) + 1))
    return found


def test_copies_are_found_and_other_slices_are_not():
    bar, groups = compare(drawn=slices(0), grainy=slices(1))
    assert groups["drawn"].median > 0.999
    assert groups["drawn"].above == 1
    assert groups["grainy"].above < 0.5
    assert groups["held out"].above == pytest.approx(0.01, abs=0.01)
    assert bar < 1


def test_a_copy_elsewhere_in_the_slice_and_in_other_greys_is_found():
    moved = [
        (np.roll(0.5 * image + 0.2, (5, -7), (0, 1)), np.roll(mask, (5, -7), (0, 1)))
        for image, mask in slices(0)
    ]
    _, groups = compare(drawn=moved)
    assert groups["drawn"].median > 0.99


def test_squares_are_of_lung_alone_and_show_something():
    image, mask = np.full((40, 40), 0.5, np.float32), np.zeros((40, 40), np.uint8)
    mask[5:30, 5:30] = 1
    assert len(ct_copies.squares_of(image, mask, SQUARE)) == 0  # flat
    image = np.random.default_rng(0).random((40, 40), np.float32)
    squares = ct_copies.squares_of(image, mask, SQUARE)
    # All places in the 25 x 25 pixels; a row of six of 144 pixels outside is within the five per cent.
    assert len(squares) >= (25 - SQUARE + 1) ** 2
    assert np.allclose(squares.mean(1), 0, atol=1e-6)
    assert np.allclose(np.linalg.norm(squares, axis=1), 1, atol=1e-5)
    image[mask == 0] = 1
    assert np.array_equal(ct_copies.squares_of(image, mask, SQUARE), squares)


def test_a_group_without_lung_is_refused():
    empty = [(image, np.zeros_like(mask)) for image, mask in slices(1)]
    with pytest.raises(EmptySplit, match="no square of lung in the drawn slices"):
        compare(drawn=empty)
