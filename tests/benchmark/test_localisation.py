"""Localisation: networks that learned from painted lesions, or from masks, on phantoms with known lesions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.localisation import localisation
from benchmarks.localisation.localisation import Films
from covid_synth_data.errors import EmptySplit
from covid_synth_data.sources import phantom

SIDE = 64


def films(label: str, count: int) -> Films:
    scenes = [(label, SIDE, 7, number, 0) for number in range(count)]
    drawn = np.stack([phantom.draw(*scene) for scene in scenes])
    lungs = np.stack([phantom.lung_mask(*scene) for scene in scenes]) >= 0.5
    lesions = np.stack([phantom.lesion_mask(*scene) for scene in scenes]) >= 0.2
    return Films(drawn, lungs, lesions & lungs, np.arange(count))


def test_networks_that_saw_lesions_beat_brightness_on_phantoms():
    found = localisation.measure(films("normal", 24), films("covid-19", 40), tested=15, steps=60, seed=0)
    auc = found["pixel AUC within the lungs"]
    assert auc["real"]["value"] > auc["brightness"]["value"]
    assert auc["pairs"]["value"] > 0.6
    assert auc["pairs"]["low"] <= auc["pairs"]["value"] <= auc["pairs"]["high"]
    assert (found["tested films"], found["real films trained on"]) == (15, 25)
    assert len(found["per film"]["pairs"]) == 15


def test_half_of_a_painted_batch_is_normal():
    shown, lungs, target = localisation.painted(films("normal", 6), seed=1)(3)
    half = localisation.BATCH // 2
    assert target[:half].any()
    assert not target[half:].any()
    assert not target[~lungs].any()
    assert not np.array_equal(localisation.painted(films("normal", 6), seed=1)(4)[0], shown)


def test_auc_of_pixels_counts_the_lungs_alone():
    one = films("covid-19", 3)
    truth = one.infected.astype(np.float32)
    values = localisation.pixel_aucs(one, truth)
    assert {value for value in values if value is not None} == {1.0}
    wrong_outside = np.where(one.lungs, truth, 1.0)
    assert localisation.pixel_aucs(one, wrong_outside) == values
    healthy = Films(one.films, one.lungs, np.zeros_like(one.lungs), one.groups)
    assert localisation.pixel_aucs(healthy, truth) == [None] * 3


def test_films_of_one_group_count_as_one():
    values, groups = [0.5, 0.5, 0.9, None], np.array([0, 0, 1, 2])
    found = localisation.mean(values, groups)
    assert found["value"] == pytest.approx(1.9 / 3)
    assert (found["low"], found["high"]) == (pytest.approx(0.5), pytest.approx(0.9))


def test_a_test_of_all_films_is_refused():
    few = films("covid-19", 3)
    with pytest.raises(EmptySplit, match="no film is left"):
        localisation.measure(few, few, tested=5, steps=1, seed=0)
