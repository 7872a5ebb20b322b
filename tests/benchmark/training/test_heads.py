"""All seeds at once against one after the other: the same layers, epochs and losses, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark.suite import Training
from covid_synth_data.benchmark.training import fit, heads
from covid_synth_data.errors import DivergedError
from covid_synth_data.files.store import Store

CPU = torch.device("cpu")
WIDTH, SEEDS = 12, (0, 1, 2, 5)
SETTINGS = Training(optimizer="adam", learning_rate=0.03, batch_size=16, max_epochs=60, patience=3)


def feed(folder, negatives, positives, seed, views=0, classes=2):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.zeros(negatives, np.int64), np.ones(positives, np.int64)]
    if classes > 2:
        labels = np.arange(negatives + positives) % classes
    keys = [f"{seed}-{n}" for n in range(len(labels))]
    every = [*keys, *(fit.view_key(key, view) for view in range(1, views + 1) for key in keys)]
    store = Store(folder / f"{seed}-{views}-{classes}", (WIDTH,), np.float32)
    means = np.eye(classes, WIDTH)
    rows = {key: means[labels[n % len(labels)]] + rng.normal(0, 0.8, WIDTH) for n, key in enumerate(every)}
    store.add(every, lambda part: np.array([rows[key] for key in part], np.float32))
    return fit.FeatureFeed(store, keys, labels, CPU, views=views)


def layers(classes=2):
    made = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        made.append(torch.nn.Linear(WIDTH, classes))
    return made


@pytest.mark.parametrize(
    ("optimizer", "sampling", "loss", "views", "classes", "grouped"),
    [
        ("adam", "natural", "plain", 0, 2, False),
        ("adam", "natural", "plain", 0, 2, True),
        ("adam", "class-balanced", "plain", 2, 2, False),
        ("adadelta", "natural", "class-weighted", 0, 2, False),
        ("adam", "natural", "class-weighted", 1, 3, False),
    ],
)
def test_each_seed_learns_what_it_would_alone(tmp_path, optimizer, sampling, loss, views, classes, grouped):
    settings = SETTINGS.model_copy(
        update={"optimizer": optimizer, "learning_rate": 1.0 if optimizer == "adadelta" else 0.03}
    )
    train, validation = feed(tmp_path, 70, 30, 1, views, classes), feed(tmp_path, 40, 20, 2, 0, classes)
    # Each seed has its own films, as where synthetic films are drawn by the seed.
    rows = [np.sort(np.r_[np.random.default_rng(seed).permutation(70)[:60], 70:100]) for seed in SEEDS]
    if classes > 2:
        rows = [np.arange(99)] * len(SEEDS)
    if grouped:
        train.groups = np.arange(len(train.labels)) // 2
    together, alone = layers(classes), layers(classes)
    options = {"sampling": sampling, "loss": loss, "device": CPU}
    found = heads.fit(together, train, rows, validation, settings, seeds=SEEDS, **options)
    for seed, mine, layer, stacked, record in zip(SEEDS, rows, alone, together, found, strict=True):
        own = fit.FeatureFeed.__new__(fit.FeatureFeed)
        own.labels, own.device, own.views = train.labels[mine], CPU, train.views[:, mine]
        own.groups = None if train.groups is None else train.groups[mine]
        expected = fit.fit(layer, own, validation, settings, seed=seed, **options)
        assert (record.epochs, record.best_epoch) == (expected.epochs, expected.best_epoch)
        assert record.validation_loss == pytest.approx(expected.validation_loss, abs=1e-6)
        assert torch.allclose(stacked.weight, layer.weight, atol=1e-5)
        assert torch.allclose(stacked.bias, layer.bias, atol=1e-5)
    assert len({record.epochs for record in found}) > 1  # some stopped before the others


def test_a_seed_that_diverges_is_named(tmp_path):
    train, validation = feed(tmp_path, 20, 10, 1), feed(tmp_path, 20, 10, 2)
    train.views[:] = float("nan")
    with pytest.raises(DivergedError, match="seed 0 diverged in epoch 1"):
        heads.fit(
            layers(),
            train,
            [np.arange(30)] * 4,
            validation,
            SETTINGS,
            sampling="natural",
            seeds=SEEDS,
            device=CPU,
        )
