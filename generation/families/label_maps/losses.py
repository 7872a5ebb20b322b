"""Losses of generators from label maps: adversarial losses, feature matching, and DFM of jiang2020."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from covid_synth_data.generators.patch import Judged
from generation.families import losses

Adversarial = tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]
"""The discriminator's loss of (real, fake) scores, and the generator's of fake scores."""


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean (D(x) - 1)^2 + D(G(m))^2 (Mao et al. 2017, as pix2pixHD has it)."""
    return (real.float() - 1).square().mean() + fake.float().square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """Mean (D(G(m)) - 1)^2."""
    return (fake.float() - 1).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mean max(0, 1 - D(x)) + max(0, 1 + D(G(m))) (as SPADE and SEAN have it)."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E D(G(m))."""
    return -fake.float().mean()


KINDS: Final[dict[str, Adversarial]] = {
    "cross-entropy": (losses.bce_discriminator, losses.bce_generator),
    "least-squares": (least_squares_discriminator, least_squares_generator),
    "hinge": (hinge_discriminator, hinge_generator),
}


def discriminator_loss(kind: str, real: Sequence[Judged], fake: Sequence[Judged]) -> Tensor:
    """The sum over discriminators (jiang2020, Eq. 2 and 3, with "cross-entropy")."""
    return torch.stack([KINDS[kind][0](r, f) for (r, _), (f, _) in zip(real, fake, strict=True)]).sum()


def generator_loss(kind: str, fake: Sequence[Judged]) -> Tensor:
    """The sum over discriminators."""
    return torch.stack([KINDS[kind][1](scores) for scores, _ in fake]).sum()


def matching(real: Sequence[Judged], fake: Sequence[Judged]) -> Tensor:
    """Sum over three layers of the mean distance of features, for each slice and discriminator: (n, D).

    The unweighed terms of jiang2020, Eq. 4. Real features are constants.
    """
    columns = []
    for (_, theirs), (_, ours) in zip(real, fake, strict=True):
        layers = [
            (a.detach().float() - b.float()).abs().mean((1, 2, 3)) for a, b in zip(theirs, ours, strict=True)
        ]
        columns.append(torch.stack(layers).sum(0))
    return torch.stack(columns, 1)


def dynamic_matching(terms: Tensor, weights: Tensor) -> Tensor:
    """jiang2020, Eq. 4: the terms (n, D) of each slice, weighed (n, D), the mean over slices.

    Two discriminators have the weights 1 - beta (D1, full resolution) and beta (D2, half).
    """
    return (weights.float() * terms).sum(1).mean()


def matching_weights(logits: Tensor) -> Tensor:
    """(n, D - 1) numbers of the weighting network to weights (n, D) that add up to 1.

    The softmax with D1's logit at zero: for two discriminators beta is the sigmoid of the number.
    """
    return F.pad(logits.float(), (1, 0)).softmax(1)
