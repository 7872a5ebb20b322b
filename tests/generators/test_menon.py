"""menon2020, Sect. IV.C: the layers as described, their counts, and the range of films."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.menon import MenonDiscriminator, MenonGenerator
from tests.generators.network_checks import (
    alone_as_together,
    gradients_flow,
    keras_count,
    output_shapes,
    same_in_channels_last,
    trained_count,
    warm_up,
    works_in_autocast,
)


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return MenonGenerator(4)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return MenonDiscriminator(4)


@pytest.fixture
def z():
    return torch.randn(3, 100, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def films():
    return torch.rand(3, 1, 128, 128, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_counts_worked_out_by_hand():
    deconv, norm = 16 * 128 * 128 + 128, 2 * 128
    dense = 100 * 128 * 256 + 128 * 256
    last = 9 * 128 + 1
    wanted = dense + 3 * (5 * deconv + 2 * norm) + last
    generator = MenonGenerator()
    assert trained_count(generator) == wanted == 7_246_337
    assert keras_count(generator) == wanted + 3 * 2 * norm
    convs = [
        (1, 64),
        (64, 64),
        (64, 64),
        (64, 128),
        (128, 128),
        (128, 128),
        (128, 256),
        (256, 256),
        (256, 256),
    ]
    wanted = sum(9 * i * o + o for i, o in convs) + 256 * 16 * 16 + 1
    assert trained_count(MenonDiscriminator()) == wanted == 1_984_385


def test_the_papers_shapes():
    generator, discriminator = MenonGenerator(), MenonDiscriminator()
    z, films = torch.zeros(1, 100), torch.zeros(1, 1, 128, 128)
    kinds = (nn.Linear, nn.ConvTranspose2d, nn.Conv2d)
    blocks = [(128, side, side) for side in (32, 64, 128) for _ in range(5)]
    assert output_shapes(generator, kinds, z) == [(128 * 16 * 16,), *blocks, (1, 128, 128)]
    maps = [(width, side, side) for width, side in ((64, 64), (128, 32), (256, 16)) for _ in range(3)]
    assert output_shapes(discriminator, kinds, films) == [*maps, (1,)]


def test_the_papers_other_layers():
    generator, discriminator = MenonGenerator(2), MenonDiscriminator(2)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all(m.momentum == pytest.approx(1 - 0.8) and m.eps == 1e-3 for m in norms)
    kernels = [m.kernel_size for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert kernels == [(4, 4)] * 15 + [(3, 3)]
    layers = list(discriminator.layers)
    assert [layers[i].p for i in (6, 13, 20)] == [0.4] * 3
    assert [m.stride[0] for m in layers if isinstance(m, nn.Conv2d)] == [2, 1, 1] * 3
    assert [m.negative_slope for m in layers if isinstance(m, nn.LeakyReLU)] == [0.2] * 9


def test_a_deconvolution_of_stride_one_is_computed_as_a_convolution():
    torch.manual_seed(0)
    pad, conv = MenonGenerator(3).blocks[0][1].body[0]
    x = torch.randn(2, 3, 9, 9)
    turned = conv.weight.flip(2, 3).transpose(0, 1)
    # "Same" keeps the size: of the three rows that a 4x4 kernel adds, the first and the last two go.
    deconv = nn.functional.conv_transpose2d(x, turned, conv.bias)[:, :, 1:-2, 1:-2]
    assert torch.allclose(conv(pad(x)), deconv, atol=1e-5)


def test_a_residual_block_adds_to_its_input():
    torch.manual_seed(0)
    block = MenonGenerator(3).blocks[0][1]
    with torch.no_grad():
        block.body[3][1].weight.zero_()
        x = torch.randn(1, 3, 8, 8)
        assert torch.equal(block(x), x)


def test_films_have_their_range_and_shape(generator, discriminator, z):
    films = generator(100 * z)
    assert films.shape == (3, 1, 128, 128)
    assert films.abs().max() <= 1
    assert films.min() < -0.5 < 0.5 < films.max()
    assert discriminator(films).shape == (3,)


def test_the_discriminator_sees_films_from_zero_to_one(discriminator, films):
    seen = []
    hook = discriminator.layers[0].register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    discriminator(films)
    hook.remove()
    assert torch.allclose(seen[0], (films + 1) / 2)
    assert seen[0].min() >= 0


def test_noise_of_both_kinds():
    assert (MenonGenerator(2).noise, MenonGenerator(2, noise="uniform").noise) == ("normal", "uniform")
    generator = MenonGenerator(2, latent=7)
    assert (generator.latent, generator.size, generator.classes) == (7, 128, 0)


def test_gradients_reach_every_weight(generator, discriminator, z, films):
    # A bias before batch norm has none.
    weights = torch.tensor([1.0, -2.0, 3.0])
    gradients_flow(generator, (discriminator(generator(z)) * weights).sum(), besides=("body.0.1.bias",))
    gradients_flow(discriminator, (discriminator(films) * weights).sum())


def test_a_film_depends_on_its_noise_alone(generator, discriminator, z, films):
    alone_as_together(warm_up(generator, z), z)
    alone_as_together(discriminator.eval(), films)


def test_layouts_and_precisions(generator, discriminator, z, films):
    same_in_channels_last(warm_up(generator, z), z)
    same_in_channels_last(discriminator.eval(), films)
    assert works_in_autocast(generator, z).dtype == torch.float32
    works_in_autocast(discriminator, films)


@pytest.mark.parametrize("shape", [(2, 99), (100,), (1, 100, 1)])
def test_wrong_noise_is_one_line(generator, shape):
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 100\)"):
        generator(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 1, 96, 96), (1, 3, 128, 128), (128, 128)])
def test_wrong_films_are_one_line(discriminator, shape):
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 128, 128\)"):
        discriminator(torch.zeros(shape))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: MenonGenerator(0), "width = 0; expected width = at least 1"),
        (lambda: MenonGenerator(2, noise="gaussian"), "noise = 'gaussian'"),
        (lambda: MenonDiscriminator(-1), "width = -1"),
    ],
)
def test_wrong_options_are_one_line(build, said):
    with pytest.raises(ConfigError, match=said):
        build()
