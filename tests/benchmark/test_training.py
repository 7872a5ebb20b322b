"""The training loop: sampling, early stopping, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark import training
from covid_synth_data.benchmark.suite import Training
from covid_synth_data.errors import DivergedError

CPU = torch.device("cpu")


class Points:
    """Two Gaussian clouds on a line of `gap`."""

    def __init__(self, negatives, positives, gap, seed):
        rng = np.random.default_rng(seed)
        self.labels = np.r_[np.zeros(negatives, np.int64), np.ones(positives, np.int64)]
        self.points = torch.from_numpy(
            rng.normal(gap * self.labels[:, None], 1, (len(self.labels), 2))
        ).float()

    def batch(self, rows, _rng):
        return self.points[rows]


def head(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(2, 2)


def fit(settings, train=None, validation=None, **changes):
    model = head()
    arguments = {"sampling": "natural", "seed": 0, "device": CPU, **changes}
    trained = training.fit(
        model, train or Points(90, 10, 3, 0), validation or Points(30, 10, 3, 1), settings, **arguments
    )
    return model, trained


FAST = Training(optimizer="adam", learning_rate=0.05, batch_size=10, max_epochs=12, patience=3)


def test_the_best_epoch_is_kept():
    model, trained = fit(FAST)
    assert training.validation_loss(model, Points(30, 10, 3, 1), FAST.monitor) == trained.validation_loss
    assert trained.validation_loss < 0.3


def test_training_stops_when_validation_no_longer_improves():
    """Labels of the validation films turned round: every step makes it worse."""
    turned = Points(30, 10, 3, 1)
    turned.labels = 1 - turned.labels
    _, trained = fit(FAST.model_copy(update={"max_epochs": 100}), validation=turned)
    assert trained.epochs == trained.best_epoch + 3 < 20


def test_the_global_generator_of_torch_plays_no_part():
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, _ = fit(FAST)
    torch.rand(3)
    second, _ = fit(FAST)
    assert torch.equal(first.weight, second.weight)
    third, _ = fit(FAST, seed=1)
    assert not torch.equal(first.weight, third.weight)
    torch.random.set_rng_state(state)
    training.fit(
        torch.nn.Linear(2, 2),
        Points(9, 9, 1, 0),
        Points(9, 9, 1, 0),
        FAST,
        sampling="natural",
        seed=0,
        device=CPU,
    )


def test_class_balanced_sampling_finds_more_of_the_rare_class():
    labels = np.r_[np.zeros(90, np.int64), np.ones(10, np.int64)]
    rng = np.random.default_rng(0)
    natural = training.draw_order(labels, "natural", rng)
    balanced = training.draw_order(labels, "class-balanced", rng)
    assert sorted(natural) == list(range(100))
    assert labels[balanced].sum() == 50
    assert set(np.bincount(balanced)[90:]) == {5}
    assert len(set(balanced[labels[balanced] == 0])) == 50
    test = Points(200, 200, 1, 9)
    found = [
        (
            training.probabilities(fit(FAST, train=Points(90, 10, 1, 0), sampling=kind)[0], test)[200:] >= 0.5
        ).mean()
        for kind in ("natural", "class-balanced")
    ]
    assert found[0] + 0.2 < found[1]


def test_the_monitored_losses_differ_under_skew():
    model, _ = fit(FAST)
    skewed = Points(90, 10, 3, 4)
    plain, balanced = (training.validation_loss(model, skewed, kind) for kind in ("loss", "balanced-loss"))
    assert plain != balanced


def test_a_training_that_diverges_says_so():
    points = Points(9, 9, 1, 0)
    points.points[3] = float("nan")
    with pytest.raises(DivergedError, match="epoch 1.*lower the learning rate"):
        fit(FAST, train=points)


def test_adadelta_is_that_of_the_paper():
    _, trained = fit(Training(max_epochs=2))
    assert trained.epochs == 2
