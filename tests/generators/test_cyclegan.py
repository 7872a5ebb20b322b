"""The networks: shapes, sizes, parameter counts, and the up-sampling trick against the plain layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.generators.cyclegan import (
    FilmNorm,
    OriginalUNetGenerator,
    PatchCritic,
    ResNetGenerator,
    ToneUNetGenerator,
    TransposedUpConv,
    UNetGenerator,
    UpConv,
    initialise_glorot,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("kind", [UpConv, TransposedUpConv])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 5, 4, 6)])
def test_upconv_is_upsampling_and_a_same_convolution(shape, kind):
    torch.manual_seed(0)
    layer = kind(shape[1], 7)
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


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (UNetGenerator(8), 64),
        (OriginalUNetGenerator(8), 64),
        (ToneUNetGenerator(8), 128),
        (ResNetGenerator(4, 2), 36),
    ],
)
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


def test_the_tone_generator_starts_at_the_film_itself():
    film = torch.rand(2, 1, 128, 128) * 2 - 1
    with torch.no_grad():
        made = ToneUNetGenerator(8)(film)
    assert (made - film).abs().max() <= 0.0051  # two thirds of a grey level, at black and at white


def test_the_tone_generator_draws_nothing_finer_than_its_maps():
    """However the last layer is set: on a film of one grey the change is linear within cells of 4 pixels."""
    torch.manual_seed(0)
    network = ToneUNetGenerator(8)
    nn.init.normal_(network.last[1].weight, std=0.01)
    with torch.no_grad():
        maps = torch.atanh(network(torch.full((1, 1, 128, 128), 0.5)).double())[0, 0]
    assert maps.std() > 0.01
    # Cell centres lie at 1.5, 5.5, ...: pixels 2 to 5 stand between the same two centres.
    between = maps[2:-2].reshape(31, 4, 128)
    assert between.diff(n=2, dim=1).abs().max() < 1e-4 * maps.std()
    between = maps.T[2:-2].reshape(31, 4, 128)
    assert between.diff(n=2, dim=1).abs().max() < 1e-4 * maps.std()


def test_the_original_has_the_size_of_the_published_code():
    assert count(generators.build("cyclegan-unet-original", width=32)) == 1_542_351
    assert count(PatchCritic(64, "film")) == 2_762_695
    with torch.no_grad():
        assert PatchCritic(64, "film")(torch.zeros(1, 1, 256, 256)).shape == (1, 1, 16, 16)


def test_a_scaled_critic_sees_means_of_pixels():
    torch.manual_seed(0)
    critic, film = PatchCritic(8, scale=4), torch.rand(1, 1, 128, 128)
    blurred = nn.functional.interpolate(nn.functional.avg_pool2d(film, 4), scale_factor=4)
    with torch.no_grad():
        assert critic(film).shape == (1, 1, 2, 2)
        assert torch.allclose(critic(film), critic(blurred), atol=1e-5)
    with pytest.raises(ConfigError, match="multiples of 64"):
        critic(torch.rand(1, 1, 96, 96))


def test_film_norm_takes_all_values_of_a_film_together():
    """Against the definition: epsilon is added to the standard deviation; one scale and one shift."""
    random = np.random.default_rng(0)
    x = random.normal(2, 0.05, (3, 4, 5, 6)) * np.arange(1, 5)[:, None, None]
    norm = FilmNorm()
    norm.weight.data.fill_(1.5)
    norm.bias.data.fill_(0.25)
    y = norm(torch.from_numpy(x).float()).detach().numpy()
    for film, made in zip(x, y, strict=True):
        assert np.allclose(made, 1.5 * (film - film.mean()) / (film.std() + 1e-3) + 0.25, atol=1e-5)
    assert sum(p.numel() for p in norm.parameters()) == 2


def test_film_norms_gradient():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    norm = FilmNorm().double()
    norm.weight.data.fill_(0.7)
    reference = (
        norm.weight
        * (x - x.mean((1, 2, 3), keepdim=True))
        / (x.std((1, 2, 3), correction=0, keepdim=True) + norm.epsilon)
        + norm.bias
    )
    target = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    wrt = (x, norm.weight, norm.bias)
    expected = torch.autograd.grad((reference * target).sum(), wrt)
    found = torch.autograd.grad((norm(x) * target).sum(), wrt)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_constant_film_has_a_gradient():
    x = torch.full((1, 2, 4, 4), 3.0, requires_grad=True)
    FilmNorm()(x).square().sum().backward()
    assert torch.isfinite(x.grad).all()


def test_glorot_weights_fill_keras_bounds():
    torch.manual_seed(0)
    network = OriginalUNetGenerator(32)
    initialise_glorot(network)
    for layer, fans in ((network.down2[0], 32 + 64), (network.up1[0], 256 + 128), (network.last, 64 + 1)):
        bound = (6 / (16 * fans)) ** 0.5
        largest = layer.weight.abs().max().item()
        assert 0.97 * bound < largest <= bound
        assert layer.bias.abs().max() == 0
    assert network.up1[2].weight == 1


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
