"""The values of a label map and their colours."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data import schema
from covid_synth_data.ct import labels
from covid_synth_data.errors import BadImage

MASK = np.array([[0, 1], [2, 3]], np.uint8)


def test_names_and_values_agree_with_the_schema():
    assert schema.MASK_LABELS == ("background", "lung", "ground-glass opacity", "consolidation")
    assert [labels.NAMES[value] for value in (labels.LUNG, labels.GGO, labels.CONSOLIDATION)] == list(
        schema.MASK_LABELS[1:]
    )
    assert labels.COUNT == len(labels.COLOURS) == 4


def test_fields():
    assert labels.lung_field(MASK).tolist() == [[False, True], [True, True]]
    assert labels.infection(MASK).tolist() == [[False, False], [True, True]]


def test_the_papers_colours():
    assert labels.colour(MASK).tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [0, 255, 0]]]


def test_an_overlay_leaves_the_background_as_it_is():
    grey = np.full((2, 2), 100, np.uint8)
    shown = labels.overlay(grey, MASK, 0.5)
    assert shown.tolist() == [[[100] * 3, [178, 50, 50]], [[50, 50, 178], [50, 178, 50]]]
    assert np.array_equal(labels.overlay(grey.astype(np.float32) / 255, MASK, 0.5), shown)


@pytest.mark.parametrize("value", [4, 255, -1])
def test_an_unknown_value_is_an_error_that_names_the_file(value):
    with pytest.raises(BadImage, match=rf"a\.png.*found {value}; expected 0 background; 1 lung"):
        labels.check(np.array([[0, value]]), "a.png")
