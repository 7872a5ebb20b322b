"""The metrics of K classes against hand counts, scikit-learn, brute force and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import detection, multiclass

CLASSES = ["normal", "bacterial", "covid-19"]
LABELS = [0, 0, 0, 1, 1, 2, 2, 2]
PROBABILITIES = [
    [0.8, 0.1, 0.1],
    [0.5, 0.3, 0.2],
    [0.2, 0.2, 0.6],
    [0.3, 0.6, 0.1],
    [0.5, 0.4, 0.1],
    [0.1, 0.1, 0.8],
    [0.2, 0.1, 0.7],
    [0.4, 0.35, 0.25],
]
PATIENTS = ["a", "a", "b", "c", "d", "e", "f", "f"]


@pytest.fixture(scope="module")
def films():
    """Labels, probabilities and patients of 150 films of 60 patients, four classes, no perfect answer."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, 150)
    scores = rng.normal(size=(150, 4)) + 1.2 * np.eye(4)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels, probabilities, [f"p{n}" for n in rng.integers(0, 60, 150)]


def evaluate(**changed):
    arguments = {"labels": LABELS, "probabilities": PROBABILITIES, "patients": PATIENTS, "classes": CLASSES}
    return multiclass.evaluate(**{**arguments, **changed}, replicates=200)


def test_counts_by_hand():
    found = evaluate()
    assert found.confusion == [[2, 0, 1], [1, 1, 0], [1, 0, 2]]
    assert (found.accuracy.count, found.accuracy.n, found.patients) == (5, 8, 6)
    covid = found.per_class["covid-19"]
    assert (covid.sensitivity.count, covid.sensitivity.n, covid.films) == (2, 3, 3)
    assert (covid.specificity.count, covid.specificity.n) == (4, 5)
    assert (covid.precision.count, covid.precision.n) == (2, 3)
    assert found.macro_sensitivity.value == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert list(found.per_class) == found.classes == CLASSES
    assert covid.sensitivity == detection.proportion(2, 3)


def test_a_class_that_is_never_called_has_no_precision():
    labels, probabilities = [0, 1, 2], [[0.6, 0.2, 0.2], [0.2, 0.3, 0.5], [0.1, 0.2, 0.7]]
    found = multiclass.evaluate(labels, probabilities, ["a", "b", "c"], CLASSES, replicates=50)
    assert found.per_class["bacterial"].precision is None
    assert found.per_class["bacterial"].f1 == 0
    assert found.per_class["covid-19"].precision.n == 2


def test_the_first_of_equal_probabilities_is_called():
    assert multiclass.confusion([0, 1], [[0.5, 0.5], [0.5, 0.5]]).tolist() == [[1, 0], [1, 0]]


def test_agrees_with_scikit_learn(films):
    labels, probabilities, patients = films
    found = multiclass.evaluate(labels, probabilities, patients, list("abcd"), replicates=50)
    called = probabilities.argmax(axis=1)
    assert found.confusion == sk.confusion_matrix(labels, called).tolist()
    assert found.accuracy.value == pytest.approx(sk.accuracy_score(labels, called))
    assert found.macro_f1.value == pytest.approx(sk.f1_score(labels, called, average="macro"))
    assert found.macro_sensitivity.value == pytest.approx(sk.balanced_accuracy_score(labels, called))
    for average, value in (("macro", found.macro_auc.value), ("micro", found.micro.auc.value)):
        assert value == pytest.approx(
            sk.roc_auc_score(labels, probabilities, multi_class="ovr", average=average)
        )
    for k, name in enumerate("abcd"):
        one = found.per_class[name]
        assert one.auc.value == pytest.approx(sk.roc_auc_score(labels == k, probabilities[:, k]))
        assert one.precision.value == pytest.approx(sk.precision_score(labels == k, called == k))


def test_two_classes_are_those_of_detection(films):
    labels, probabilities, patients = films
    truth, scores = labels % 2, probabilities[:, 1] + probabilities[:, 3]
    both = multiclass.evaluate(truth, np.stack([1 - scores, scores], 1), patients, ["no", "yes"])
    single = detection.evaluate(truth, scores, patients)
    assert both.per_class["yes"].sensitivity == single.sensitivity
    assert both.per_class["yes"].specificity == single.specificity
    assert both.accuracy == single.accuracy
    assert both.per_class["yes"].auc.value == pytest.approx(single.auc.value)
    assert both.per_class["yes"].auc.low == pytest.approx(single.auc.low, abs=0.02)


def test_intervals_are_those_of_films_repeated_outright(films):
    """Each replicate again, one after the other, with scikit-learn on the drawn films."""
    labels, probabilities, patients = films
    group = detection.patient_numbers(patients, len(labels))
    fast = multiclass._bootstrap(labels, probabilities, group, np.random.default_rng(1), 20)
    strata = multiclass._strata(labels, group, 4)
    times = detection.draw_patients(strata, np.random.default_rng(1), 20).astype(int)
    for n, drawn in enumerate(times):
        films = np.repeat(np.arange(len(labels)), drawn[group])
        truth, scores = labels[films], probabilities[films]
        expected = {
            "macro": sk.roc_auc_score(truth, scores, multi_class="ovr", average="macro"),
            "micro": sk.roc_auc_score(truth, scores, multi_class="ovr", average="micro"),
            "f1": sk.f1_score(truth, scores.argmax(axis=1), average="macro"),
            "sensitivity": sk.balanced_accuracy_score(truth, scores.argmax(axis=1)),
            "auc 2": sk.roc_auc_score(truth == 2, scores[:, 2]),
        }
        assert {name: fast[name][n] for name in expected} == pytest.approx(expected)


