"""The networks of diffaug-gan: shapes, parameter counts, start, conditioning, independence of the batch."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.diffaug import DiffAugDiscriminator, DiffAugGenerator, _haar


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def stirred(network: nn.Module, seed: int = 0) -> nn.Module:
    """`network` with all weights random, since fresh residual branches are zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=generator), alpha=0.05)
    return network


@pytest.fixture
def generator() -> DiffAugGenerator:
    torch.manual_seed(0)
    return stirred(DiffAugGenerator(32, width=4, latent=6)).eval()


@pytest.fixture
def discriminator() -> DiffAugDiscriminator:
    torch.manual_seed(0)
    return stirred(DiffAugDiscriminator(32, width=4)).eval()


def noise(count: int, latent: int = 6, seed: int = 5) -> torch.Tensor:
    return torch.randn(count, latent, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [32, 128, 256])
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes_and_range(size, classes):
    generator = stirred(DiffAugGenerator(size, width=4, latent=6, classes=classes)).eval()
    discriminator = DiffAugDiscriminator(size, width=4, classes=classes)
    labels = (torch.tensor([0, 2, 1]),) if classes else ()
    with torch.no_grad():
        films = generator(noise(3), *labels)
        scores = discriminator(films, *labels)
    assert films.shape == (3, 1, size, size)
    assert films.abs().max() <= 1
    assert films.std() > 0.01
    assert scores.shape == (3,)
    assert (generator.size, generator.latent, generator.classes, generator.noise) == (
        size,
        6,
        classes,
        "normal",
    )


def test_parameters_of_the_default_generator():
    """width 64 at 128: 256, 256, 256, 128, 64 channels on the grids 4 to 64, styles of 128."""
    channels = [256, 256, 256, 128, 64]
    expected = 3 * 128 + (256 * 128 + 128) + (128 * 128 + 128) + (128 + 1) * 256 * 16
    for a, b in itertools.pairwise(channels):
        expected += 9 * a * b + b + 9 * b * b + b + (128 + 1) * (a + b) + (a * b if a != b else 0)
    expected += 9 * 64 * 4 + 4
    assert count(DiffAugGenerator()) == expected
    assert 2 * expected < 16e6, "fp16 weights of a release"


def test_one_more_size_is_one_more_block():
    assert len(DiffAugGenerator(256, width=4).blocks) == len(DiffAugGenerator(128, width=4).blocks) + 1
    assert len(DiffAugDiscriminator(256, width=4).blocks) == 5


def test_haar_is_orthonormal():
    filters = _haar().flatten(1)
    assert torch.allclose(filters @ filters.T, torch.eye(4))
    x = torch.randn(2, 1, 8, 8)
    bands = nn.functional.conv2d(x, _haar(), stride=2)
    assert torch.allclose(nn.functional.conv_transpose2d(bands, _haar(), stride=2), x, atol=1e-6)


def test_residual_branches_start_at_zero_and_styles_at_one():
    for block in DiffAugGenerator(32, width=4).blocks:
        assert block.second.weight.abs().max() == 0
        assert (block.style.bias == 1).all()
    for block in DiffAugDiscriminator(32, width=4).blocks:
        assert block.second.weight.abs().max() == 0


def test_fresh_films_are_smooth():
    torch.manual_seed(0)
    with torch.no_grad():
        films = DiffAugGenerator(64, width=8, classes=0).eval()(noise(4, 128))
        bands = nn.functional.conv2d(films, _haar(), stride=2)
    assert bands[:, :1].abs().max() > 0.1
    assert bands[:, 1:].abs().max() < 1e-6


def test_fresh_networks_keep_the_scale_of_features():
    torch.manual_seed(0)
    generator, discriminator = DiffAugGenerator(128, width=16).eval(), DiffAugDiscriminator(128, width=16)
    labels = torch.arange(32) % 3
    with torch.no_grad():
        films = generator.train()(noise(32, 128), labels)
        scores = discriminator(films.clamp(-1, 1), labels)
    assert 0.1 < films.std() < 1.5
    assert scores.abs().max() < 10


