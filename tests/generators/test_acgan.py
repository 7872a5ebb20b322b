"""CovidGAN at 112 x 112: published sizes, two heads, and labels that change the film."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.acgan import ACGANDiscriminator, ACGANGenerator
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
    return ACGANGenerator(4, classes=3)


@pytest.fixture
def discriminator():
    torch.manual_seed(1)
    return ACGANDiscriminator(4, classes=3)


@pytest.fixture
def z():
    return torch.randn(3, 100, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def labels():
    return torch.tensor([0, 2, 1])


@pytest.fixture
def films():
    return torch.rand(3, 1, 112, 112, generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_the_published_sizes():
    generator, discriminator = ACGANGenerator(), ACGANDiscriminator()
    # "About 22 million" and "about 2 million" with three channels; one makes little difference.
    assert trained_count(generator) == 22_292_264
    assert trained_count(discriminator) == 1_645_251
    colour = 25 * 128 * 2 + 2
    assert round((trained_count(generator) + colour) / 1e6) == 22
    assert round((trained_count(discriminator) + 9 * 32 * 2) / 1e6) == 2


def test_shapes():
    generator, discriminator = ACGANGenerator(), ACGANDiscriminator()
    z, films = torch.zeros(1, 100), torch.zeros(1, 1, 112, 112)
    labels = torch.zeros(1, dtype=torch.int64)
    assert output_shapes(generator, (nn.Linear, nn.Embedding, nn.ConvTranspose2d), z, labels) == [
        (1024 * 7 * 7,),
        (50,),
        (7 * 7,),
        (512, 14, 14),
        (256, 28, 28),
        (128, 56, 56),
        (1, 112, 112),
    ]
    assert generator.layers[0].in_channels == 1025
    assert output_shapes(discriminator, (nn.Conv2d, nn.Linear), films) == [
        (32, 112, 112),
        (64, 56, 56),
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
        (1,),
        (2,),
    ]


def test_films_have_their_range_and_shape(generator, discriminator, z, labels):
    films = generator(1000 * z, labels)
    assert films.shape == (3, 1, 112, 112)
    assert films.abs().max() <= 1
    scores, names = discriminator(films)
    assert (scores.shape, names.shape) == ((3,), (3, 3))
    assert (generator.latent, generator.size, generator.classes, generator.noise) == (100, 112, 3, "normal")


def test_the_label_changes_the_film(generator, z):
    generator = warm_up(generator, z, torch.tensor([0, 1, 2]))
    with torch.no_grad():
        made = [generator(z[:1], torch.tensor([label])) for label in range(3)]
    assert not torch.allclose(made[0], made[1], atol=1e-5)
    assert not torch.allclose(made[1], made[2], atol=1e-5)


def test_the_heads_can_be_learned(films):
    # Two films of two classes are told apart within a few steps.
    torch.manual_seed(0)
    discriminator = ACGANDiscriminator(4, dropout=0)
    weights = list(discriminator.parameters())
    labels = torch.tensor([0, 1])
    films = torch.stack([films[0], -films[1].abs()])
    for _ in range(15):
        scores, names = discriminator(films)
        loss = nn.functional.cross_entropy(names, labels) + nn.functional.softplus(-scores).mean()
        with torch.no_grad():
            for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight -= 0.02 * slope
    assert discriminator(films)[1].argmax(1).tolist() == [0, 1]
    assert loss < 0.5


def test_gradients_reach_every_weight(generator, discriminator, z, labels, films):
    def loss(given):
        scores, names = discriminator(given)
        return (scores * torch.tensor([1.0, -2.0, 3.0])).sum() + nn.functional.cross_entropy(names, labels)

    # A bias before batch norm has none.
    before_norm = tuple(f"layers.{i}.bias" for i in (0, 3, 6))
    gradients_flow(generator, loss(generator(z, labels)), before_norm)
    gradients_flow(discriminator, loss(films), tuple(f"layers.{i}.bias" for i in (0, 4, 8, 12, 16)))


def test_a_film_depends_on_its_noise_and_label_alone(generator, discriminator, z, labels, films):
    alone_as_together(warm_up(generator, z, labels), z, labels)
    network = warm_up(discriminator, films)
    alone_as_together(lambda x: torch.cat([network(x)[0][:, None], network(x)[1]], dim=1), films)


def test_layouts_and_precisions(generator, discriminator, z, labels, films):
    same_in_channels_last(warm_up(generator, z, labels), z, labels)
    same_in_channels_last(warm_up(discriminator, films), films)
    assert works_in_autocast(generator, z, labels).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores, names = discriminator(films)
    assert scores.isfinite().all()
    assert names.isfinite().all()


@pytest.mark.parametrize(
    "bad",
    [
        torch.tensor([0, 1]),
        torch.tensor([[0], [1], [2]]),
        torch.tensor([0.0, 1.0, 2.0]),
        torch.tensor([0, 1, 3]),
        torch.tensor([-1, 1, 2]),
    ],
)
def test_wrong_labels_are_one_line(generator, z, bad):
    with pytest.raises(ConfigError, match=r"wrong labels.*expected int64 \(3,\) with values in 0 to 2"):
        generator(z, bad)


def test_wrong_input_is_one_line(generator, discriminator, labels):
    with pytest.raises(ConfigError, match=r"noise .*expected a float tensor \(n, 100\)"):
        generator(torch.zeros(3, 99), labels)
    with pytest.raises(ConfigError, match=r"films .*expected a float tensor \(n, 1, 112, 112\)"):
        discriminator(torch.zeros(1, 1, 96, 96))
    with pytest.raises(ConfigError, match="classes = 1; expected classes = at least 2"):
        ACGANGenerator(2, classes=1)
    with pytest.raises(ConfigError, match="dropout = -0.1"):
        ACGANDiscriminator(2, dropout=-0.1)
