"""A small modern class-conditional GAN for a few hundred films: generator and discriminator.

Plain residual networks without normalisation layers, as in R3GAN (Huang et al. 2024), whose loss they are
trained with: leaky ReLU before each 3x3 convolution, bilinear resampling, and residual branches that start
at zero (Zhang et al. 2019, "Fixup"). Two things keep the cost low. The finest grid that has features is half
the size of the film: the generator ends, and the discriminator begins, with the four bands of an orthonormal
Haar wavelet (Gal et al. 2021), which loses nothing. And the convolution that changes the number of channels
works on the coarser of the two grids. A film is a function of its noise and label alone: there is no noise
inside the generator, and no layer of either network looks across the batch.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError

_COARSEST = 4
_WIDEST = 256
_SLOPE = 0.2


def _channels(size: int, width: int) -> list[int]:
    """Channels of the grids size / 2, size / 4, ..., 4: `width`, doubled each time, up to 8 width and 256."""
    steps = int(math.log2(size // 2 // _COARSEST))
    widest = max(width, min(_WIDEST, 8 * width))
    return [min(width * 2**step, widest) for step in range(steps + 1)]


def _check_options(**options: int) -> None:
    """Raise `ConfigError` unless `size` is a power of two in 32 to 1024 and the rest are in range."""
    size = options.pop("size")
    if not 32 <= size <= 1024 or size & (size - 1):
        raise ConfigError(
            "a film size that the network cannot take",
            found=f"size = {size}",
            expected="a power of two from 32 to 1024",
            hint="choose 128 or 256",
        )
    for name, value in options.items():
        least = 0 if name == "classes" else 1
        if value < least:
            raise ConfigError(
                "a wrong option of the network", found=f"{name} = {value}", expected=f"at least {least}"
            )


def _check_labels(labels: Tensor | None, count: int, classes: int) -> None:
    """Raise `ConfigError` unless there are `count` integer labels, or none where there are no classes."""
    if not classes:
        if labels is not None:
            raise ConfigError(
                "labels for a network without classes", found=str(tuple(labels.shape)), expected="none"
            )
        return
    expected = f"int64 of shape ({count},) in 0 to {classes - 1}"
    if labels is None:
        raise ConfigError("no labels for a network with classes", expected=expected)
    if labels.shape != (count,) or labels.dtype != torch.int64:
        raise ConfigError(
            "labels of a wrong kind", found=f"{labels.dtype} {tuple(labels.shape)}", expected=expected
        )


def _haar() -> Tensor:
    """Orthonormal 2x2 Haar filters (4, 1, 2, 2): mean, horizontal, vertical and diagonal difference."""
    signs = [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
    return torch.tensor(signs, dtype=torch.float32).reshape(4, 1, 2, 2) / 2


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


def _conv(inputs: int, outputs: int, kernel: int, *, gain: float = 1.0, bias: bool = True) -> nn.Conv2d:
    """A "same" convolution with weights of He et al. 2015 times `gain`, biases of zero."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    slope = _SLOPE if kernel > 1 else 1.0  # 1x1 convolutions stand on the skip path, without activation.
    nn.init.kaiming_normal_(layer.weight, slope)
    with torch.no_grad():
        layer.weight.mul_(gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer initialised as `_conv` is."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_normal_(layer.weight, _SLOPE)
    nn.init.zeros_(layer.bias)
    return layer


def _skip(inputs: int, outputs: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else _conv(inputs, outputs, 1, bias=False)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class _Synthesis(nn.Module):
    """A residual block that doubles the grid; each convolution's inputs are scaled by the style."""

    def __init__(self, inputs: int, outputs: int, style: int, gain: float) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, 3, gain=gain)
        self.second = _conv(outputs, outputs, 3, gain=0)
        self.skip = _skip(inputs, outputs)
        self.style = nn.Linear(style, inputs + outputs)
        nn.init.normal_(self.style.weight, std=0.5 / math.sqrt(style))
        nn.init.ones_(self.style.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(n, inputs, h, w) and (n, style) to (n, outputs, 2h, 2w)."""
        scale = self.style(style)[:, :, None, None]
        first, second = scale.split([x.shape[1], scale.shape[1] - x.shape[1]], dim=1)
        h = _up(self.first(_act(x) * first))
        h = self.second(_act(h) * second)
        return _up(self.skip(x)) + h  # type: ignore[no-any-return]


class _Analysis(nn.Module):
    """A residual block that halves the grid, the mirror image of `_Synthesis` without styles."""

    def __init__(self, inputs: int, outputs: int, gain: float) -> None:
        super().__init__()
        self.first = _conv(inputs, inputs, 3, gain=gain)
        self.second = _conv(inputs, outputs, 3, gain=0)
        self.skip = _skip(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, 2h, 2w) to (n, outputs, h, w). A mean over 2x2 is bilinear sampling at half size."""
        h = F.avg_pool2d(self.first(_act(x)), 2)
        return self.skip(F.avg_pool2d(x, 2)) + self.second(_act(h))  # type: ignore[no-any-return]


class DiffAugGenerator(nn.Module):
    """Noise and label to a film.

    Noise, scaled to unit mean square, and the label's embedding pass a two-layer perceptron to a style; the
    style makes the coarsest grid of features and scales the inputs of every convolution. Attributes: `size`
    (pixels), `latent` (length of the noise), `classes`, `noise` (the noise is normal).
    """

    noise = "normal"
    haar: Tensor

    def __init__(self, size: int = 128, width: int = 64, latent: int = 128, classes: int = 3) -> None:
        """`width` counts the channels of the finest grid. `classes` 0 builds a generator without labels."""
        super().__init__()
        _check_options(size=size, width=width, latent=latent, classes=classes)
        self.size, self.latent, self.classes = size, latent, classes
        channels = _channels(size, width)[::-1]
        self.embedding = nn.Embedding(classes, latent) if classes else None
        self.mapping = nn.Sequential(
            _dense(2 * latent if classes else latent, latent),
            nn.LeakyReLU(_SLOPE),
            _dense(latent, latent),
            nn.LeakyReLU(_SLOPE),
        )
        self.start = _dense(latent, channels[0] * _COARSEST**2)
        gain = (len(channels) - 1) ** -0.5
        self.blocks = nn.ModuleList(
            _Synthesis(before, after, latent, gain) for before, after in itertools.pairwise(channels)
        )
        self.head = _conv(channels[-1], 4, 3, gain=0.25)
        with torch.no_grad():
            self.head.weight[1:].zero_()  # Differences of neighbours start at zero, not as a chequered film.
        self.register_buffer("haar", _haar(), persistent=False)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise (n, latent) and labels int64 (n,) to films (n, 1, size, size).

        In evaluation films are clamped to [-1, 1]. In training they are not, so that a pixel that is too
        dark or too bright still receives a gradient. Raises `ConfigError` for other shapes.
        """
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ConfigError(
                "noise of a wrong shape", found=str(tuple(z.shape)), expected=f"(n, {self.latent})"
            )
        _check_labels(labels, len(z), self.classes)
        style = self._style(z, labels)
        x = self.start(style).unflatten(1, (-1, _COARSEST, _COARSEST))
        if self.head.weight.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, style)
        film = F.conv_transpose2d(self.head(_act(x)), self.haar, stride=2)
        return film if self.training else film.clamp(-1, 1)

    def _style(self, z: Tensor, labels: Tensor | None) -> Tensor:
        z = z * z.square().mean(1, keepdim=True).add(1e-8).rsqrt()
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(labels)], dim=1)
        return self.mapping(z)  # type: ignore[no-any-return]


class DiffAugDiscriminator(nn.Module):
    """Film and label to a score; the label enters by projection (Miyato and Koyama 2018)."""

    haar: Tensor

    def __init__(self, size: int = 128, width: int = 64, classes: int = 3, group: int = 1) -> None:
        """`width` counts the channels of the finest grid. `classes` 0 builds one without labels.

        With a `group` of more than 1, the spread of the features over every `group` films of a batch is one
        more feature (Karras et al. 2018, Sect. 3), so that films which are all alike give themselves away;
        a score then depends on its group. Group i holds the films i, i + n / group, i + 2 n / group, ...
        """
        super().__init__()
        _check_options(size=size, width=width, classes=classes)
        self.size, self.classes, self.group = size, classes, group
        channels = _channels(size, width)
        self.register_buffer("haar", _haar(), persistent=False)
        self.stem = _conv(4, channels[0], 3)
        gain = (len(channels) - 1) ** -0.5
        self.blocks = nn.ModuleList(
            _Analysis(before, after, gain) for before, after in itertools.pairwise(channels)
        )
        features = channels[-1]
        self.features = _dense((channels[-1] + (group > 1)) * _COARSEST**2, features)
        self.score = nn.Linear(features, 1)
        self.embedding = nn.Embedding(classes, features) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Films (n, 1, size, size), about [-1, 1], and labels int64 (n,) to unbounded scores (n,).

        Raises `ConfigError` for other shapes.
        """
        if x.shape[1:] != (1, self.size, self.size):
            raise ConfigError(
                "a film of a shape that the network cannot take",
                found=str(tuple(x.shape)),
                expected=f"(n, 1, {self.size}, {self.size})",
            )
        _check_labels(labels, len(x), self.classes)
        h = self.stem(F.conv2d(x, self.haar, stride=2))
        for block in self.blocks:
            h = block(h)
        h = _act(h)
        if self.group > 1:
            h = torch.cat([h, self._spread(h)], dim=1)
        features = _act(self.features(h.flatten(1)))
        score: Tensor = self.score(features).squeeze(1)
        if self.embedding is not None:
            score = score + (features * self.embedding(labels)).sum(1)
        return score

    def _spread(self, h: Tensor) -> Tensor:
        """(n, channels, 4, 4) to (n, 1, 4, 4): the mean standard deviation within the group of each film."""
        if len(h) % self.group:
            raise ConfigError(
                "a batch that cannot be grouped",
                found=f"{len(h)} films",
                expected=f"a multiple of {self.group}",
                hint="change training.batch_size or network.group",
            )
        grouped = h.float().reshape(self.group, -1, *h.shape[1:])
        spread = grouped.var(0, unbiased=False).add(1e-8).sqrt().mean((1, 2, 3))
        grid: Tensor = spread.repeat(self.group).reshape(-1, 1, 1, 1).expand(-1, 1, *h.shape[2:])
        return grid.to(h.dtype)
