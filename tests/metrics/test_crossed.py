"""The crossed bootstrap: against the plain functions, and by simulation of coverage, A/A rate and power."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed, detection, resampling

NAMES = ("auc", "sensitivity", "accuracy", "sensitivity at specificity 0.90")


def simulated(rng, seeds, patients=60, training=0.3, patient=0.8, noise=0.5, gap=1.5):
    """Labels, patients and scores (S, n): one to three films of a patient, who has a level of their own under
    all seeds; each seed has a strength of its own (`training`) and noise on each film."""
    films = rng.integers(1, 4, patients)
    whose = np.repeat(np.arange(patients), films)
    sick = np.arange(patients) < patients // 3
    truth = sick[whose].astype(int)
    level = rng.normal(0, patient, patients)[whose] + rng.normal(0, 0.5, len(whose))
    strength = gap + rng.normal(0, training, (seeds, 1))
    scores = strength * (truth - 0.5) + level + rng.normal(0, noise, (seeds, len(whose)))
    return truth, whose.astype(str), 1 / (1 + np.exp(-scores))


@pytest.fixture
def case():
    return simulated(np.random.default_rng(0), 4)


def test_values_are_those_of_the_plain_functions(case):
    truth, whose, scores = case
    found = resampling.evaluate(resampling.draw(truth, whose, replicates=10), scores)
    for name, plain in (
        ("auc", detection.auc),
        ("sensitivity", lambda y, p: float((p[y == 1] >= 0.5).mean())),
        ("specificity", lambda y, p: float((p[y == 0] < 0.5).mean())),
        ("accuracy", lambda y, p: float(((p >= 0.5) == y).mean())),
        (
            "sensitivity at specificity 0.90",
            lambda y, p: detection.sensitivity_at_specificity(y, p, 0.9).sensitivity.value,
        ),
    ):
        assert found[name].values == pytest.approx([plain(truth, row) for row in scores], abs=1e-6)


def test_a_replicate_is_the_statistic_of_the_films_repeated_as_often_as_drawn(case):
    truth, whose, scores = case
    scores = np.round(scores, 1)  # ties
    draws = resampling.draw(truth, whose, replicates=25)
    found = resampling.evaluate(draws, scores)
    (weights,) = draws.weights
    for replicate in (0, 7, 24):
        rows = np.repeat(np.arange(len(truth)), weights[:, replicate].astype(int))
        for seed in (0, 3):
            labels, given = truth[rows], scores[seed][rows]
            assert found["auc"].replicates[replicate, seed] == pytest.approx(
                detection.auc(labels, given), abs=1e-6
            )
            expected = detection.sensitivity_at_specificity(labels, given, 0.9).sensitivity.value
            assert found["sensitivity at specificity 0.90"].replicates[replicate, seed] == pytest.approx(
                expected, abs=1e-6
            )
            assert found["accuracy"].replicates[replicate, seed] == pytest.approx(
                ((given >= 0.5) == labels).mean(), abs=1e-6
            )


def test_a_patient_is_drawn_with_all_films(case):
    truth, whose, _ = case
    draws = resampling.draw(truth, whose, replicates=600)
    assert [block.shape[1] for block in draws.weights] == [500, 100]
    for block in draws.weights:
        for patient in set(whose):
            rows = block[whose == patient]
            assert (rows == rows[0]).all()
        assert (block[truth == 1].sum(axis=0) > 0).all()


def test_the_influence_is_what_a_patient_adds(case):
    """Against the value with that patient counted a little more."""
    truth, whose, scores = case
    draws = resampling.draw(truth, whose, replicates=10)
    found = resampling.evaluate(draws, scores)
    step = 1e-3
    for patient in (0, 5, 40):
        more = 1 + step * (draws.group == patient)
        value = detection.weighted_auc(truth == 1, scores[0], more[None])[0]
        change = (value - found["auc"].values[0]) / step
        assert found["auc"].influence[patient, 0] == pytest.approx(change, abs=1e-3)


def test_seeds_widen_the_interval():
    """Patients alone would give the same interval for seeds that agree and seeds that do not."""
    truth, whose, scores = simulated(np.random.default_rng(1), 12, training=0.0, noise=0.0)
    apart = np.clip(scores ** np.linspace(0.2, 3, 12)[:, None], 0, 1)
    draws = resampling.draw(truth, whose)
    widths = [
        (lambda one: one.high - one.low)(crossed.interval(resampling.evaluate(draws, given)["sensitivity"]))
        for given in (scores, apart)
    ]
    assert widths[1] > 1.3 * widths[0]


def test_the_interval_of_a_share_is_never_a_point(case):
    truth, whose, _ = case
    perfect = np.tile(truth * 0.8 + 0.1, (3, 1))
    found = resampling.evaluate(resampling.draw(truth, whose), perfect)["sensitivity"]
    positives = int(truth.sum())
    expected = detection.proportion(positives, positives)
    limits = crossed.interval(found, films=positives)
    assert (limits.value, limits.low, limits.high) == pytest.approx((1.0, expected.low, 1.0))


def test_regimes_that_agree_in_everything_have_p_of_one_and_a_floor(case):
    truth, whose, scores = case
    one = resampling.evaluate(resampling.draw(truth, whose), scores)["sensitivity"]
    found = crossed.contrast(one, one)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    sick = len(set(whose[truth == 1]))
    assert found.detectable(0.05) == pytest.approx(6 / sick)


def test_few_films_that_change_sides_are_few_degrees_of_freedom():
    """Four patients found by b alone, of 1,000: McNemar's exact p is 0.125, and 1.96 standard errors would
    call that a difference."""
    truth = np.r_[np.ones(1000, int), np.zeros(1000, int)]
    a = np.tile(np.where(truth == 1, 0.9, 0.1), (20, 1))
    b = a.copy()
    a[:, :4] = 0.2
    draws = resampling.draw(truth, np.arange(2000).astype(str))
    left, right = (resampling.evaluate(draws, scores)["sensitivity"] for scores in (a, b))
    found = crossed.contrast(left, right)
    assert found.difference == pytest.approx(0.004)
    assert found.difference / found.standard_error > 1.9
    assert found.p > 0.05


def test_seeds_that_do_not_fit_are_refused(case):
    truth, whose, scores = case
    draws = resampling.draw(truth, whose, replicates=10)
    four, three, one = (resampling.evaluate(draws, scores[:n])["auc"] for n in (4, 3, 1))
    with pytest.raises(MetricError, match="4 and 3 seeds"):
        crossed.contrast(four, three)
    crossed.contrast(four, three, pairing="independent")
    assert crossed.contrast(one, one).p == 1
    with pytest.raises(MetricError, match="do not fit the films"):
        resampling.evaluate(draws, scores[:, 1:])
    with pytest.raises(MetricError, match="both 0 and 1"):
        resampling.draw(np.ones(5), list("abcde"))


# By simulation: sizes are chosen so that a wrong rule fails far outside the binomial error.


@pytest.mark.slow
def test_intervals_cover():
    """95 % intervals of the mean over trainings and patients hold it in at least 92 % of 200 test sets; those
    over patients alone, with one seed taken for all, would hold it in about 80."""
    many = [simulated(np.random.default_rng([9, n]), 40, patients=900, training=0.6) for n in range(12)]
    large = [
        resampling.evaluate(resampling.draw(labels, whose, replicates=1), scores)
        for labels, whose, scores in many
    ]
    truth_of = {name: np.mean([found[name].value for found in large]) for name in ("auc", "sensitivity")}
    covered = dict.fromkeys(truth_of, 0)
    for n in range(200):
        labels, whose, scores = simulated(np.random.default_rng([1, n]), 12, training=0.6)
        found = resampling.evaluate(resampling.draw(labels, whose, replicates=500), scores)
        for name, value in truth_of.items():
            limits = crossed.interval(found[name])
            covered[name] += limits.low <= value <= limits.high
    assert all(count >= 184 for count in covered.values()), covered


@pytest.mark.slow
def test_identical_regimes_are_rarely_told_apart():
    """Two draws of the same training: at most 5 % are told apart, within the binomial error of 200 draws."""
    flagged = {(pairing, name): 0 for pairing in ("paired", "independent") for name in NAMES}
    for n in range(200):
        labels, whose, scores = simulated(np.random.default_rng([2, n]), 24)
        draws = resampling.draw(labels, whose, replicates=500)
        a, b = (resampling.evaluate(draws, part) for part in (scores[:12], scores[12:]))
        for pairing, name in flagged:
            flagged[pairing, name] += crossed.contrast(a[name], b[name], pairing=pairing).p < 0.05
    limit = stats.binom.ppf(0.999, 200, 0.05)
    assert all(count <= limit for count in flagged.values()), flagged


@pytest.mark.slow
def test_the_detectable_gain_is_detected():
    """A gain of that size, made by moving the films of the positives, is found in at least 60 % of 24
    draws."""
    found = []
    for n in range(24):
        rng = np.random.default_rng([3, n])
        labels, whose, scores = simulated(rng, 24, gap=1.0)
        draws = resampling.draw(labels, whose, replicates=500)
        bare = resampling.draw(labels, whose, replicates=1)
        logits = np.log(scores / (1 - scores))
        same = [resampling.evaluate(draws, part)["auc"] for part in (scores[:12], scores[12:])]
        size = crossed.contrast(*same).detectable(0.05)
        wanted = same[0].value + size
        shifts = np.linspace(0, 3, 16)
        reached = [
            resampling.evaluate(bare, 1 / (1 + np.exp(-(logits[12:] + shift * labels))))["auc"].value
            for shift in shifts
        ]
        shift = shifts[int(np.searchsorted(reached, wanted))]
        moved = 1 / (1 + np.exp(-(logits[12:] + shift * labels)))
        found.append(crossed.contrast(same[0], resampling.evaluate(draws, moved)["auc"]).p < 0.05)
    assert np.mean(found) >= 0.6


def test_a_table_takes_seconds():
    """Four regimes of twenty seeds and 2,000 films: a third of a table that may take 60 s."""
    rng = np.random.default_rng(0)
    truth = (rng.random(2000) < 0.3).astype(int)
    draws = resampling.draw(truth, np.arange(2000).astype(str))
    start = time.process_time()
    for _ in range(4):
        resampling.evaluate(draws, rng.random((20, 2000)))
    assert time.process_time() - start < 20


def test_a_mean_over_films_has_the_spread_of_its_patients():
    """Patients of one film each: the standard error is that of the textbook. Copies of films add nothing."""
    rng = np.random.default_rng(5)
    values = rng.beta(2, 3, size=(1, 400))
    found = resampling.averages(values, [str(number) for number in range(400)])
    assert found.value == pytest.approx(values.mean())
    textbook = values.std() / 20
    assert found.replicates.std() == pytest.approx(textbook, rel=0.1)
    assert np.sqrt((found.influence**2).sum()) == pytest.approx(textbook)
    twice = resampling.averages(np.repeat(values, 2, axis=1), [str(number // 2) for number in range(800)])
    assert twice.replicates.std() == pytest.approx(found.replicates.std())
    with pytest.raises(MetricError):
        resampling.averages([[np.nan]], ["one"])
