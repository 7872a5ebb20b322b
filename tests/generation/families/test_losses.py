"""Adversarial losses and penalties against closed forms, and what they do under autocast."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from covid_synth_data.errors import ConfigError
from generation.families import losses


def linear_critic(weight: torch.Tensor, bias: float = 0.3):
    """x -> <weight, x> + bias for each film."""
    return lambda x: (x * weight).flatten(1).sum(1) + bias


@pytest.fixture
def films() -> torch.Tensor:
    return torch.randn(4, 1, 6, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()


def test_cross_entropy_is_that_of_the_sigmoid():
    real, fake = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([-1.0, 0.25])
    eq1 = torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean()
    assert losses.bce_discriminator(real, fake) == pytest.approx(-eq1.item(), rel=1e-6)
    assert losses.bce_generator(fake) == pytest.approx(-torch.sigmoid(fake).log().mean().item(), rel=1e-6)


def test_cross_entropy_stays_finite_where_the_sigmoid_is_one():
    sure = torch.tensor([200.0])
    assert losses.bce_discriminator(-sure, sure) == pytest.approx(400)
    assert losses.bce_generator(-sure) == pytest.approx(200)


def test_a_fooled_discriminator_costs_less_to_the_generator():
    assert losses.bce_generator(torch.tensor([2.0])) < losses.bce_generator(torch.tensor([-2.0]))


def test_wasserstein():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 0.0, 4.0])
    assert losses.wasserstein_critic(real, fake) == pytest.approx(1 - 2)
    assert losses.wasserstein_generator(fake) == pytest.approx(-1)


def test_relativistic_losses_compare_pairs():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2
    assert losses.relativistic_discriminator(real, fake) == pytest.approx(expected, rel=1e-6)
    assert losses.relativistic_generator(fake, real) == pytest.approx(expected, rel=1e-6)
    # Paired otherwise, the same scores give another value: the mean is over pairs, not over scores.
    other = losses.relativistic_discriminator(real, fake.flip(0))
    assert other != pytest.approx(expected, rel=1e-3)
    same = torch.randn(5)
    assert losses.relativistic_discriminator(same, same) == pytest.approx(math.log(2), rel=1e-6)


def test_scores_that_are_no_pairs_are_refused():
    with pytest.raises(ConfigError, match="paired.*as many real"):
        losses.relativistic_discriminator(torch.zeros(3), torch.zeros(4))
    with pytest.raises(ConfigError, match="paired"):
        losses.relativistic_generator(torch.zeros(3, 1), torch.zeros(3))


@pytest.mark.parametrize(
    "loss",
    [
        lambda s: losses.bce_discriminator(s, s),
        losses.bce_generator,
        lambda s: losses.wasserstein_critic(s, s),
        losses.wasserstein_generator,
        lambda s: losses.relativistic_discriminator(s, s),
        lambda s: losses.relativistic_generator(s, s),
    ],
)
def test_losses_are_scalars_in_fp32(loss):
    value = loss(torch.randn(4, dtype=torch.bfloat16))
    assert value.shape == ()
    assert value.dtype == torch.float32


def test_penalty_of_a_linear_critic_is_its_squared_norm(films, weight):
    penalty = losses.zero_centred_penalty(linear_critic(weight), films)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
    penalty.backward()
    assert torch.allclose(weight.grad, 2 * weight.detach(), rtol=1e-5)


def test_penalty_of_a_quadratic_critic_depends_on_the_films(films):
    # d/dx sum(x^2) / 2 = x
    penalty = losses.zero_centred_penalty(lambda x: x.square().flatten(1).sum(1) / 2, films)
    assert penalty.item() == pytest.approx(films.square().flatten(1).sum(1).mean().item(), rel=1e-5)


def test_penalty_leaves_the_films_alone(films, weight):
    made = (films * 1).requires_grad_()
    losses.zero_centred_penalty(linear_critic(weight), made).backward()
    assert made.grad is None
    with torch.no_grad():  # the penalty switches gradients on for itself
        assert losses.zero_centred_penalty(linear_critic(weight), made) > 0


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic(films, weight, norm):
    critic = linear_critic(weight / weight.detach().norm() * norm)
    value = losses.gradient_penalty(critic, films, films + 1, torch.rand(4))
    assert value.item() == pytest.approx((norm - 1) ** 2, abs=1e-5)


def test_gradient_penalty_is_taken_between_the_films(films):
    # The gradient of sum(x^2) / 2 is x itself, so the penalty shows where it was taken.
    fake, random = films.flip(0), torch.tensor([0.0, 1.0, 0.25, 0.5])
    value = losses.gradient_penalty(lambda x: x.square().flatten(1).sum(1) / 2, films, fake, random)
    mixed = torch.stack([r * a + (1 - r) * b for r, a, b in zip(random, films, fake, strict=True)])
    assert value.item() == pytest.approx((mixed.flatten(1).norm(dim=1) - 1).square().mean().item(), rel=1e-5)


def test_gradient_penalty_of_a_flat_critic_is_one_and_its_gradient_finite(films):
    weight = torch.zeros(1, 6, 5, requires_grad=True)
    value = losses.gradient_penalty(linear_critic(weight), films, films, torch.rand(4))
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(weight.grad).all()


@pytest.mark.parametrize(("other", "random"), [((3, 1, 6, 5), 4), ((4, 1, 6, 6), 4), ((4, 1, 6, 5), 3)])
def test_films_that_cannot_be_mixed_are_refused(films, other, random):
    with pytest.raises(ConfigError, match="gradient penalty"):
        losses.gradient_penalty(lambda x: x.sum(), films, torch.zeros(other), torch.zeros(random))


def test_penalties_are_computed_in_fp32_within_autocast():
    torch.manual_seed(0)
    seen = []

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(), nn.Conv2d(4, 1, 3))

        def forward(self, x):
            y = self.layers(x)
            seen.append((x.dtype, y.dtype))
            return y.mean((1, 2, 3))

    critic, films = Critic(), torch.randn(3, 1, 8, 8)
    plain = losses.zero_centred_penalty(critic, films)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = losses.zero_centred_penalty(critic, films)
        between = losses.gradient_penalty(critic, films.bfloat16(), films, torch.rand(3))
    assert mixed.item() == plain.item()
    assert between.dtype == torch.float32
    assert set(seen) == {(torch.float32, torch.float32)}


def test_clip_weights():
    module = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8))
    module[1].running_var.fill_(5)
    with torch.no_grad():
        module[0].weight.copy_(torch.linspace(-1, 1, 72).reshape(8, 1, 3, 3))
    module[0].bias.requires_grad_(False).fill_(1)
    losses.clip_weights(module, 0.01)
    assert module[0].weight.min().item() == pytest.approx(-0.01)
    assert module[0].weight.max().item() == pytest.approx(0.01)
    assert module[1].weight.max().item() == pytest.approx(0.01)
    assert module[1].running_var.min() == 5, "statistics are no weights"
    assert module[0].bias.min() == 1, "what is not trained stays"


@pytest.mark.parametrize("limit", [0.0, -0.1, math.nan])
def test_a_limit_that_leaves_nothing_is_refused(limit):
    with pytest.raises(ConfigError, match="limit"):
        losses.clip_weights(nn.Linear(1, 1), limit)
