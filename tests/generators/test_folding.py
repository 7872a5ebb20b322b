"""Networks rewritten for inference: batch norm folded into convolutions, the last layer in phases."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from covid_synth_data import generators
from covid_synth_data.generators.folding import PhaseConv, fold_norms, split_phases
from covid_synth_data.generators.trained import load_file
from tests.support import sampler_weights

NETWORKS = {
    "baseline-gan": ({"width": 4, "latent": 8}, 6, 0),
    "wgan": ({"width": 8, "latent": 8}, 4, 0),
    "dcgan": ({"width": 4, "latent": 8}, 3, 1),
    "acgan": ({"width": 4, "latent": 8}, 3, 1),
    "iagan": ({"width": 8}, 23, 0),
    "diffaug-gan": ({"size": 32, "width": 4, "latent": 8}, 0, 0),
}
"""Architecture to options, how many batch norms follow a convolution, how many layers are split."""


def trained(architecture: str) -> nn.Module:
    """A network in evaluation whose norms have seen something."""
    torch.manual_seed(0)
    network = generators.build(architecture, **NETWORKS[architecture][0])
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.1, 2)
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, std=0.3)
    return network.eval()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_same_function_to_rounding(architecture):
    network = trained(architecture)
    given = [torch.randn(3, int(network.latent), generator=torch.Generator().manual_seed(1))]
    if network.classes:
        given.append(torch.tensor([0, 1, 0]))
    other = copy.deepcopy(network)
    assert (fold_norms(other), split_phases(other)) == NETWORKS[architecture][1:]
    with torch.no_grad():
        before, after = network(*given), other(*given)
    assert before.std() > 1e-3
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert (fold_norms(other), split_phases(other)) == (0, 0)


@pytest.mark.parametrize(("side", "padding", "extra", "bias"), [(4, 1, 0, True), (5, 2, 1, False)])
def test_phases_are_the_transposed_convolution(side, padding, extra, bias):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, 1, side, 2, padding, output_padding=extra, bias=bias)
    x = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(PhaseConv(layer)(x), layer(x), rtol=1e-5, atol=1e-5)
    assert split_phases(nn.Sequential(layer)) == 1
    assert split_phases(nn.Sequential(nn.ConvTranspose2d(3, 2, side, 2, padding))) == 0
    assert split_phases(nn.Sequential(nn.ConvTranspose2d(3, 1, side, 2, 0))) == 0


def test_a_norm_after_anything_else_stays():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2))
    assert fold_norms(network) == 0
    assert isinstance(network[2], nn.BatchNorm2d)


def test_a_sampler_is_rewritten_and_makes_the_same_images(tmp_path):
    path = sampler_weights(tmp_path / "dcgan.safetensors")
    sampler = load_file(path, "cpu")
    assert (fold_norms(sampler.network), split_phases(sampler.network)) == (0, 0)
    plain = copy.deepcopy(sampler)
    plain.network = generators.build("dcgan", **sampler.card.options).eval()
    tensors, _ = generators.weights.read(path)
    plain.network.load_state_dict(tensors)
    images, expected = sampler.sample(20).astype(int), plain.sample(20).astype(int)
    assert np.abs(images - expected).max() <= 1
    assert (images == expected).mean() > 0.99
