"""Two classifiers whose scores are added, and stages of one classifier."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.training import added
from covid_synth_data.benchmark.training.fit import Trained
from covid_synth_data.errors import ConfigError
from covid_synth_data.metrics import detection


def films(labels, patients, classes=("normal", "covid-19")):
    names = [f"{n}" for n in range(len(labels))]
    return Films(names, np.array(labels), list(patients), classes, classes[-1])


def test_the_second_half_borrows_real_films_of_the_class_that_it_lacks():
    real, second = added.halves(films([0, 0, 1, 1, 1], ["a", "b", "c", "", ""]))
    assert (real.ids, second.ids) == (["0", "1", "2"], ["0", "1", "3", "4"])


def test_a_second_half_with_both_classes_borrows_nothing():
    _, second = added.halves(films([0, 1, 0, 1], ["a", "b", "", ""]))
    assert second.ids == ["2", "3"]


def test_more_than_two_classes_are_refused():
    with pytest.raises(ConfigError, match="two classes"):
        added.halves(films([0, 1, 2], ["a", "b", ""], ("normal", "pneumonia", "covid-19")))


def probabilities(scores):
    positive = 1 / (1 + np.exp(-scores))
    return np.stack([1 - positive, positive], 1)


def test_the_sum_knows_what_either_knows():
    rng = np.random.default_rng(0)
    labels = {part: np.arange(400) % 2 for part in ("validation", "test")}

    # The second is a hundred times as sure of itself; standardised, both count alike.
    def classifier(scale):
        scores = {part: scale * (label + rng.normal(0, 1, 400)) for part, label in labels.items()}
        return Trained(5, 3, 0.5), {part: probabilities(found) for part, found in scores.items()}

    one, two = classifier(0.05), classifier(5.0)
    trained, found = added.add([one, two], labels)
    aucs = [detection.auc(labels["test"], given["test"][:, 1]) for given in (one[1], two[1], found)]
    assert aucs[2] > max(aucs[:2]) + 0.03
    assert (trained.epochs, trained.best_epoch) == (10, 6)
    assert 0 < trained.validation_loss < np.log(2)
    np.testing.assert_allclose(found["test"].sum(axis=1), 1)
    assert abs(found["validation"][:, 1].mean() - 0.5) < 0.02


def test_classifiers_that_are_sure_stay_finite():
    sure = (Trained(1, 1, 0.0), dict.fromkeys(("validation", "test"), np.eye(2)[[0, 1, 0, 1]]))
    trained, found = added.add([sure, sure], dict.fromkeys(("validation", "test"), np.array([0, 1, 0, 1])))
    assert np.isfinite(found["test"]).all()
    assert np.isfinite(trained.validation_loss)


def test_stages_are_synthetic_films_and_then_real_ones():
    train = films([0, 0, 1, 1, 1], ["a", "b", "c", "", ""])
    assert [stage.ids for stage in added.stages(train, "films")] == [train.ids]
    assert [stage.ids for stage in added.stages(train, "fine-tune")] == [
        ["0", "1", "3", "4"],
        ["0", "1", "2"],
    ]


def test_epochs_of_stages_are_counted_on():
    first, second = Trained(5, 3, 0.4), Trained(7, 2, 0.6)
    assert added.total([first]) == first
    assert added.total([first, second]) == Trained(12, 7, 0.6)
    assert added.total([first, second, Trained(4, 1, 0.5)]) == Trained(16, 13, 0.5)
