"""The U-Net: its shape, that it learns, that it is the same again, and who chooses the epoch."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark.segmentation import training
from covid_synth_data.benchmark.suite.segmentation import Network, Training
from covid_synth_data.ct import phantom
from covid_synth_data.errors import DivergedError

TINY = Network(name="unet", channels=[2, 4, 8])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pairs() -> training.Pairs:
    images, masks = phantom.arrays(size=64, patients=2, slices=6)
    return training.Pairs(np.rint(images[:, 0] * 255).astype(np.uint8), masks)


def fit(network, train, validation, seed=0, **settings):
    epochs: list[int] = []
    chosen = Training(**{"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, **settings})
    fitted = training.fit(network, train, validation, chosen, seed=seed, device=CPU, advance=epochs.append)
    assert epochs == list(range(1, chosen.epochs + 1))
    return fitted


@pytest.mark.parametrize(
    "settings",
    [
        TINY,
        Network(name="unet", channels=[2, 4], residual_units=1, norm="instance"),
        Network(name="basic-unet", channels=[2, 2, 4, 4, 4]),
    ],
)
def test_logits_of_four_classes_at_full_size(settings) -> None:
    network = training.build(settings, 0)
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 4, 64, 64)


def test_the_same_seed_builds_and_trains_the_same_network(pairs) -> None:
    state = torch.get_rng_state()
    weights = []
    for seed in (0, 0, 1):
        network = training.build(TINY, seed)
        fit(network, pairs, pairs, seed)
        weights.append(network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("loss", ["dice-cross-entropy", "dice", "cross-entropy"])
def test_it_learns_to_tell_the_lung_from_the_rest(pairs, loss) -> None:
    network = training.build(Network(name="unet", channels=[4, 8, 16]), 0)
    fit(network, pairs, pairs, epochs=12, batch_size=2, learning_rate=2e-2, loss=loss, optimizer="adamw")
    found = training.predict(network, pairs.images, CPU)
    right = ((found > 0) == (pairs.masks > 0)).mean()
    assert right > max(0.85, (pairs.masks == 0).mean())


def test_validation_slices_choose_the_epoch(pairs, monkeypatch) -> None:
    """Of the Dice of five epochs the last of the highest is kept, with the weights of that epoch."""
    scores = iter([0.1, 0.4, 0.2, 0.4, 0.3])
    network = training.build(TINY, 0)
    seen = []

    def dice(truth, found):
        assert truth is pairs.masks
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(training, "dice", dice)
    fitted = fit(network, pairs, pairs, epochs=5)
    assert fitted == training.Fitted(epochs=5, best_epoch=4, validation_dice=0.4)
    kept = network.state_dict()
    assert all(torch.equal(kept[name], seen[3][name]) for name in kept)
    assert any(not torch.equal(kept[name], seen[4][name]) for name in kept)


def test_no_test_slice_can_be_given_to_a_training() -> None:
    names = set(inspect.signature(training.fit).parameters)
    assert names == {"network", "train", "validation", "settings", "seed", "device", "advance"}


def test_the_mean_dice_is_of_what_there_is() -> None:
    truth = np.array([[[1, 2], [2, 0]]], np.uint8)
    # No consolidation in truth: ground glass 1.0 and infection 1.0, whatever else.
    assert training.dice(truth, truth) == 1.0
    assert training.dice(truth, np.zeros_like(truth)) == 0.0
    assert training.dice(np.ones_like(truth), truth) == 0.0
    half = np.array([[[1, 2], [3, 0]]], np.uint8)
    assert training.dice(truth, half) == pytest.approx((2 / 3 + 1) / 2)


def test_divergence_is_said(pairs) -> None:
    network = training.build(TINY, 0)
    with torch.no_grad():
        next(iter(network.parameters())).fill_(float("nan"))
    with pytest.raises(DivergedError, match="the U-Net diverged; found a loss of"):
        fit(network, pairs, pairs)
