"""Localisation: networks that learned from painted lesions, or from masks, on phantoms with known lesions."""

from __future__ import annotations

from dataclasses import replace

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
    return Films(drawn, lungs, lesions & lungs, np.arange(count), np.zeros(count, bool))


def test_networks_that_saw_lesions_beat_brightness_on_phantoms():
    found = localisation.measure(films("normal", 24), films("covid-19", 40), tested=15, steps=60, seed=0)
    auc = found["pixel AUC within the lungs"]
    assert auc["real"]["value"] > auc["brightness"]["value"]
    assert auc["pairs"]["value"] > 0.6
    assert auc["pairs"]["low"] <= auc["pairs"]["value"] <= auc["pairs"]["high"]
    assert (found["tested films"], found["real films trained on"]) == (15, 25)
    assert len(found["per film"]["pairs"]) == 15


def test_most_of_a_painted_batch_has_lesions():
    shown, lungs, target = localisation.painted(films("normal", 6), seed=1)(3)
    assert target[: localisation.PAINTED].any(axis=(1, 2)).mean() > 0.8
    assert not target[localisation.PAINTED :].any()
    assert not target[~lungs].any()
    assert not np.array_equal(localisation.painted(films("normal", 6), seed=1)(4)[0], shown)


def test_a_batch_moves_with_its_masks():
    batch = localisation.painted(films("normal", 6), seed=1)(3)
    seen = set()
    for number in range(8):
        shown, lungs, target = localisation.moved(batch, np.random.default_rng(number))
        assert np.array_equal(np.sort(shown, axis=None), np.sort(batch[0], axis=None))
        assert not target[~lungs].any()
        seen.add(shown.tobytes())
    assert len(seen) > 4


def test_auc_of_pixels_counts_the_lungs_alone():
    one = films("covid-19", 3)
    truth = one.infected.astype(np.float32)
    values = localisation.pixel_aucs(one, truth)
    assert {value for value in values if value is not None} == {1.0}
    wrong_outside = np.where(one.lungs, truth, 1.0)
    assert localisation.pixel_aucs(one, wrong_outside) == values
    healthy = Films(one.films, one.lungs, np.zeros_like(one.lungs), one.groups, one.fitted)
    assert localisation.pixel_aucs(healthy, truth) == [None] * 3


def test_dice_counts_the_lungs_alone_and_its_threshold_is_the_best():
    one = films("covid-19", 3)
    scores = np.where(one.infected, 0.62, 0.41)
    assert localisation.dices(one, scores, 0.5) == [1.0] * 3
    assert localisation.dices(one, np.where(one.lungs, scores, 1.0), 0.5) == [1.0] * 3
    assert 0.41 < localisation.best_threshold(one, scores) <= 0.62
    share = one.infected.sum(axis=(1, 2)) / one.lungs.sum(axis=(1, 2))
    assert localisation.dices(one, scores, 0.0) == pytest.approx(list(2 * share / (1 + share)))
    healthy = Films(one.films, one.lungs, np.zeros_like(one.lungs), one.groups, one.fitted)
    assert localisation.dices(healthy, scores, 0.5) == [None] * 3


def test_within_a_place_a_score_that_does_not_look_says_nothing():
    many = films("covid-19", 24)
    where = localisation.places(many)
    assert ((where >= 0) == many.lungs).mean() > 0.98
    truth = many.infected + np.random.default_rng(0).normal(0, 1e-3, where.shape)
    found = localisation.aucs_within_places(many, truth, where)
    assert found.shape == (1 + localisation.DRAWS,)
    assert found[0] > 0.99
    blind = localisation.aucs_within_places(many, localisation.place_scores(where), where)
    assert blind[0] == pytest.approx(0.5, abs=1e-6)
    said = localisation.interval(localisation.aucs_within_places(many, many.films / 255, where))
    assert said["low"] < said["value"] < said["high"]


def test_the_auc_within_places_is_that_of_pairs_of_pixels_of_one_place():
    many = films("covid-19", 6)
    where = localisation.places(many)
    scores = np.random.default_rng(1).integers(0, 9, where.shape) / 10
    won = pairs = 0.0
    for place in np.unique(where[where >= 0]):
        here = where == place
        high, low = scores[here & many.infected], scores[here & ~many.infected]
        won += float((high[:, None] > low).sum() + 0.5 * (high[:, None] == low).sum())
        pairs += len(high) * len(low)
    assert localisation.aucs_within_places(many, scores, where)[0] == pytest.approx(won / pairs, abs=1e-5)


def test_films_that_priors_were_fitted_to_are_not_tested():
    positives = films("covid-19", 12)
    positives = replace(positives, fitted=np.arange(12) % 2 == 0)
    found = localisation.measure(films("normal", 4), positives, tested=8, steps=1, seed=0)
    assert 0 < found["tested films"] < 8
    every = replace(positives, fitted=np.ones(12, bool))
    with pytest.raises(EmptySplit, match="left to test on"):
        localisation.measure(films("normal", 4), every, tested=8, steps=1, seed=0)


def test_films_of_one_group_count_as_one():
    values, groups = [0.5, 0.5, 0.9, None], np.array([0, 0, 1, 2])
    found = localisation.mean(values, groups)
    assert found["value"] == pytest.approx(1.9 / 3)
    assert (found["low"], found["high"]) == (pytest.approx(0.5), pytest.approx(0.9))


def test_a_test_of_all_films_is_refused():
    few = films("covid-19", 3)
    with pytest.raises(EmptySplit, match="no film is left"):
        localisation.measure(few, few, tested=5, steps=1, seed=0)
