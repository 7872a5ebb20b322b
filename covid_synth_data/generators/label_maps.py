"""Shared by the networks from label maps to CT slices: the maps as networks see them, noise, the lung alone.

A label map has the values 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation. Networks take it
one-hot, float (n, 4, h, w), and give a slice (n, 1, h, w) in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.layers import check_option
from covid_synth_data.generators.noise import noise

CLASSES: Final = 4
BLACK: Final = -1.0
AREAS: Final = ("lung", "slice")
"""What a network draws: the lung on black, or the whole slice."""
NORMS: Final = ("instance", "channel")


class LabelNetwork(nn.Module):
    """A generator from label maps. One that takes noise takes it as its second argument."""

    latent: int = 0
    """Numbers of noise that a slice takes."""
    planes: int = 0
    """Planes of noise that a slice takes, each with the sides of the label map."""

    def noise_of(self, maps: Tensor, seed: int, places: Sequence[int]) -> tuple[Tensor, ...]:
        """The noise of the images `places` of `seed`, one for each of `maps`; none where it takes none.

        Standard normal, (n, latent) or (n, planes, h, w). That of image i depends on (seed, i) alone.
        """
        shape = (self.planes, *maps.shape[2:]) if self.planes else (self.latent,)
        if not (numbers := math.prod(shape)):
            return ()
        drawn = np.stack([noise("normal", numbers, seed, i).reshape(shape) for i in places])
        return (torch.from_numpy(drawn).to(maps.device),)


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, with a scale and a shift for each channel.

    A lung is then normalised alike, however much black is around it, in a window or in a whole slice.
    """

    def __init__(self, width: int) -> None:
        """`width` channels in and out."""
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape."""
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


def normalised(norm: str, width: int) -> nn.Module:
    """The layer of a norm of `NORMS`."""
    return ChannelNorm(width) if norm == "channel" else nn.InstanceNorm2d(width, affine=True)


def one_hot(maps: Tensor) -> Tensor:
    """uint8 label maps (n, h, w) with values 0 to 3 to float (n, 4, h, w). Raises `ConfigError`."""
    if maps.ndim != 3 or maps.dtype != torch.uint8:
        raise ConfigError(
            "label maps of a wrong kind",
            found=f"{maps.dtype} {tuple(maps.shape)}",
            expected="uint8 (n, h, w)",
        )
    # Values are looked at on the CPU alone: elsewhere that would make the device wait.
    if maps.device.type == "cpu" and maps.numel() and int(maps.max()) >= CLASSES:
        raise ConfigError(
            "a label map with an unknown label",
            found=str(int(maps.max())),
            expected="0 background, 1 lung, 2 ground-glass opacity, 3 consolidation",
        )
    return F.one_hot(maps.long(), CLASSES).permute(0, 3, 1, 2).float()


def check_maps(maps: Tensor, multiple: int) -> None:
    """Raise `ConfigError` unless `maps` is float (n, 4, h, w), sides at least 32, multiples of `multiple`."""
    sides = maps.shape[2:]
    wrong = maps.ndim != 4 or maps.shape[1] != CLASSES or not maps.is_floating_point()
    if wrong or any(side < 32 or side % multiple for side in sides):
        raise ConfigError(
            "label maps of a shape or type that the network cannot take",
            found=f"{maps.dtype} {tuple(maps.shape)}",
            expected=f"a float tensor (n, {CLASSES}, height, width) with sides of at least 32 that are "
            f"multiples of {multiple}",
            hint="choose another image size",
        )


def check_area(area: str) -> None:
    """Raise `ConfigError` unless `area` is one of `AREAS`."""
    check_option("area", area, area in AREAS, " or ".join(AREAS))


def reduce(maps: Tensor, times: int) -> Tensor:
    """One-hot maps at half the size, `times` times, by nearest neighbour: they stay one-hot."""
    return maps[..., :: 2**times, :: 2**times]


def blacken(image: Tensor, maps: Tensor, area: str) -> Tensor:
    """With `area` "lung", black where the one-hot `maps` of the same size say background."""
    if area == "slice":
        return image
    return torch.where(maps[:, :1] > 0.5, image.new_tensor(BLACK), image)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, norm: str = "instance") -> nn.Sequential:
    """Convolution of size `kernel` that keeps the size or halves it, norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
    return nn.Sequential(layer, normalised(norm, outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + two 3x3 convolutions with norm, ReLU between them."""

    def __init__(self, width: int, norm: str = "instance") -> None:
        """`width` channels in and out."""
        super().__init__()
        last = nn.Conv2d(width, width, 3, 1, 1)
        self.body = nn.Sequential(*conv(width, width, 3, norm=norm), last, normalised(norm, width))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.body(x)  # type: ignore[no-any-return]
