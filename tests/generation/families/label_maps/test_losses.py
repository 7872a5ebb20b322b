"""DFM and the adversarial losses of generators from label maps, against their equations by hand."""

from __future__ import annotations

import math

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


def scored(*values: float) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
    """One discriminator's scores of one slice, a patch each."""
    return [(torch.tensor(values).reshape(1, 1, 1, -1), [])]


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("least-squares", ((2 - 1) ** 2 + 0.25) / 2 + (9 + 0.25) / 2, (16 + 0.25) / 2),
        ("hinge", 0.25 + 0.75, 1.25),
        (
            "cross-entropy",
            (math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5))) / 2
            + (math.log1p(math.exp(-3)) + math.log1p(math.exp(0.5))) / 2,
            (math.log1p(math.exp(3)) + math.log1p(math.exp(-0.5))) / 2,
        ),
        (
            "relativistic",
            (math.log1p(math.exp(-5)) + math.log(2)) / 2,
            (math.log1p(math.exp(5)) + math.log(2)) / 2,
        ),
    ],
)
def test_adversarial_losses_by_hand(kind, discriminator, generator):
    real, fake = scored(2.0, 0.5), scored(-3.0, 0.5)
    assert losses.discriminator_loss(kind, real, fake).item() == pytest.approx(discriminator)
    assert losses.generator_loss(kind, real, fake).item() == pytest.approx(generator)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_a_patch_counts_by_its_share_of_lung(kind):
    real, fake = scored(2.0, 0.5), scored(-3.0, 0.5)
    first = scored(2.0), scored(-3.0)
    weights = [torch.tensor([0.4, 0.0]).reshape(1, 1, 1, 2)]
    for loss in (losses.discriminator_loss, losses.generator_loss):
        assert torch.allclose(loss(kind, real, fake, weights), loss(kind, *first))
        alike = [torch.full((1, 1, 1, 2), 0.3)]
        assert torch.allclose(loss(kind, real, fake, alike), loss(kind, real, fake))


def test_shares_are_those_of_the_lung():
    m = torch.zeros(1, 4, 16, 16)
    m[:, 0] = 1
    m[:, :, :8, 4:8] = torch.tensor([0.0, 1, 0, 0])[None, :, None, None]  # half of the first quarter
    (shares,) = losses.lung_shares(m, [(torch.zeros(1, 1, 2, 2), [])])
    assert shares[0, 0].tolist() == [[0.5, 0], [0, 0]]
    assert losses.by_slice(scored(3.0, 5.0), [torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)]).tolist() == [4.5]
    assert losses.by_slice(scored(3.0, 5.0)).tolist() == [4.0]


def test_grey_is_compared_by_squares_and_texture_is_free():
    x = torch.zeros(1, 1, 16, 16)
    chequered = x.clone()
    chequered[..., ::2] = 1
    chequered[..., 1::2] = -1
    assert losses.tone(x, chequered).item() == pytest.approx(0, abs=1e-6)
    assert losses.tone(x, x + 0.25).item() == pytest.approx(0.25)


@pytest.mark.parametrize("kind", losses.KINDS)
def test_losses_are_summed_over_discriminators(kind):
    real, fake = judged(0), judged(1)
    single = [losses.discriminator_loss(kind, [r], [f]) for r, f in zip(real, fake, strict=True)]
    assert torch.allclose(losses.discriminator_loss(kind, real, fake), sum(single))
    assert torch.allclose(
        losses.generator_loss(kind, real, fake),
        sum(losses.generator_loss(kind, [r], [f]) for r, f in zip(real, fake, strict=True)),
    )
