"""hussain2022: exact counts, shapes layer by layer, and up-sampling against the plain layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.layers import UpsampleConv
from covid_synth_data.generators.wgan import WGANCritic, WGANGenerator
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
    return WGANGenerator(16)


@pytest.fixture
def critic():
    torch.manual_seed(1)
    return WGANCritic(4)


@pytest.fixture
def z():
    return torch.randn(3, 100, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def films():
    return torch.rand(3, 1, 96, 96, generator=torch.Generator().manual_seed(3)) * 2 - 1


def _plain(x, weight, bias, factor):
    return nn.functional.conv2d(nn.functional.interpolate(x, scale_factor=factor), weight, bias, padding=1)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 5, 4, 7), (1, 1, 1, 1)])
def test_upsample_conv_is_up_sampling_and_a_same_convolution(factor, shape):
    torch.manual_seed(0)
    layer = UpsampleConv(shape[1], 6, factor)
    assert layer.weight.shape == nn.Conv2d(shape[1], 6, 3).weight.shape
    x = torch.randn(shape, requires_grad=True)
    made = layer(x)
    made.square().sum().backward()
    got = [layer.weight.grad, layer.bias.grad, x.grad]
    values = [v.detach().clone().requires_grad_() for v in (layer.weight, layer.bias, x)]
    plain = _plain(values[2], values[0], values[1], factor)
    plain.square().sum().backward()
    assert made.shape == (shape[0], 6, factor * shape[2], factor * shape[3])
    assert torch.allclose(made, plain, atol=1e-5)
    for mine, wanted in zip(got, values, strict=True):
        assert torch.allclose(mine, wanted.grad, rtol=1e-4, atol=1e-3)


def test_upsample_conv_refuses_no_factor():
    with pytest.raises(ConfigError, match="factor = 0; expected factor = at least 1"):
        UpsampleConv(1, 1, 0)


def test_the_papers_counts():
    generator, critic = WGANGenerator(), WGANCritic()
    assert keras_count(generator) == 2_040_705
    assert keras_count(critic) == 1_658_369
    parts = [generator.dense, *generator.stages, generator.last]
    assert [keras_count(p) for p in parts] == [413_696, 591_104, 591_104, 295_552, 148_096, 1_153]
    assert trained_count(generator) == 2_039_169


def test_the_papers_shapes():
    generator, critic = WGANGenerator(), WGANCritic()
    z, films = torch.zeros(1, 100), torch.zeros(1, 1, 96, 96)
    assert output_shapes(generator, (nn.Linear, UpsampleConv, nn.Conv2d), z) == [
        (4096,),
        (256, 8, 8),
        (256, 16, 16),
        (128, 32, 32),
        (128, 96, 96),
        (1, 96, 96),
    ]
    assert output_shapes(critic, (nn.Conv2d, nn.ZeroPad2d, nn.Linear), films) == [
        (32, 48, 48),
        (64, 24, 24),
        (64, 25, 25),
        (128, 13, 13),
        (256, 13, 13),
        (512, 13, 13),
        (1,),
    ]
    # 20 and 22 layers, as the paper says, where the activation of a dense layer is part of it.
    assert sum(not list(m.children()) for m in critic.modules()) + 1 == 22


def test_batch_norm_as_the_paper_says():
    norms = [
        m for m in [*WGANGenerator(4).modules(), *WGANCritic(2).modules()] if isinstance(m, nn.BatchNorm2d)
    ]
    assert len(norms) == 8
    assert all(m.momentum == pytest.approx(1 - 0.8) and m.eps == 1e-3 for m in norms)


def test_films_have_their_range_and_shape(generator, critic, z):
    films = generator(10 * z)
    assert films.shape == (3, 1, 96, 96)
    assert films.dtype == torch.float32
    assert films.abs().max() <= 1
    assert films.std() > 0.05
    assert critic(films).shape == (3,)


def test_the_critic_has_no_sigmoid(critic, films):
    with torch.no_grad():
        critic.value.weight.mul_(100)
    values = critic.eval()(films)
    assert ((values < 0) | (values > 1)).any()


def test_gradients_reach_every_weight(generator, critic, z, films):
    gradients_flow(generator, (critic(generator(z)) * torch.tensor([1.0, -2.0, 3.0])).sum(), (".0.bias",))
    gradients_flow(critic, (critic(films) * torch.tensor([1.0, -2.0, 3.0])).sum(), besides=("bias",))


def test_the_gradient_penalty_has_gradients(films):
    torch.manual_seed(0)
    critic = WGANCritic(4, norm="layer")
    x = films.requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    assert all(p.grad.isfinite().all() for n, p in critic.named_parameters() if p.grad is not None)
    assert critic.layers[0].weight.grad.abs().max() > 0


def test_with_layer_norm_a_value_is_the_films_own_in_training_too(films):
    torch.manual_seed(0)
    alone_as_together(WGANCritic(4, norm="layer", dropout=0), films)
    critic = WGANCritic(4, norm="batch", dropout=0)
    with torch.no_grad():
        assert not torch.allclose(critic(films)[:1], critic(films[:1]), atol=1e-4)


def test_a_film_depends_on_its_noise_alone(generator, critic, z, films):
    alone_as_together(warm_up(generator, z), z)
    alone_as_together(warm_up(critic, films), films)


def test_layouts_and_precisions(generator, critic, z, films):
    same_in_channels_last(warm_up(generator, z), z)
    same_in_channels_last(warm_up(critic, films), films)
    assert works_in_autocast(generator, z).dtype == torch.float32
    works_in_autocast(critic, films)


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 99), torch.zeros(100), torch.zeros(2, 100, dtype=torch.int64)]
)
def test_wrong_noise_is_one_line(generator, bad):
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 100\)"):
        generator(bad)


@pytest.mark.parametrize("shape", [(1, 1, 128, 128), (1, 3, 96, 96), (96, 96)])
def test_wrong_films_are_one_line(critic, shape):
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 96, 96\)"):
        critic(torch.zeros(shape))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: WGANGenerator(3), "width = 3; expected width = a positive multiple of 2"),
        (lambda: WGANGenerator(latent=0), "latent = 0"),
        (lambda: WGANCritic(0), "width = 0"),
        (lambda: WGANCritic(4, norm="spectral"), "norm = 'spectral'; expected norm = 'batch' or 'layer'"),
        (lambda: WGANCritic(4, dropout=1.0), "dropout = 1.0"),
    ],
)
def test_wrong_options_are_one_line(build, said):
    with pytest.raises(ConfigError, match=said):
        build()
