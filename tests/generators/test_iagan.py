"""IAGAN at 128 x 128: films varied by noise, and samples that need no film."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.iagan import (
    IAGANDiscriminator,
    IAGANGenerator,
    InceptionResidual,
    SelfAttention,
)
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
    return IAGANGenerator(8, noise_length=10, code=6)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return IAGANDiscriminator(4)


@pytest.fixture
def z():
    return torch.randn(3, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def films():
    return torch.rand(3, 1, 128, 128, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_counts_and_shapes():
    generator, discriminator = IAGANGenerator(), IAGANDiscriminator()
    z, films = torch.zeros(1, 120), torch.zeros(1, 1, 128, 128)
    assert (generator.latent, generator.code) == (248, 128)
    assert trained_count(generator) == 6_893_803
    assert trained_count(discriminator) == 2_788_161
    assert output_shapes(generator.encoder, (nn.Conv2d, nn.Linear), films) == [
        (32, 64, 64),
        (64, 32, 32),
        (128, 16, 16),
        (160, 16, 16),
        (256, 8, 8),
        (128,),
    ]
    code = torch.zeros(1, 128)
    assert output_shapes(generator, (nn.Linear, InceptionResidual), z, code) == [
        (128 * 64,),
        (128 * 64,),
        (256, 16, 16),
        (128, 32, 32),
        (64, 64, 64),
        (32, 128, 128),
    ]
    assert output_shapes(discriminator, (nn.Conv2d, nn.Linear), films) == [
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (1,),
    ]


def test_films_have_their_range_and_shape(generator, discriminator, z, films):
    with torch.no_grad():
        generator.last.weight.mul_(100)
    for made in (generator(z), generator.forward_from(z[:, :10], films)):
        assert made.shape == (3, 1, 128, 128)
        assert made.abs().max() <= 1
        assert made.min() < -0.5 < 0.5 < made.max()
        assert discriminator(made).shape == (3,)
    assert (generator.size, generator.classes, generator.noise) == (128, 0, "normal")


def test_the_film_and_the_noise_both_matter(generator, z, films):
    warm_up(generator.encoder, films)
    warm_up(generator, z)
    with torch.no_grad():
        made = generator.forward_from(z[:1, :10], films[:1])
        other_film = generator.forward_from(z[:1, :10], films[1:2] / 2)
        other_noise = generator.forward_from(z[1:2, :10], films[:1])
        assert torch.equal(made, generator(z[:1, :10], generator.encode(films[:1])))
    assert not torch.allclose(made, other_film, atol=1e-5)
    assert not torch.allclose(made, other_noise, atol=1e-5)


def test_the_tail_of_the_noise_becomes_a_code(generator, z):
    generator.eval()
    with torch.no_grad():
        generator.code_mean.copy_(torch.arange(6.0))
        generator.code_factor.copy_(torch.tril(torch.ones(6, 6)))
        code = torch.arange(6.0) + z[:, 10:] @ torch.tril(torch.ones(6, 6)).T
        assert torch.allclose(generator.sample_code(z[:, 10:]), code, atol=1e-6)
        assert torch.allclose(generator(z), generator(z[:, :10], code), atol=1e-6)


@pytest.mark.parametrize("count", [4, 40])
def test_sampled_codes_are_distributed_as_those_of_the_films(generator, count):
    # With 4 films the covariance has rank 3 of 6; 40 films are more than one chunk.
    random = torch.Generator().manual_seed(0)
    films = torch.rand(count, 1, 128, 128, generator=random) * torch.rand(count, 1, 1, 1, generator=random)
    generator.fit_codes(films)
    assert generator.training
    with torch.no_grad():
        codes = generator.eval().encode(films).double()
    assert torch.allclose(generator.code_mean.double(), codes.mean(0), atol=1e-6)
    factor = generator.code_factor.double()
    assert torch.allclose(factor @ factor.T, codes.T.cov(), atol=1e-5)
    assert torch.allclose(factor, factor.T, atol=1e-6)
    drawn = generator.sample_code(torch.randn(20_000, 6, generator=random)).double()
    assert torch.allclose(drawn.T.cov(), codes.T.cov(), atol=0.05 * codes.T.cov().abs().max().item())


def test_the_distribution_of_codes_is_kept_with_the_weights(generator, z, films):
    generator.fit_codes(films)
    other = IAGANGenerator(8, noise_length=10, code=6)
    other.load_state_dict(generator.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(z), generator.eval()(z))


def test_attention_starts_as_nothing_and_sees_every_place():
    torch.manual_seed(0)
    layer = SelfAttention(16)
    x = torch.randn(2, 16, 5, 4)
    assert torch.equal(layer(x), x)
    with torch.no_grad():
        layer.weight.fill_(1)
    changed = x.clone()
    changed[0, :, 4, 3] += 5
    moved = (layer(changed) - layer(x)).abs().amax(1)
    assert (moved[0] > 0).all()
    assert (moved[1] == 0).all()


def test_attention_as_written_out():
    torch.manual_seed(0)
    layer = SelfAttention(16)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    x = torch.randn(2, 16, 3, 4)
    query, key, value = layer.project(x).flatten(2).split([2, 2, 16], dim=1)
    attention = (query.transpose(1, 2) @ key / 2**0.5).softmax(-1)
    wanted = x + 0.5 * (value @ attention.transpose(1, 2)).reshape(x.shape)
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_gradients_reach_every_weight(generator, discriminator, z, films):
    weights = torch.tensor([1.0, -2.0, 3.0])
    # A bias before batch norm has none; attention starts with the weight 0.
    besides = ("reduce.0.bias", "project.weight", "project.bias")
    logits = discriminator(generator.forward_from(z[:, :10], films))
    gradients_flow(generator, (logits * weights).sum(), besides)
    gradients_flow(discriminator, (discriminator(films) * weights).sum())
    with torch.no_grad():
        for layer in generator.modules():
            if isinstance(layer, SelfAttention):
                layer.weight.fill_(0.5)
    gradients_flow(generator, (generator.forward_from(z[:, :10], films)).square().sum(), besides[:1])


def test_a_film_depends_on_its_noise_alone(generator, discriminator, z, films):
    generator = warm_up(generator, z)
    alone_as_together(generator, z)
    alone_as_together(generator.forward_from, z[:, :10], films)
    alone_as_together(warm_up(discriminator, films), films)


def test_layouts_and_precisions(generator, discriminator, z, films):
    same_in_channels_last(warm_up(generator, z), z)
    same_in_channels_last(warm_up(discriminator, films), films)
    assert works_in_autocast(generator, z).dtype == torch.float32
    works_in_autocast(discriminator, films)


def test_wrong_input_is_one_line(generator, discriminator, z, films):
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 16\)"):
        generator(z[:, :10])
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 10\)"):
        generator.forward_from(z, films)
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 128, 128\)"):
        generator.encode(films[:, :, :64])
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 128, 128\)"):
        discriminator(films[:, :, :96, :96])
    with pytest.raises(ConfigError, match="too few films"):
        generator.fit_codes(films[:1])
    with pytest.raises(ConfigError, match="width = 12; expected width = a positive multiple of 8"):
        IAGANGenerator(12)
