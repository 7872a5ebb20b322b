"""Differentiable augmentation of the discriminator's inputs (Zhao et al. 2020), adapted to films.

A discriminator memorises a small training set. If it sees real and generated films only through random
differentiable changes, it learns features that are invariant to them, and the generator still makes unchanged
films. Films are grey, so there is no saturation; they are never mirrored, since the heart would
change its side; they may be turned and scaled a little, as patients are placed.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.models import FrozenModel

DRAWS: Final = 11
"""Random numbers that one film takes."""

BLACK: Final = -1.0
"""Fill value outside a film that was moved."""

GREY: Final = 0.0
"""Fill value of a cutout."""


class Policy(FrozenModel):
    """How strong each change is at most; 0 leaves it out.

    `brightness` is added, in units of half the grey range; `contrast` is the relative change about the
    film's mean; `translation` and `cutout` are parts of the side; `scale` is the relative change of size;
    `rotation` is in degrees. `probability` is that of each film to be moved, turned or scaled, to get a
    hole, and to change its greys, each on its own. The defaults are milder than the paper's: a change wider
    than films differ in the same respect hides from the discriminator that generated films do not differ.
    """

    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0625
    cutout: Annotated[float, Field(ge=0, le=0.75)] = 0.25
    scale: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    rotation: Annotated[float, Field(ge=0, le=45)] = 0.0
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Uniform random numbers (count, DRAWS) in [0, 1) on the generator's device, for `augment`."""
    return torch.rand((count, DRAWS), generator=generator, device=generator.device)


def augment(x: Tensor, random: Tensor, policy: Policy) -> Tensor:
    """Films (n, 1, h, w), about [-1, 1], changed by `policy`: same shape, fp32, differentiable in `x`.

    A pure function: film i depends on itself and on `random[i]` (`draw`) alone. Greys may leave [-1, 1].
    Real and generated films should each get random numbers of their own. Raises `ConfigError`.
    """
    if x.ndim != 4 or random.shape != (len(x), DRAWS):
        raise ConfigError(
            "films and random numbers that do not belong together",
            found=f"films {tuple(x.shape)}, numbers {tuple(random.shape)}",
            expected=f"(n, 1, h, w) and (n, {DRAWS})",
        )
    # Interpolation in bf16 would round positions to whole pixels and more.
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        u = random.to(x.device, torch.float32, non_blocking=True)
        chosen = (u[:, :3] < policy.probability).float()
        if policy.brightness or policy.contrast:
            x = _greys(x, u[:, 3:5] * 2 - 1, chosen[:, 0], policy)
        if policy.translation or policy.scale or policy.rotation:
            x = _move(x, u[:, 5:9] * 2 - 1, chosen[:, 1], policy)
        if policy.cutout:
            x = _hole(x, u[:, 9:11], chosen[:, 2], policy.cutout)
        return x


def augmented(films: Tensor, policy: Policy) -> Tensor:
    """Films changed by `policy` (`augment`) with numbers from torch's own generator, which the loop seeds."""
    return augment(films, torch.rand((len(films), DRAWS), device=films.device), policy)


def _greys(x: Tensor, u: Tensor, chosen: Tensor, policy: Policy) -> Tensor:
    """Brightness and contrast by u (n, 2) in [-1, 1]."""
    shift = (chosen * policy.brightness * u[:, 0]).view(-1, 1, 1, 1)
    gain = (1 + chosen * policy.contrast * u[:, 1]).view(-1, 1, 1, 1)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * gain + mean + shift


def _move(x: Tensor, u: Tensor, chosen: Tensor, policy: Policy) -> Tensor:
    """Translation by whole pixels, rotation and scale about the middle, by u (n, 4) in [-1, 1]."""
    height, width = x.shape[2:]
    angle = chosen * math.radians(policy.rotation) * u[:, 2]
    scale = torch.exp(chosen * math.log1p(policy.scale) * u[:, 3])
    # Whole pixels: a film that is only moved must not be smoothed, or the discriminator would miss noise.
    right = torch.round(chosen * policy.translation * u[:, 0] * width) * (2 / width)
    down = torch.round(chosen * policy.translation * u[:, 1] * height) * (2 / height)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    aspect = height / width
    theta = torch.stack([cos, -sin * aspect, right, sin / aspect, cos, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    # grid_sample knows zeros only; films are shifted so that zero is black.
    return F.grid_sample(x - BLACK, grid, padding_mode="zeros", align_corners=False) + BLACK


def _hole(x: Tensor, u: Tensor, chosen: Tensor, part: float) -> Tensor:
    """A grey rectangle of `part` of each side with its centre anywhere in the film, by u (n, 2) in [0, 1)."""
    inside = chosen.view(-1, 1, 1) > 0
    for axis, side in ((1, x.shape[2]), (2, x.shape[3])):
        length = round(part * side)
        centre = (u[:, axis - 1] * side).floor().view(-1, 1)
        distance = torch.arange(side, device=x.device) - (centre - length // 2)
        within = (distance >= 0) & (distance < length)
        inside = inside & within.unsqueeze(3 - axis)
    return x.masked_fill(inside.unsqueeze(1), GREY)
