"""DCGAN at 96 x 96: shapes, counts, range of the noise and of the films."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.dcgan import DCGANDiscriminator, DCGANGenerator
from tests.generators.network_checks import (
    alone_as_together,
    gradients_flow,
    output_shapes,
    same_in_channels_last,
    trained_count,
    warm_up,
    works_in_autocast,
)


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return DCGANGenerator(4)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return DCGANDiscriminator(4)


@pytest.fixture
def z():
    return torch.rand(3, 100, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def films():
    return torch.rand(3, 1, 96, 96, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize(("width", "count"), [(64, 4_617_089), (128, 14_739_201)])
def test_counts_worked_out_by_hand(width, count):
    pairs = [(8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width)]
    dense = 101 * 8 * width * 36
    ups = sum(16 * i * o + 2 * o for i, o in pairs) + 2 * 8 * width + 16 * width + 1
    assert trained_count(DCGANGenerator(width)) == dense + ups == count
    downs = sum(16 * i * o + 2 * i for i, o in pairs) + 17 * width + 8 * width * 36 + 1
    assert trained_count(DCGANDiscriminator(width)) == downs


def test_shapes():
    generator, discriminator = DCGANGenerator(), DCGANDiscriminator()
    z, films = torch.zeros(1, 100), torch.zeros(1, 1, 96, 96)
    assert output_shapes(generator, (nn.Linear, nn.ConvTranspose2d), z) == [
        (512 * 6 * 6,),
        (256, 12, 12),
        (128, 24, 24),
        (64, 48, 48),
        (1, 96, 96),
    ]
    assert output_shapes(discriminator, (nn.Conv2d, nn.Linear), films) == [
        (64, 48, 48),
        (128, 24, 24),
        (256, 12, 12),
        (512, 6, 6),
        (1,),
    ]
    assert trained_count(discriminator) == 2_773_825


def test_norms_are_where_the_paper_has_them():
    # Everywhere but in the generator's last and the discriminator's first layer.
    generator = [type(m).__name__ for m in DCGANGenerator(2).modules()]
    discriminator = [type(m).__name__ for m in DCGANDiscriminator(2).modules()]
    assert (generator.count("BatchNorm2d"), generator[-1]) == (4, "ConvTranspose2d")
    assert discriminator[2:5] == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert discriminator.count("BatchNorm2d") == 3


def test_weights_start_as_the_paper_says():
    torch.manual_seed(0)
    weight = DCGANGenerator(16).layers[2].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(weight.mean().item()) < 1e-3


def test_films_have_their_range_and_shape(generator, discriminator, z):
    with torch.no_grad():
        generator.last.weight.mul_(100)
    films = generator(z)
    assert films.shape == (3, 1, 96, 96)
    assert films.abs().max() <= 1
    assert films.min() < -0.5 < 0.5 < films.max()
    assert discriminator(films).shape == (3,)


def test_uniform_noise_is_centred(z):
    torch.manual_seed(0)
    uniform = DCGANGenerator(2)
    normal = DCGANGenerator(2, noise="normal")
    normal.load_state_dict(uniform.state_dict())
    assert (uniform.noise, normal.noise) == ("uniform", "normal")
    with torch.no_grad():
        assert torch.equal(uniform.eval()(z), normal.eval()(2 * z - 1))


def test_gradients_reach_every_weight(generator, discriminator, z, films):
    # A bias before batch norm has none.
    weights = torch.tensor([1.0, -2.0, 3.0])
    gradients_flow(generator, (discriminator(generator(z)) * weights).sum(), besides=("dense.bias",))
    gradients_flow(discriminator, (discriminator(films) * weights).sum())


def test_a_film_depends_on_its_noise_alone(generator, discriminator, z, films):
    alone_as_together(warm_up(generator, z), z)
    alone_as_together(warm_up(discriminator, films), films)


def test_layouts_and_precisions(generator, discriminator, z, films):
    same_in_channels_last(warm_up(generator, z), z)
    same_in_channels_last(warm_up(discriminator, films), films)
    assert works_in_autocast(generator, z).dtype == torch.float32
    works_in_autocast(discriminator, films)


def test_wrong_input_is_one_line(generator, discriminator):
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 100\)"):
        generator(torch.zeros(2, 128))
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 96, 96\)"):
        discriminator(torch.zeros(1, 1, 64, 64))
    with pytest.raises(ConfigError, match="width = 0"):
        DCGANGenerator(0)
    with pytest.raises(ConfigError, match="noise = 'gaussian'"):
        DCGANGenerator(2, noise="gaussian")
