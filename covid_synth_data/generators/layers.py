"""Helpers of the generators from noise: checks of inputs, up-sampling, initial weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError


def check_option(name: str, value: object, fits: bool, expected: str) -> None:
    """Raise `ConfigError` about the network's option `name` unless it `fits`."""
    if not fits:
        raise ConfigError(
            "a network that cannot be built so", found=f"{name} = {value!r}", expected=f"{name} = {expected}"
        )


def check_width(name: str, value: int, multiple: int) -> None:
    """Raise `ConfigError` unless `value` is a positive multiple of `multiple`."""
    fits = value >= multiple and value % multiple == 0
    check_option(name, value, fits, "at least 1" if multiple == 1 else f"a positive multiple of {multiple}")


def check_noise(z: Tensor, latent: int) -> None:
    """Raise `ConfigError` unless `z` is floating-point noise of shape (n, latent)."""
    if z.ndim != 2 or z.shape[1] != latent or not z.is_floating_point():
        raise ConfigError(
            "noise of a wrong shape or type",
            found=f"{z.dtype} {tuple(z.shape)}",
            expected=f"a float tensor (n, {latent})",
        )


def check_films(x: Tensor, size: int) -> None:
    """Raise `ConfigError` unless `x` holds floating-point films of shape (n, 1, size, size)."""
    if x.ndim != 4 or x.shape[1:] != (1, size, size) or not x.is_floating_point():
        raise ConfigError(
            "films of a wrong shape or type",
            found=f"{x.dtype} {tuple(x.shape)}",
            expected=f"a float tensor (n, 1, {size}, {size})",
        )


def check_labels(labels: Tensor, count: int, classes: int) -> None:
    """Raise `ConfigError` unless `labels` is int64 (count,) in 0 to classes - 1.

    Values are looked at on the CPU alone: elsewhere that would make the device wait.
    """
    fits = labels.shape == (count,) and labels.dtype == torch.int64
    if fits and count and labels.device.type == "cpu" and not torch.compiler.is_compiling():
        fits = int(labels.min()) >= 0 and int(labels.max()) < classes
    if not fits:
        raise ConfigError(
            "wrong labels",
            found=f"{labels.dtype} {tuple(labels.shape)}",
            expected=f"int64 ({count},) with values in 0 to {classes - 1}",
        )


def grid(x: Tensor, side: int, weight: Tensor) -> Tensor:
    """(n, channels * side * side) to (n, channels, side, side), in the memory layout of `weight`."""
    x = x.reshape(len(x), -1, side, side)
    if weight.is_contiguous(memory_format=torch.channels_last):
        x = x.contiguous(memory_format=torch.channels_last)
    return x


class UpsampleConv(nn.Module):
    """Nearest up-sampling by `factor` and a 3x3 "same" convolution, as one transposed convolution.

    Nearest up-sampling is itself a transposed convolution, with ones; joined with the 3x3 kernel it has
    factor + 2 taps a side. The same function to rounding, with 16 instead of 36 multiplications a
    low-resolution value (factor 2) or 25 instead of 81 (factor 3), and without the large intermediate image.
    `weight` (outputs, inputs, 3, 3) and `bias` are those of the plain convolution that it stands for.
    """

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        """Weights initialised as `nn.Conv2d` does. Raises `ConfigError` unless `factor` is at least 1."""
        super().__init__()
        check_option("factor", factor, factor >= 1, "at least 1")
        plain = nn.Conv2d(inputs, outputs, 3)
        self.weight, self.bias, self.factor = plain.weight, plain.bias, factor
        # taps[m, k]: position k of the 3x3 kernel meets the up-sampled pixel that tap m falls on.
        taps = [[float(0 <= m + k - 2 < factor) for k in range(3)] for m in range(factor + 2)]
        self.register_buffer("taps", torch.tensor(taps), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, factor * h, factor * w)."""
        kernel = torch.einsum("yk,xl,oikl->ioyx", self.taps, self.taps, self.weight)
        return F.conv_transpose2d(x, kernel, self.bias, stride=self.factor, padding=1)


def down(inputs: int, outputs: int) -> list[nn.Module]:
    """Half the size, as DCGAN does. No bias: the batch norm that follows has one."""
    layer = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]


def up(inputs: int, outputs: int) -> list[nn.Module]:
    """Twice the size, as DCGAN does: transposed convolution 4x4, batch norm, ReLU."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def keras_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm of "momentum 0.8" as Keras counts it, with the epsilon of Keras."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.2)


def keras_weights(network: nn.Module) -> None:
    """Start as the layers of Keras do: weights of Glorot & Bengio 2010, uniform; biases of zero."""
    for layer in _layers(network):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def dcgan_weights(network: nn.Module) -> None:
    """Start as Radford et al. 2016, Sect. 4: weights normal of standard deviation 0.02; biases zero."""
    for layer in _layers(network):
        nn.init.normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _layers(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d | nn.Linear | UpsampleConv]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, UpsampleConv)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]
