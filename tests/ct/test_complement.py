"""The synthetic lung in the real slice, and the lung alone."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.ct.complement import complement, lung_only
from covid_synth_data.errors import MetricError

MASK = np.array([[0, 1], [2, 3]], np.uint8)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_lung_from_one_and_the_rest_from_the_other(kind):
    real, made = np.full((2, 2), 1, kind), np.full((2, 2), 0, kind)
    combined = complement(made, real, MASK)
    assert combined.tolist() == [[1, 0], [0, 0]]
    assert combined.dtype == kind
    assert lung_only(real, MASK).tolist() == [[0, 1], [1, 1]]
    assert lung_only(real, MASK).dtype == kind


def test_batches():
    rng = np.random.default_rng(0)
    made, real = rng.random((2, 3, 1, 4, 4), np.float32)
    masks = rng.integers(0, 4, (3, 4, 4), np.uint8)
    combined = complement(made, real, masks)
    for place in range(3):
        assert np.array_equal(combined[place, 0], complement(made[place, 0], real[place, 0], masks[place]))
    assert np.array_equal(lung_only(combined, masks), lung_only(made, masks))


def test_what_does_not_fit():
    grey = np.zeros((2, 2), np.uint8)
    with pytest.raises(MetricError, match="two types"):
        complement(grey.astype(np.float32), grey, MASK)
    with pytest.raises(MetricError, match="different shapes"):
        complement(np.zeros((2, 3), np.uint8), grey, MASK)
    with pytest.raises(MetricError, match="label map of different shapes"):
        lung_only(grey, MASK[:1])
