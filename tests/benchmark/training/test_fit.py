"""The training loop: sampling, early stopping, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark.suite import Training, load_classifiers
from covid_synth_data.benchmark.suite.classification import Plateau
from covid_synth_data.benchmark.training import fit as training
from covid_synth_data.errors import DivergedError
from covid_synth_data.files.store import Store

CPU = torch.device("cpu")


class Points:
    """Two Gaussian clouds on a line of `gap`."""

    groups = None

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


def three(seed, counts=(60, 25, 5), gap=3.0):
    """Clouds around the corners of a triangle."""
    points = Points(1, 1, gap, seed)
    points.labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    corners = gap * np.array([[0, 0], [1, 0], [0, 1]])
    noise = np.random.default_rng(seed).normal(0, 1, (len(points.labels), 2))
    points.points = torch.from_numpy(corners[points.labels] + noise).float()
    return points


def test_three_classes_are_learned_and_their_probabilities_sum_to_one():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 3)
    settings = FAST.model_copy(update={"max_epochs": 40})
    training.fit(model, three(0), three(1), settings, sampling="class-balanced", seed=0, device=CPU)
    test = three(2, (50, 50, 50))
    found = training.class_probabilities(model, test)
    assert found.shape == (150, 3)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == test.labels).mean() > 0.8
    assert np.array_equal(training.probabilities(model, test), found[:, 1])


def test_balanced_sampling_and_loss_treat_all_classes_alike():
    labels = three(0).labels
    order = training.draw_order(labels, "class-balanced", np.random.default_rng(0))
    assert np.bincount(labels[order]).tolist() == [30, 30, 30]
    gone = np.where(labels == 1, 2, labels)  # the middle class does not occur
    order = training.draw_order(gone, "class-balanced", np.random.default_rng(0))
    assert np.bincount(gone[order]).tolist() == [45, 0, 45]
    losses = np.array([1.0, 5.0, 4.0, 4.0])
    assert training.monitored(losses, np.array([0, 0, 2, 1]), "balanced-loss") == (3 + 4 + 4) / 3
    assert training.monitored(losses, np.array([0, 0, 2, 2]), "balanced-loss") == 3.5
    assert training.monitored(losses, np.array([0, 0, 2, 2]), "loss") == 3.5


def test_film_weights_are_the_balanced_rule():
    from sklearn.utils.class_weight import compute_sample_weight

    for labels in (three(0).labels, np.array([2, 0, 2, 2])):
        weights = training.film_weights(labels)
        assert np.allclose(weights, compute_sample_weight("balanced", labels))
        assert weights.mean() == pytest.approx(1)


def test_a_class_weighted_step_is_that_of_the_weighted_mean_over_the_films():
    """Also for a batch without the rare class, whose films then count for as little as their class says."""
    train = Points(90, 10, 1, 0)
    settings = FAST.model_copy(update={"max_epochs": 1, "batch_size": 100})
    model, _ = fit(settings, train=train, loss="class-weighted")
    by_hand = head()
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=settings.learning_rate)
    order = np.random.default_rng([0, 1]).permutation(100)
    labels = torch.from_numpy(train.labels[order])
    weights = torch.tensor([100 / 180, 100 / 20])
    each = torch.nn.functional.cross_entropy(by_hand(train.points[order]), labels, reduction="none")
    (each * weights[labels]).mean().backward()
    optimizer.step()
    assert torch.allclose(model.weight, by_hand.weight, atol=1e-6)
    assert not torch.equal(model.weight, fit(settings, train=train)[0].weight)


def test_the_class_weighted_loss_finds_more_of_the_rare_class():
    test = Points(200, 200, 1, 9)
    found = [
        (
            training.probabilities(fit(FAST, train=Points(90, 10, 1, 0), loss=loss)[0], test)[200:] >= 0.5
        ).mean()
        for loss in ("plain", "class-weighted")
    ]
    assert found[0] + 0.2 < found[1]


def test_a_feed_of_features_gives_films_and_their_variants(tmp_path):
    keys = ["a", "b", "c"]
    names = [*keys, *(training.view_key(key, view) for key in keys for view in (1, 2))]
    store = Store(tmp_path, (1,), np.float32)
    store.add(names, lambda part: np.array([[names.index(name)] for name in part], np.float32))
    labels = np.array([0, 1, 2])
    feed = training.FeatureFeed(store, keys, labels, CPU, views=2)
    assert feed.batch(np.array([2, 0]), None)[:, 0].tolist() == [2, 0]
    expected = {0: {0, 3, 4}, 1: {1, 5, 6}, 2: {2, 7, 8}}
    rng = np.random.default_rng(0)
    drawn = [feed.batch(np.array([0, 1, 2]), rng)[:, 0].tolist() for _ in range(50)]
    assert {row: {batch[row] for batch in drawn} for row in range(3)} == expected
    features, classes = feed.matrix()
    assert features[:, 0].tolist() == [0, 1, 2, 3, 5, 7, 4, 6, 8]
    assert classes.tolist() == [0, 1, 2] * 3


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


@pytest.mark.parametrize("films", [40, 90, 250])
def test_an_epoch_of_a_fixed_number_of_films(films):
    labels = three(0).labels
    order = training.draw_order(labels, "natural", np.random.default_rng(0), films)
    often = np.bincount(order, minlength=len(labels))
    assert len(order) == films
    assert often.max() - often.min() <= 1
    balanced = training.draw_order(labels, "class-balanced", np.random.default_rng(0), films)
    assert np.bincount(labels[balanced]).tolist() == [films // 3] * 3


def test_regimes_of_all_sizes_take_equal_steps():
    """With `epoch_films` ten times the films are as many batches; without it, ten times as many."""

    class Counted(Points):
        def batch(self, rows, rng):
            seen.append((len(rows), rng is None))
            return super().batch(rows, rng)

    steps = {}
    for films, per_epoch in [(50, 20), (500, 20), (500, None)]:
        seen: list[tuple[int, bool]] = []
        settings = FAST.model_copy(update={"epoch_films": per_epoch, "max_epochs": 3, "patience": 3})
        fit(settings, train=Counted(films, films, 1, 0))
        steps[films, per_epoch] = [count for count, validated in seen if not validated]
    assert steps[50, 20] == steps[500, 20] == [10, 10] * 3
    assert len(steps[500, None]) == 300


def test_epoch_films_are_part_of_the_rule_only_where_they_are_given():
    assert "epoch_films" not in FAST.rule()
    assert FAST.model_copy(update={"epoch_films": 8}).rule() == {**FAST.rule(), "epoch_films": 8}


def test_the_learning_rate_falls_on_plateaus_as_in_keras():
    """Losses that never fall again: the rate is cut after each `patience` epochs, and never below `least`."""

    class Blind(Points):
        """Validation films that no training changes the loss of: there is nothing to see in them."""

        def batch(self, rows, rng):
            return super().batch(rows, rng) * 0

    rates = []

    class Watched(torch.optim.Adam):
        def step(self, *args):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args)

    plateau = Plateau(factor=0.1, patience=2, least=1e-3)
    settings = FAST.model_copy(update={"max_epochs": 9, "patience": 9, "plateau": plateau, "batch_size": 100})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(training.OPTIMIZERS, "adam", Watched)
        model = torch.nn.Linear(2, 2, bias=False)
        arguments = {"sampling": "natural", "seed": 0, "device": CPU}
        training.fit(model, Points(50, 50, 3, 0), Blind(30, 10, 3, 1), settings, **arguments)
    # Epoch 1 sets the loss to beat; epochs 2 and 3 do not; the rate of epoch 4 is a tenth.
    assert rates == pytest.approx([0.05] * 3 + [0.005] * 2 + [0.001] * 4)


def test_the_schedule_of_zunair2021():
    suite = load_classifiers("zunair2021")
    for model in ("vgg16", "resnet50", "densenet121"):
        assert suite.training_of(model).plateau == Plateau(factor=0.1, patience=5, least=1e-8)
    assert suite.training_of("lite0-frozen").plateau is None
    assert "plateau" not in suite.training_of("lite0-frozen").rule()


def test_films_of_one_group_follow_each_other():
    groups = np.repeat(np.arange(30), [1, 2, 3] * 10)
    labels = np.zeros(60, np.int64)
    orders = [
        training.draw_order(labels, "natural", np.random.default_rng(n), None, groups) for n in range(5)
    ]
    for order in orders:
        assert sorted(order) == list(range(60))
        changes = np.flatnonzero(np.diff(groups[order])) + 1
        assert len(changes) == 29  # each group is one run
    assert len({tuple(order) for order in orders}) == 5
    # The order within a group changes too: a painted film does not always come after its host.
    assert len({tuple(order[groups[order] == 2]) for order in orders}) > 1
