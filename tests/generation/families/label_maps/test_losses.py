"""DFM and the adversarial losses of generators from label maps, against their equations by hand."""

from __future__ import annotations

import pytest
import torch

from generation.families.label_maps import losses


def judged(seed: int, count: int = 2) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
    random = torch.manual_seed(seed)
    shapes = [(2, 8, 8), (4, 4, 4), (8, 2, 2)]
    return [
        (torch.randn(3, 1, 2, 2, generator=random), [torch.randn(3, *s, generator=random) for s in shapes])
        for _ in range(count)
    ]


def test_matching_is_the_sum_over_layers_of_mean_distances():
    real, fake = judged(0), judged(1)
    terms = losses.matching(real, fake)
    assert terms.shape == (3, 2)
    by_hand = [
        [
            sum(
                float((a[n] - b[n]).abs().sum()) / a[n].numel()
                for a, b in zip(real[d][1], fake[d][1], strict=True)
            )
            for d in range(2)
        ]
        for n in range(3)
    ]
    assert torch.allclose(terms, torch.tensor(by_hand), atol=1e-5)


def test_dfm_is_equation_4():
    terms = torch.tensor([[1.0, 3.0], [2.0, 8.0]])  # D1, D2
    beta = torch.tensor([0.25, 0.5])
    weights = torch.stack([1 - beta, beta], 1)
    expected = ((0.25 * 3 + 0.75 * 1) + (0.5 * 8 + 0.5 * 2)) / 2
    assert losses.dynamic_matching(terms, weights).item() == pytest.approx(expected)


def test_beta_is_a_sigmoid_and_weights_add_up():
    logits = torch.tensor([[0.3], [-2.0]])
    weights = losses.matching_weights(logits)
    assert torch.allclose(weights[:, 1], logits[:, 0].sigmoid())
    three = losses.matching_weights(torch.randn(4, 2))
    assert three.shape == (4, 3)
    assert torch.allclose(three.sum(1), torch.ones(4))


def test_real_features_are_constants():
    real, fake = judged(0), judged(1)
    for _, features in (*real, *fake):
        for feature in features:
            feature.requires_grad_()
    losses.matching(real, fake).sum().backward()
    assert all(f.grad is None for _, features in real for f in features)
    assert all(f.grad is not None for _, features in fake for f in features)


def test_adversarial_losses_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.5])
    ls = ((2 - 1) ** 2 + 0.25) / 2 + (9 + 0.25) / 2
    assert losses.least_squares_discriminator(real, fake).item() == pytest.approx(ls)
    assert losses.least_squares_generator(fake).item() == pytest.approx((16 + 0.25) / 2)
    assert losses.hinge_discriminator(real, fake).item() == pytest.approx(0.25 + 0.75)
    assert losses.hinge_generator(fake).item() == pytest.approx(1.25)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_losses_are_summed_over_discriminators(kind):
    real, fake = judged(0), judged(1)
    single = [losses.discriminator_loss(kind, [r], [f]) for r, f in zip(real, fake, strict=True)]
    assert torch.allclose(losses.discriminator_loss(kind, real, fake), sum(single))
    assert torch.allclose(
        losses.generator_loss(kind, fake), sum(losses.generator_loss(kind, [f]) for f in fake)
    )
