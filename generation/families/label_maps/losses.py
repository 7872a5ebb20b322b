"""Losses of generators from label maps: adversarial, feature matching, DFM of jiang2020, grey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from covid_synth_data.generators.patch import Judged, scores

Term = Callable[[Tensor, Tensor], Tensor]
"""Scores of real and of generated patches, in fp32, to the losses of the patches."""

KINDS: Final[dict[str, tuple[Term, Term]]] = {
    "cross-entropy": (lambda r, f: F.softplus(-r) + F.softplus(f), lambda _, f: F.softplus(-f)),
    "least-squares": (lambda r, f: (r - 1).square() + f.square(), lambda _, f: (f - 1).square()),
    "hinge": (lambda r, f: F.relu(1 - r) + F.relu(1 + f), lambda _, f: -f),
    "relativistic": (lambda r, f: F.softplus(f - r), lambda r, f: F.softplus(r - f)),
}
"""The discriminator's loss and the generator's.

Cross-entropy, for the generator in its non-saturating form, as jiang2020 and pix2pix (Isola et al. 2017);
least squares as pix2pixHD (Mao et al. 2017); hinge as SPADE and SEAN; relativistic (Jolicoeur-Martineau
2020): a generated patch against the real one of the same place of the same label map.
"""

TONE = 8
"""Side of the squares whose mean grey `tone` compares."""
LEAST = 1e-3
"""The smallest sum of weights that is divided by: slices without lung count for nothing."""


def discriminator_loss(
    kind: str, real: Sequence[Judged], fake: Sequence[Judged], weights: Sequence[Tensor] | None = None
) -> Tensor:
    """The sum over discriminators (jiang2020, Eq. 2 and 3, with "cross-entropy") of the means over patches.

    `weights`, for each discriminator shaped as its scores, says how much each patch counts; None: all alike.
    """
    return _summed(KINDS[kind][0], real, fake, weights)


def generator_loss(
    kind: str, real: Sequence[Judged], fake: Sequence[Judged], weights: Sequence[Tensor] | None = None
) -> Tensor:
    """The sum over discriminators of the means over patches; `real` needs no gradient."""
    return _summed(KINDS[kind][1], real, fake, weights)


def lung_shares(m: Tensor, judged: Sequence[Judged]) -> list[Tensor]:
    """How much of each patch's own square is lung, 0 to 1, shaped as the scores; `m` are one-hot maps."""
    return [
        F.adaptive_avg_pool2d(1 - m[:, :1], (patches.shape[2], patches.shape[3]))
        for patches in scores(judged)
    ]


def by_slice(judged: Sequence[Judged], weights: Sequence[Tensor] | None = None) -> Tensor:
    """The mean score of each slice (n,), summed over discriminators."""
    shares = weights or [torch.ones_like(patches) for patches in scores(judged)]
    means = [
        (share * patches.float()).sum((1, 2, 3)) / share.sum((1, 2, 3)).clamp(min=LEAST)
        for patches, share in zip(scores(judged), shares, strict=True)
    ]
    return torch.stack(means).sum(0)


def tone(x: Tensor, fake: Tensor) -> Tensor:
    """Mean distance of the grey of squares of `TONE` pixels a side: what is bright where, not its texture."""
    return (F.avg_pool2d(x.float(), TONE) - F.avg_pool2d(fake.float(), TONE)).abs().mean()


def _summed(
    term: Term, real: Sequence[Judged], fake: Sequence[Judged], weights: Sequence[Tensor] | None
) -> Tensor:
    lost = [term(r.float(), f.float()) for r, f in zip(scores(real), scores(fake), strict=True)]
    if weights is None:
        return torch.stack([patches.mean() for patches in lost]).sum()
    pairs = zip(lost, weights, strict=True)
    means = [(share * patches).sum() / share.sum().clamp(min=LEAST) for patches, share in pairs]
    return torch.stack(means).sum()


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
