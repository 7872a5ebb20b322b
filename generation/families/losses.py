"""Adversarial losses, shared by the families. Scores are logits or critic values of any shape.

Every function returns a scalar in fp32, for scores of any precision.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError

Critic = Callable[[Tensor], Tensor]
"""Films (n, 1, h, w) to one score each. A conditional network has its labels bound beforehand."""


def bce_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """menon2020, Eq. 1, negated to be minimised: -E log D(x) - E log(1 - D(G(z))), D = sigmoid(logits)."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def bce_generator(fake_logits: Tensor) -> Tensor:
    """menon2020, Eq. 2, in the non-saturating form of Goodfellow et al. 2014: -E log D(G(z))."""
    return F.softplus(-fake_logits.float()).mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E C(G(z)) - E C(x): the negated estimate of the Wasserstein distance (Arjovsky et al. 2017)."""
    return fake.float().mean() - real.float().mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E C(G(z))."""
    return -fake.float().mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """RpGAN: E softplus(-(D(x) - D(G(z)))) over pairs (Jolicoeur-Martineau 2020; Huang et al. 2024, Eq. 2).

    Real film i is compared with generated film i, so both should show the same class.
    """
    return F.softplus(_paired(fake, real)).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """RpGAN: E softplus(-(D(G(z)) - D(x))) over the same pairs; `real` needs no gradient."""
    return F.softplus(_paired(real, fake)).mean()


def zero_centred_penalty(critic: Critic, x: Tensor) -> Tensor:
    """E ||dD/dx||^2 at `x` (n, ...): R1 on real films, R2 on generated ones (Mescheder et al. 2018).

    Without the factor gamma / 2. `x` is detached; gradients reach the critic's weights alone. Computed in
    fp32 even within autocast. Applied every k steps, it should weigh k times as much.
    """
    return _input_gradient(critic, x).square().sum(1).mean()


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, random: Tensor) -> Tensor:
    """E (||dC/dx|| - 1)^2 between real and generated films (Gulrajani et al. 2017), without the weight.

    `random` (n,) in [0, 1] says where between the two: 1 is the real film. Computed in fp32 even within
    autocast. Raises `ConfigError` when the shapes do not belong together.
    """
    if real.shape != fake.shape or random.shape != real.shape[:1]:
        raise ConfigError(
            "films that cannot be mixed for the gradient penalty",
            found=f"real {tuple(real.shape)}, generated {tuple(fake.shape)}, random {tuple(random.shape)}",
            expected="two batches of one shape (n, ...) and n numbers",
        )
    where = random.to(real.device, torch.float32).reshape(-1, *[1] * (real.ndim - 1))
    # Not torch.lerp: under autocast both must be brought to fp32 first.
    between = where * real.detach().float() + (1 - where) * fake.detach().float()
    # The small number keeps the square root's gradient finite where the critic is flat.
    return (_input_gradient(critic, between).square().sum(1).add(1e-12).sqrt() - 1).square().mean()


def clip_weights(module: nn.Module, limit: float) -> None:
    """Clamp every trained parameter to [-limit, limit] in place (Arjovsky et al. 2017). Buffers stay."""
    if not limit > 0:
        raise ConfigError("a limit of weights that leaves none", found=f"{limit:g}", expected="more than 0")
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-limit, limit)


def _paired(plus: Tensor, minus: Tensor) -> Tensor:
    """plus - minus in fp32. Raises `ConfigError` unless their shapes are the same."""
    if plus.shape != minus.shape:
        raise ConfigError(
            "scores that cannot be paired",
            found=f"{tuple(plus.shape)} and {tuple(minus.shape)}",
            expected="as many real films as generated ones",
        )
    return plus.float() - minus.float()


def _input_gradient(critic: Critic, x: Tensor) -> Tensor:
    """dD/dx (n, elements) in fp32, differentiable by the critic's weights. Films are taken one by one.

    The sum of the scores has each film's own gradient because the score of a film depends on it alone.
    """
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return gradient.flatten(1)