def test_films_depend_on_noise_and_label_alone(generator):
    z, labels = noise(5), torch.tensor([0, 1, 2, 1, 0])
    with torch.no_grad():
        together = generator(z, labels)
        torch.manual_seed(77)
        assert torch.equal(together, generator(z, labels))
        for i in range(5):
            alone = generator(z[i : i + 1], labels[i : i + 1])
            assert torch.allclose(alone[0], together[i], atol=1e-5)
    assert (together[0] - together[4]).abs().max() > 0.01, "noise matters"


def test_scores_depend_on_the_film_and_its_label_alone(discriminator):
    x, labels = torch.rand(5, 1, 32, 32) * 2 - 1, torch.tensor([0, 1, 2, 1, 0])
    with torch.no_grad():
        together = discriminator(x, labels)
        for i in range(5):
            assert torch.allclose(discriminator(x[i : i + 1], labels[i : i + 1])[0], together[i], atol=1e-5)


def test_labels_matter(generator, discriminator):
    z, x = noise(1).expand(3, -1), torch.rand(1, 1, 32, 32).expand(3, -1, -1, -1)
    with torch.no_grad():
        films, scores = generator(z, torch.arange(3)), discriminator(x, torch.arange(3))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (films[a] - films[b]).abs().max() > 0.01
        assert (scores[a] - scores[b]).abs() > 1e-4


def test_noise_is_taken_by_its_direction(generator):
    with torch.no_grad():
        labels = torch.zeros(2, dtype=torch.int64)
        assert torch.allclose(generator(noise(2), labels), generator(3 * noise(2), labels), atol=1e-4)


def test_only_evaluation_clamps():
    generator = DiffAugGenerator(32, width=4, latent=6, classes=0)
    with torch.no_grad():
        generator.head.bias[0] = 8  # the mean band, so all pixels are far too bright
        assert generator.train()(noise(1)).min() > 1
        assert generator.eval()(noise(1)).unique().tolist() == [1]


def test_every_weight_gets_a_gradient(generator, discriminator):
    labels = torch.arange(6) % 3
    discriminator(generator.train()(noise(6), labels), labels).sum().backward()
    for network in (generator, discriminator):
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.abs().sum() > 0, name


def test_channels_last_and_autocast_give_the_same_film(generator):
    z, labels = noise(4), torch.tensor([0, 1, 2, 1])
    with torch.no_grad():
        plain = generator(z, labels)
        generator.to(memory_format=torch.channels_last)
        last = generator(z, labels)
        with torch.autocast("cpu", torch.bfloat16):
            half = generator(z, labels)
    assert torch.allclose(plain, last, atol=1e-5)
    assert (plain - half.float()).abs().mean() < 0.02


@pytest.mark.parametrize(
    "options", [{"size": 96}, {"size": 16}, {"size": 2048}, {"width": 0}, {"latent": 0}, {"classes": -1}]
)
def test_wrong_options_of_the_generator(options):
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        DiffAugGenerator(**options)


@pytest.mark.parametrize("options", [{"size": 100}, {"width": -1}, {"classes": -3}])
def test_wrong_options_of_the_discriminator(options):
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        DiffAugDiscriminator(**options)


def test_wrong_inputs_of_the_generator(generator):
    labels = torch.zeros(2, dtype=torch.int64)
    for z in (noise(2, 7), noise(2)[0], noise(2)[None]):
        with pytest.raises(ConfigError, match=r"noise.*\(n, 6\)"):
            generator(z, labels)
    for wrong in (labels[:1], labels.float(), labels.int(), labels[:, None]):
        with pytest.raises(ConfigError, match=r"labels.*int64 of shape \(2,\)"):
            generator(noise(2), wrong)
    with pytest.raises(ConfigError, match="no labels"):
        generator(noise(2))
    with pytest.raises(ConfigError, match="without classes"):
        DiffAugGenerator(32, width=2, latent=6, classes=0)(noise(2), labels)


def test_wrong_inputs_of_the_discriminator(discriminator):
    labels = torch.zeros(2, dtype=torch.int64)
    for shape in ((2, 1, 32, 64), (2, 3, 32, 32), (2, 32, 32), (1, 32, 32)):
        with pytest.raises(ConfigError, match=r"film.*\(n, 1, 32, 32\)"):
            discriminator(torch.zeros(shape), labels)
    with pytest.raises(ConfigError, match="labels"):
        discriminator(torch.zeros(2, 1, 32, 32), labels[:1])
