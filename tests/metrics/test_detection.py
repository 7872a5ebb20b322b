"""The detection metrics against hand counts, other libraries, brute force and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import detection

LABELS = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
SCORES = [0.9, 0.8, 0.5, 0.2, 0.7, 0.4, 0.3, 0.3, 0.1, 0.0]
PATIENTS = ["a", "a", "b", "c", "d", "e", "f", "g", "h", "h"]


def test_confusion_counts_a_probability_at_the_threshold_as_positive():
    assert detection.confusion(LABELS, SCORES).model_dump() == {"tp": 3, "fn": 1, "fp": 1, "tn": 5}
    assert detection.confusion(LABELS, SCORES, threshold=0.71).tp == 2


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # Quantiles of the beta distribution worked out apart from scipy's binomtest.
    [(0, 46, 0.0, 0.0770), (46, 46, 0.9230, 1.0), (29, 46, 0.4755, 0.7679), (5, 10, 0.1871, 0.8129)],
)
def test_clopper_pearson(count, n, low, high):
    share = detection.proportion(count, n)
    assert (share.low, share.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert share.value == count / n


def test_a_wider_level_gives_a_wider_interval():
    narrow, wide = detection.proportion(9, 20, 0.9), detection.proportion(9, 20, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_auc_is_that_of_scikit_learn_ties_included(rows):
    labels = [int(label) for label, _ in rows] + [0, 1]
    scores = [score / 6 for _, score in rows] + [0.4, 0.6]
    assert detection.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_the_bootstrap_draws_whole_patients_within_each_stratum():
    """One replicate after the other, with films repeated outright, gives the vectorised values."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 40)
    scores = np.round(rng.random(40), 1)
    group = np.repeat(np.arange(10), 4)
    order = np.argsort(scores, kind="stable")
    fast = detection._bootstrap(labels[order], scores[order], group[order], np.random.default_rng(5), 50)
    again = np.random.default_rng(5)
    positive = np.array([labels[group == one].any() for one in range(10)])
    times = np.zeros((50, 10), int)
    for part in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        if len(part):
            times[:, part] = again.multinomial(len(part), np.full(len(part), 1 / len(part)), size=50)
    slow = []
    for drawn in times:
        films = np.repeat(np.arange(40), drawn[group])
        if 0 < labels[films].sum() < len(films):
            slow.append(roc_auc_score(labels[films], scores[films]))
    assert fast == pytest.approx(slow, abs=1e-12)


def test_the_interval_of_the_auc_is_seeded_and_widens_when_films_share_patients():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 60)
    scores = np.clip(np.repeat(rng.normal(0.5, 0.15, 24), 5) + 0.12 * labels, 0, 1)
    apart = detection.auc_interval(labels, scores, [str(n) for n in range(120)])
    together = detection.auc_interval(labels, scores, [str(n // 5) for n in range(120)])
    assert apart == detection.auc_interval(labels, scores, [str(n) for n in range(120)])
    assert apart != detection.auc_interval(labels, scores, [str(n) for n in range(120)], seed=1)
    assert together.value == apart.value
    assert together.high - together.low > 1.3 * (apart.high - apart.low)
    assert apart.low < apart.value < apart.high


def test_the_bootstrap_in_chunks_is_as_wide_as_at_once(monkeypatch):
    whole = detection.auc_interval(LABELS, SCORES, PATIENTS)
    monkeypatch.setattr(detection, "_CHUNK", 300)
    parts = detection.auc_interval(LABELS, SCORES, PATIENTS)
    assert (parts.low, parts.high) == (
        pytest.approx(whole.low, abs=0.05),
        pytest.approx(whole.high, abs=0.05),
    )


def test_patients_with_films_of_both_classes():
    both = detection.auc_interval([0, 1, 0, 1], [0.1, 0.9, 0.8, 0.7], ["a", "a", "b", "b"])
    assert both.low <= both.value <= both.high


@pytest.mark.parametrize(
    ("target", "threshold", "specificity", "found"),
    [(0.5, 0.3, 4 / 6, 3), (0.8, 0.4, 5 / 6, 3), (0.9, 0.7, 1.0, 2), (1.0, 0.7, 1.0, 2)],
)
def test_sensitivity_at_specificity(target, threshold, specificity, found):
    point = detection.sensitivity_at_specificity(LABELS, SCORES, target)
    assert (point.threshold, point.specificity) == (threshold, pytest.approx(specificity))
    assert (point.sensitivity.count, point.sensitivity.n) == (found, 4)


def test_a_specificity_reached_exactly_is_not_missed_by_a_rounding_error():
    scores = [n / 20 for n in range(10)] + [0.32]
    point = detection.sensitivity_at_specificity([0] * 10 + [1], scores, 0.7)
    assert (point.specificity, point.sensitivity.count) == (0.7, 1)


def test_evaluate_gathers_everything():
    found = detection.evaluate(LABELS, SCORES, PATIENTS)
    assert (found.sensitivity.value, found.specificity.value, found.accuracy.value) == (0.75, 5 / 6, 0.8)
    assert (found.sensitivity.n, found.specificity.n, found.accuracy.n, found.patients) == (4, 6, 10, 8)
    assert [point.target for point in found.sensitivity_at] == [0.90, 0.95]
    assert found.auc.value == detection.auc(LABELS, SCORES)


@pytest.mark.parametrize(
    ("labels", "scores", "text"),
    [
        ([1, 1], [0.1, 0.2], "one class only"),
        ([0, 0], [0.1, 0.2], "one class only"),
        ([], [], "one class only"),
        ([0, 1], [0.1], "shapes"),
        ([[0, 1]], [[0.1, 0.2]], "shapes"),
        ([0, 2], [0.1, 0.2], "not binary"),
        ([0, 1], [0.1, float("nan")], "nan in row 1"),
        ([0, 1], [-0.1, 0.2], "row 0"),
    ],
)
def test_arrays_without_a_metric(labels, scores, text):
    for measure in (detection.confusion, detection.auc):
        with pytest.raises(MetricError, match=text):
            measure(labels, scores)


def test_other_bad_arguments():
    with pytest.raises(MetricError, match="9 patients"):
        detection.auc_interval(LABELS, SCORES, PATIENTS[1:])
    with pytest.raises(MetricError, match="0 of 0"):
        detection.proportion(0, 0)
    with pytest.raises(MetricError, match="specificity"):
        detection.sensitivity_at_specificity(LABELS, SCORES, 0.0)