def test_strata_keep_every_class_in_every_replicate():
    labels, patients = np.array([0, 0, 1, 2, 1]), ["a", "b", "c", "d", "a"]
    strata = multiclass._strata(labels, detection.patient_numbers(patients, 5), 3)
    assert sorted(part.tolist() for part in strata) == [[0], [1], [2], [3]]


def test_intervals_are_seeded_and_wider_when_films_share_patients(films):
    labels, probabilities, _ = films
    apart = [str(n) for n in range(150)]
    order = np.argsort(labels, kind="stable")
    arguments = labels[order], np.repeat(probabilities[order][::5], 5, axis=0)
    one = multiclass.evaluate(*arguments, apart, list("abcd"))
    assert one == multiclass.evaluate(*arguments, apart, list("abcd"))
    assert one != multiclass.evaluate(*arguments, apart, list("abcd"), seed=1)
    together = multiclass.evaluate(*arguments, [str(n // 5) for n in range(150)], list("abcd"))
    for name in ("macro_auc", "macro_f1", "macro_sensitivity"):
        wide, narrow = getattr(together, name), getattr(one, name)
        assert wide.value == narrow.value
        assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)
        assert narrow.low < narrow.value < narrow.high


def test_specificity_at_sensitivity_by_hand():
    labels = [1, 1, 1, 1, 0, 0, 0, 0, 0]
    scores = [0.9, 0.7, 0.4, 0.1, 0.8, 0.7, 0.3, 0.2, 0.0]
    point = multiclass.specificity_at_sensitivity(labels, scores)
    assert (point.threshold, point.sensitivity, point.specificity.count) == (0.7, 0.5, 3)
    assert multiclass.specificity_at_sensitivity(labels, scores, 0.6).threshold == 0.4
    assert multiclass.specificity_at_sensitivity(labels, scores, 1.0).specificity.count == 1


def test_specificity_at_sensitivity_is_the_best_of_the_roc_curve(films):
    labels, probabilities, patients = films
    found = multiclass.evaluate(labels, probabilities, patients, list("abcd"), replicates=50)
    flat, pooled = np.eye(4)[labels].ravel(), probabilities.ravel()
    false, true, _ = sk.roc_curve(flat, pooled, drop_intermediate=False)
    assert found.micro.specificity_at_sensitivity == pytest.approx(1 - false[true >= 0.5].min())
    assert found.micro.precision == pytest.approx(sk.precision_score(flat, pooled >= 0.5))
    false, true, _ = sk.roc_curve(labels == 1, probabilities[:, 1], drop_intermediate=False)
    point = found.per_class["b"].specificity_at_sensitivity
    assert point.specificity.value == pytest.approx(1 - false[true >= 0.5].min())


def test_it_survives_json():
    found = evaluate()
    assert multiclass.Multiclass.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"labels": LABELS[:-1]}, r"shapes \(7,\) and \(8, 3\)"),
        ({"probabilities": [0.5] * 8}, r"\(n, K\)"),
        ({"probabilities": [[1.0]] * 8}, "K of 2 or more"),
        ({"labels": [], "probabilities": np.zeros((0, 3)), "patients": []}, "n of 1 or more"),
        ({"probabilities": [[0.2, np.nan, 0.8], *PROBABILITIES[1:]]}, "unusable; found .*nan.* in row 0"),
        ({"probabilities": [*PROBABILITIES[:-1], [1.5, -0.5, 0.0]]}, "in row 7"),
        ({"probabilities": [*PROBABILITIES[:-1], [0.4, 0.4, 0.4]]}, "do not sum to 1; found 1.2 in row 7"),
        ({"labels": [*LABELS[:-1], 3]}, r"no class; found \[3\]; expected whole numbers from 0 to 2"),
        ({"labels": [*LABELS[:-1], 0.5]}, "no class"),
        ({"labels": [0, 0, 0, 1, 1, 1, 1, 1]}, r"has no film; found none with label \[2\]"),
        ({"classes": CLASSES[:2]}, "2 names for 3 columns"),
        ({"classes": ["a", "b", "a"]}, "no name twice"),
        ({"patients": PATIENTS[:-1]}, "found 7 patients; expected 8"),
    ],
)
def test_bad_input(changed, text):
    with pytest.raises(MetricError, match=text):
        evaluate(**changed)


@pytest.mark.parametrize(
    ("scores", "target", "text"),
    [
        ([0.1, 0.2], 0.0, "no such sensitivity"),
        ([0.1, 0.2], 1.1, "no such sensitivity"),
        ([[0.1, 0.9], [0.5, 0.5]], 0.5, "no probabilities of one class"),
        ([0.1, 1.2], 0.5, "unusable"),
    ],
)
def test_bad_input_of_specificity_at_sensitivity(scores, target, text):
    with pytest.raises(MetricError, match=text):
        multiclass.specificity_at_sensitivity([0, 1], scores, target)
