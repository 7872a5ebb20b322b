"""The networks: shapes, sizes, parameter counts, and the up-sampling trick against the plain layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.generators.cyclegan import PatchCritic, ResNetGenerator, UNetGenerator, UpConv


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 5, 4, 6)])
def test_upconv_is_upsampling_and_a_same_convolution(shape):
    torch.manual_seed(0)
    layer = UpConv(shape[1], 7)
    x = torch.randn(shape)
    plain = nn.functional.conv2d(
        nn.functional.pad(nn.functional.interpolate(x, scale_factor=2), (1, 2, 1, 2)),
        layer.weight,
        layer.bias,
    )
    assert torch.allclose(layer(x), plain, atol=1e-5)
    weight = layer.weight.detach().clone().requires_grad_()
    nn.functional.conv2d(
        nn.functional.pad(nn.functional.interpolate(x, scale_factor=2), (1, 2, 1, 2)),
        weight,
        layer.bias.detach(),
    ).square().sum().backward()
    layer(x).square().sum().backward()
    assert torch.allclose(layer.weight.grad, weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("network", "size"), [(UNetGenerator(8), 64), (ResNetGenerator(4, 2), 36)])
def test_generators_keep_shape_and_range(network, size):
    with torch.no_grad():
        y = network(torch.rand(2, 1, size, size) * 2 - 1)
    assert y.shape == (2, 1, size, size)
    assert y.abs().max() <= 1


def test_the_papers_sizes():
    # width 32: 4x4 convolutions with biases, affine norms
    convs = sum(16 * i * o + o for i, o in [(1, 32), (32, 64), (64, 128), (128, 256)])
    convs += sum(16 * i * o + o for i, o in [(256, 128), (256, 64), (128, 32), (64, 1)])
    norms = 2 * (32 + 64 + 128 + 256 + 128 + 64 + 32)
    assert count(UNetGenerator(32)) == convs + norms
    with torch.no_grad():
        assert PatchCritic(64)(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 16, 16)


def test_resnet_nine_has_the_known_size():
    # Zhu et al.'s has 11,378,179 parameters with 3 channels and without affine norms.
    affine = 2 * (64 + 128 + 256 + 18 * 256 + 128 + 64)
    assert count(ResNetGenerator(64)) - affine == 11_378_179 - 2 * (2 * 49 * 64) - 2


@pytest.mark.parametrize("shape", [(1, 1, 40, 64), (1, 3, 64, 64), (64, 64), (1, 1, 16, 16)])
def test_a_wrong_shape_is_one_line(shape):
    with pytest.raises(ConfigError, match="expected .*height, width"):
        UNetGenerator(4)(torch.zeros(shape))


def test_build_by_name():
    assert isinstance(generators.build("cyclegan-resnet", width=4, blocks=1), ResNetGenerator)
    with pytest.raises(UnknownName, match="did you mean 'cyclegan-unet'"):
        generators.build("cyclegan-unnet")
    with pytest.raises(ConfigError, match="wrong options"):
        generators.build("cyclegan-unet", depth=3)


def test_a_film_depends_on_itself_alone():
    torch.manual_seed(0)
    network = UNetGenerator(8).eval()
    films = torch.rand(3, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        together = network(films)
        alone = torch.cat([network(film[None]) for film in films])
    assert np.allclose(together, alone, atol=1e-5)
