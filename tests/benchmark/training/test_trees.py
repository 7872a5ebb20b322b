"""Learners without epochs: bagged trees and logistic regression on fixed features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark.training import trees
from covid_synth_data.benchmark.training.fit import FeatureFeed, view_key
from covid_synth_data.files.store import Store

CPU = torch.device("cpu")


def clouds(counts, seed, gap=1.5, width=6):
    """Features (n, width) and labels: a Gaussian cloud per class, each away along its own axis."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    features = np.random.default_rng(seed).normal(0, 1, (len(labels), width))
    features[np.arange(len(labels)), labels] += gap
    return features.astype(np.float32), labels


def feed(folder, counts, seed, views=0):
    features, labels = clouds(counts, seed)
    keys = [f"{seed}-{row}" for row in range(len(labels))]
    store = Store(folder, (features.shape[1],), np.float32)
    store.add(keys, lambda part: features[[keys.index(key) for key in part]])
    for view in range(1, views + 1):
        names = [view_key(key, view) for key in keys]
        store.add(names, lambda part, names=names: features[[names.index(key) for key in part]] + 0.1)
    return FeatureFeed(store, keys, labels, CPU, views=views)


@pytest.mark.parametrize("learner", ["trees", "logistic"])
@pytest.mark.parametrize("sampling", ["natural", "class-balanced"])
def test_the_seed_alone_decides(learner, sampling):
    features, labels = clouds((80, 20), 0)
    test, _ = clouds((30, 30), 1)

    def found(seed, threads=1):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            fitted = trees.fit_features(
                features, labels, classes=2, seed=seed, learner=learner, sampling=sampling
            )
        finally:
            torch.set_num_threads(before)
        return fitted.predict(test)

    first = found(0)
    np.random.seed(7)  # noqa: NPY002
    assert np.array_equal(first, found(0, threads=2))
    drawn = learner == "trees" or sampling == "class-balanced"
    assert np.array_equal(first, found(1)) != drawn


@pytest.mark.parametrize("learner", ["trees", "logistic"])
def test_more_than_two_classes_and_one_that_never_occurs(learner):
    features, labels = clouds((60, 60, 60), 0, gap=3)
    test, expected = clouds((40, 40, 40), 1, gap=3)
    found = trees.fit_features(features, labels, classes=3, seed=0, learner=learner).predict(test)
    assert found.shape == (120, 3)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == expected).mean() > 0.85
    some = labels != 1
    less = trees.fit_features(features[some], labels[some], classes=4, seed=0, learner=learner).predict(test)
    assert less.shape == (120, 4)
    assert not less[:, [1, 3]].any()
    assert np.allclose(less.sum(axis=1), 1)


@pytest.mark.parametrize("learner", ["trees", "logistic"])
@pytest.mark.parametrize("change", [{"sampling": "class-balanced"}, {"loss": "class-weighted"}])
def test_what_is_done_about_the_imbalance_is_done(learner, change):
    """With ten times the negatives both find more of the rare class."""
    features, labels = clouds((400, 40), 0, gap=1.0)
    test, _ = clouds((1, 300), 1, gap=1.0)
    plain, changed = (
        (
            trees.fit_features(features, labels, classes=2, seed=0, learner=learner, **kind).predict(test)[
                1:, 1
            ]
            >= 0.5
        ).mean()
        for kind in ({}, change)
    )
    assert plain + (0.05 if learner == "trees" else 0.3) < changed


@pytest.mark.parametrize("learner", ["trees", "logistic"])
def test_feeds_go_in_with_their_variants_and_the_record_is_of_one_epoch(tmp_path, learner):
    train = feed(tmp_path, (40, 20, 20), 0, views=2)
    validation, test = feed(tmp_path, (10, 5, 5), 1), feed(tmp_path, (10, 10, 10), 2)
    fitted, trained = trees.fit(train, validation, classes=3, seed=0, learner=learner)
    assert (trained.epochs, trained.best_epoch) == (1, 1)
    found = trees.class_probabilities(fitted, test)
    assert found.shape == (30, 3)
    features, labels = train.matrix()
    assert len(features) == 3 * 80
    by_hand = trees.fit_features(features, labels, classes=3, seed=0, learner=learner)
    assert np.array_equal(found, by_hand.predict(clouds((10, 10, 10), 2)[0]))
    right = trees.class_probabilities(fitted, validation)[np.arange(20), validation.labels]
    losses = -np.log(np.maximum(right, 0.05))
    expected = np.mean([losses[validation.labels == value].mean() for value in range(3)])
    assert trained.validation_loss == pytest.approx(expected)
    _, plain = trees.fit(train, validation, classes=3, seed=0, learner=learner, monitor="loss")
    assert plain.validation_loss == pytest.approx(losses.mean())


def test_validation_films_choose_nothing(tmp_path):
    train = feed(tmp_path, (40, 20), 0)
    test = feed(tmp_path, (30, 30), 2)
    found = [
        trees.class_probabilities(trees.fit(train, feed(tmp_path, counts, seed), classes=2, seed=0)[0], test)
        for counts, seed in (((10, 5), 1), ((3, 9), 5))
    ]
    assert np.array_equal(*found)
