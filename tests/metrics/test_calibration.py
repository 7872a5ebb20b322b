"""Calibration against hand counts, torchmetrics, scikit-learn and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import calibration, detection


def sample(k, n=300, seed=3):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(k), n)
    return rng.integers(0, k, n), probabilities / probabilities.sum(axis=1, keepdims=True)


def test_by_hand():
    found = calibration.evaluate([1, 0, 0, 1], [[0.4, 0.6], [0.4, 0.6], [0.1, 0.9], [0.0, 1.0]], bins=10)
    assert [(one.low, one.accuracy.count, one.accuracy.n) for one in found.reliability] == [
        (pytest.approx(0.6), 1, 2),
        (pytest.approx(0.9), 1, 2),
    ]
    assert found.error == pytest.approx((2 * 0.1 + 2 * 0.45) / 4)
    assert found.brier == pytest.approx((0.16 + 0.36 + 0.81 + 0) / 4)
    assert found.positive_reliability == found.reliability
    assert found.reliability[0].accuracy == detection.proportion(1, 2)


@pytest.mark.parametrize("bins", [5, 15, 40])
@pytest.mark.parametrize("k", [2, 4])
def test_the_error_is_that_of_torchmetrics(k, bins):
    labels, probabilities = sample(k)
    found = calibration.evaluate(labels, probabilities, bins=bins)
    theirs = multiclass_calibration_error(
        torch.tensor(probabilities), torch.tensor(labels), num_classes=k, n_bins=bins
    )
    assert found.error == pytest.approx(float(theirs), abs=1e-6)


def test_of_the_positive_class_by_scikit_learn():
    labels, probabilities = sample(2)
    found = calibration.evaluate(labels, probabilities, bins=12)
    true, mean = calibration_curve(labels, probabilities[:, 1], n_bins=12)
    assert [one.accuracy.value for one in found.positive_reliability] == pytest.approx(list(true))
    assert [one.confidence for one in found.positive_reliability] == pytest.approx(list(mean))
    counts = np.array([one.accuracy.n for one in found.positive_reliability])
    assert counts.sum() == len(labels)
    assert found.positive_error == pytest.approx((counts * abs(true - mean)).sum() / len(labels))


def test_brier_is_that_of_scikit_learn():
    labels, probabilities = sample(2)
    found = calibration.evaluate(labels, probabilities)
    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities[:, 1]))
    labels, probabilities = sample(4)
    theirs = brier_score_loss(labels, probabilities, labels=range(4), scale_by_half=True)
    assert calibration.evaluate(labels, probabilities).brier == pytest.approx(theirs)


def test_more_than_two_classes_have_no_positive_one():
    found = calibration.evaluate(*sample(3))
    assert (found.positive_error, found.positive_reliability) == (None, None)


def test_a_certain_and_right_classifier_is_perfect_and_a_certain_and_wrong_one_the_opposite():
    right = calibration.evaluate([0, 1], [[1, 0], [0, 1]])
    wrong = calibration.evaluate([1, 0], [[1, 0], [0, 1]])
    assert (right.error, right.brier, right.positive_error) == (0, 0, 0)
    assert (wrong.error, wrong.brier, wrong.positive_error) == (1, 1, 1)
    assert right.reliability[-1].high == 1


def test_a_calibrated_classifier_has_a_small_error_on_many_films_and_a_binary_one_agrees():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    labels = (rng.random(20_000) < scores).astype(int)
    found = calibration.evaluate(labels, np.stack([1 - scores, scores], 1))
    assert found.error < 0.01
    theirs = binary_calibration_error(torch.tensor(scores), torch.tensor(labels), n_bins=15)
    assert found.positive_error < 0.015
    assert float(theirs) == pytest.approx(found.positive_error, abs=1e-3)
    inside = [one.accuracy.low <= one.confidence <= one.accuracy.high for one in found.positive_reliability]
    assert sum(inside) >= 13


def test_a_class_without_films_is_no_error_and_it_survives_json():
    found = calibration.evaluate([0, 0], [[0.9, 0.1], [0.6, 0.4]])
    assert calibration.Calibration.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("labels", "probabilities", "bins", "text"),
    [
        ([0, 1], [[0.5, 0.5]], 15, "do not fit"),
        ([0], [[np.nan, 0.5]], 15, "unusable"),
        ([0], [[0.6, 0.6]], 15, "do not sum to 1"),
        ([2], [[0.5, 0.5]], 15, "no class"),
        ([0], [[0.5, 0.5]], 0, "number of bins"),
    ],
)
def test_bad_input(labels, probabilities, bins, text):
    with pytest.raises(MetricError, match=text):
        calibration.evaluate(labels, probabilities, bins)
