"""Scores added: better than either, indifferent to scale, refused where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import detection
from covid_synth_data.metrics.combination import add_scores

LABELS = np.arange(600) % 2


def scores(rng: np.random.Generator, scale: float) -> np.ndarray:
    return 1 / (1 + np.exp(-scale * (LABELS - 0.5 + rng.normal(0, 1, len(LABELS)))))


def test_the_sum_is_better_than_either_and_calibrated() -> None:
    rng = np.random.default_rng(0)
    validation, films = ([scores(rng, scale) for scale in (0.1, 8.0)] for _ in range(2))
    together = add_scores(validation, LABELS, films)
    single = [detection.auc(LABELS, one) for one in films]
    assert detection.auc(LABELS, together) > max(single) + 0.03
    assert abs(together.mean() - 0.5) < 0.05


def test_the_scale_of_one_classifier_does_not_matter() -> None:
    made = []
    for scale in (0.1, 2.0):
        rng = np.random.default_rng(1)
        validation, films = ([scores(rng, 1.0), scores(rng, scale)] for _ in range(2))
        made.append(add_scores(validation, LABELS, films))
    np.testing.assert_allclose(made[0], made[1], atol=1e-6)


def test_a_classifier_that_is_wrong_cannot_turn_the_order_around() -> None:
    rng = np.random.default_rng(2)
    right = scores(rng, 1.0)
    together = add_scores([1 - right], LABELS, [right])
    assert (np.diff(together[np.argsort(right)]) >= 0).all()


@pytest.mark.parametrize(
    ("validation", "labels", "films", "wrong"),
    [
        ([[0.1, 0.9]], [0, 1], [[0.5], [0.5]], "do not fit"),
        ([[0.1, 0.9, 0.5]], [0, 1], [[0.5]], "do not fit"),
        ([], [0, 1], [], "do not fit"),
        ([[0.1, 0.9]], [1, 1], [[0.5]], "cannot calibrate"),
        ([[0.1, 1.9]], [0, 1], [[0.5]], "no probabilities"),
        ([[0.1, 0.9]], [0, 1], [[float("nan")]], "no probabilities"),
        ([[[0.1], [0.9]]], [0, 1], [[0.5]], "no probabilities"),
    ],
)
def test_what_does_not_fit_is_refused(validation, labels, films, wrong) -> None:
    with pytest.raises(MetricError, match=wrong):
        add_scores(validation, labels, films)
