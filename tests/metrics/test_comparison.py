"""Tests between classifiers against tables, scipy, brute force, simulation and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import comparison, detection

RIGHT_A = [1, 1, 1, 0, 0, 0, 0, 0, 0, 1]
RIGHT_B = [1, 1, 0, 1, 1, 1, 1, 1, 0, 1]


def test_mcnemar_counts_films_that_one_got_right():
    found = comparison.mcnemar(RIGHT_A, RIGHT_B)
    assert (found.both, found.only_a, found.only_b, found.neither) == (3, 1, 5, 1)
    assert found.difference == pytest.approx(0.4)
    assert found.p == pytest.approx(2 * (1 + 6) / 2**6)  # P(X <= 1) of 6 fair coins, both sides


def test_mcnemar_is_symmetric_and_one_where_nothing_differs():
    forth, back = comparison.mcnemar(RIGHT_A, RIGHT_B), comparison.mcnemar(RIGHT_B, RIGHT_A)
    assert (forth.p, forth.difference) == (back.p, -back.difference)
    same = comparison.mcnemar(np.array(RIGHT_A, bool), np.array(RIGHT_A, bool))
    assert (same.p, same.difference, same.only_a, same.only_b) == (1, 0, 0, 0)
    assert comparison.mcnemar([1, 0], [0, 1]).p == 1


def test_mcnemar_seldom_calls_chance_a_difference():
    rng = np.random.default_rng(0)
    p = [comparison.mcnemar(rng.random(60) < 0.7, rng.random(60) < 0.7).p for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) < 0.06


def test_fisher():
    found = comparison.fisher(1, 9, 11, 14)
    # 11 of 14 and 1 of 9: the sum of all tables no likelier than this one, by hand.
    chance = stats.hypergeom(23, 12, 9)
    expected = sum(chance.pmf(k) for k in range(10) if chance.pmf(k) <= chance.pmf(1) * (1 + 1e-9))
    assert found.p == pytest.approx(expected)
    assert found.difference == pytest.approx(11 / 14 - 1 / 9)
    assert found.b == detection.proportion(11, 14)
    assert comparison.fisher(3, 3, 5, 5).p == 1
    with pytest.raises(MetricError, match="5 of 4"):
        comparison.fisher(5, 4, 1, 2)


@pytest.fixture(scope="module")
def films():
    """Labels, two sets of probabilities and patients: 120 films of 40 patients."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 120)
    patients = [f"p{n}" for n in rng.integers(0, 40, 120)]
    a = np.clip(rng.normal(0.45, 0.2, 120) + 0.1 * labels, 0, 1)
    b = np.clip(a + rng.normal(0, 0.03, 120) + 0.08 * labels, 0, 1)
    return labels, a, b, patients


def test_the_auc_difference_draws_the_same_patients_for_both(films):
    labels, a, b, patients = films
    found = comparison.auc_difference(labels, a, b, patients)
    assert found.a == detection.auc(labels, a)
    assert found.difference == pytest.approx(detection.auc(labels, b) - detection.auc(labels, a))
    assert 0 < found.low < found.difference < found.high
    # Unpaired, the interval would be as wide as that of the two AUCs together.
    one = detection.auc_interval(labels, a, patients)
    assert found.high - found.low < 0.6 * (one.high - one.low)
    same = comparison.auc_difference(labels, a, a, patients)
    assert (same.low, same.difference, same.high) == (0, 0, 0)


def test_the_auc_difference_is_seeded_and_turns_round(films):
    labels, a, b, patients = films
    forth = comparison.auc_difference(labels, a, b, patients, seed=4, replicates=300)
    assert forth == comparison.auc_difference(labels, a, b, patients, seed=4, replicates=300)
    back = comparison.auc_difference(labels, b, a, patients, seed=4, replicates=300)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))


def test_auc_replicates_are_those_of_the_interval(films):
    labels, a, _, patients = films
    drawn = detection.auc_replicates(labels, a, patients)
    interval = detection.auc_interval(labels, a, patients)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([interval.low, interval.high])


def test_the_share_difference_is_wider_when_films_share_patients():
    rng = np.random.default_rng(5)
    a, b = np.repeat(rng.random(30) < 0.5, 4), np.repeat(rng.random(30) < 0.7, 4)
    apart = comparison.share_difference(a, b, [str(n) for n in range(120)])
    together = comparison.share_difference(a, b, [str(n // 4) for n in range(120)])
    assert apart.difference == together.difference == pytest.approx(b.mean() - a.mean())
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    # Independent films: near the usual formula of a paired difference.
    spread = np.std(b.astype(float) - a) / np.sqrt(120)
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_the_share_difference_by_brute_force():
    a, b, patients = np.array([1, 0, 0, 1, 0]), np.array([1, 1, 0, 1, 1]), ["x", "x", "y", "z", "z"]
    found = comparison.share_difference(a, b, patients, seed=3, replicates=40)
    group = np.array([0, 0, 1, 2, 2])
    times = detection.draw_patients([np.arange(3)], np.random.default_rng([3, 0xD1F]), 40).astype(int)
    slow = [(b - a)[np.repeat(np.arange(5), drawn[group])].mean() for drawn in times]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((min(low, 0.4), max(high, 0.4)))


def test_holm_by_hand():
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([0.5, 0.9]) == [1.0, 1.0]
    assert comparison.holm([0.2]) == [0.2]
    assert comparison.holm([]) == []


def test_holm_keeps_false_findings_rare():
    rng = np.random.default_rng(1)
    found = [min(comparison.holm(list(rng.random(10)))) < 0.05 for _ in range(2000)]
    assert 0.03 < np.mean(found) < 0.065


@pytest.mark.parametrize("p", [[0.1, np.nan], [1.2], [-0.1], [[0.1]]])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(MetricError, match="no p values"):
        comparison.holm(p)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([1, 0], [1], r"shapes \(2,\) and \(1,\)"),
        ([], [], "n of 1 or more"),
        ([[1]], [[0]], "same films"),
        ([1, 2], [0, 1], "right or wrong"),
        ([1, np.nan], [0, 1], "right or wrong"),
    ],
)
def test_bad_input(a, b, text):
    with pytest.raises(MetricError, match=text):
        comparison.mcnemar(a, b)
    with pytest.raises(MetricError, match=text):
        comparison.share_difference(a, b, ["x"] * len(a))


def test_bad_patients():
    with pytest.raises(MetricError, match="1 patients"):
        comparison.share_difference([1, 0], [0, 1], ["x"])
    with pytest.raises(MetricError, match="one class only"):
        comparison.auc_difference([1, 1], [0.2, 0.3], [0.1, 0.4], ["x", "y"])
