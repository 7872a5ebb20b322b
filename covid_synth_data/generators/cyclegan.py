"""The networks of CycleGAN: both generators and the patch critic.

zunair2021, Sect. 3.1, translates with a "fully convolutional" generator; its published code has a U-Net
(`cyclegan-unet-original`; `cyclegan-unet` has the usual instance norm instead), Zhu et al. 2017 a residual
network (`cyclegan-resnet`). All networks map float tensors of shape (n, 1, height, width), values in [-1, 1].
Films are grey, so one channel replaces the original three.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError


class UpConv(nn.Module):
    """Nearest up-sampling by 2 and a 4x4 "same" convolution, computed at the low resolution.

    After nearest up-sampling, the 4x4 window of an output pixel covers two or three low-resolution pixels a
    side. Adding up the taps that fall on the same pixel gives one 3x3 kernel for each of the four output
    phases: the same function to rounding, with 9 instead of 16 multiplications a value and without the
    large intermediate image. `weight` has the shape of the 4x4 convolution that it stands for.
    """

    taps: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        """Weights for `inputs` channels in, `outputs` channels out, initialised as `nn.Conv2d` does."""
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, 4)
        self.weight = plain.weight
        self.bias = plain.bias
        # taps[phase, low-resolution pixel, kernel position]; "same" pads one before and two after.
        even = [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]
        odd = [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
        self.register_buffer("taps", torch.tensor([even, odd], dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, 2h, 2w)."""
        outputs, inputs = self.weight.shape[:2]
        phases = torch.einsum("yak,xbl,oikl->oyxiab", self.taps, self.taps, self.weight.float())
        kernel = phases.reshape(4 * outputs, inputs, 3, 3).to(self.weight.dtype)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(x, kernel, bias, padding=1), 2)


class TransposedUpConv(UpConv):
    """The same function as `UpConv`, as one transposed 5x5 convolution of stride 2.

    Nearest up-sampling repeats each value twice a side. Repeating and then convolving with 4 taps spreads
    a value over 5 outputs, so two sums of neighbouring taps a side give the 5x5 kernel. It needs 25
    multiplications for a low-resolution value where `UpConv` needs 36, and its output needs no rearranging.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        """Weights as those of `UpConv`."""
        super().__init__(inputs, outputs)
        # taps[position in the 5-tap kernel, position in the 4-tap kernel]
        taps = [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
        self.register_buffer("taps", torch.tensor(taps, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, 2h, 2w)."""
        kernel = torch.einsum("ak,bl,oikl->ioab", self.taps, self.taps, self.weight.float())
        return F.conv_transpose2d(x, kernel.to(self.weight.dtype), self.bias, 2, 2, 1)


class FilmNorm(nn.Module):
    """Instance norm over all values of a film, channels and positions together, with one scale and one shift.

    This is `InstanceNormalization` of keras-contrib with its default axis, which the original code uses. As
    there, `epsilon` is added to the standard deviation, not to the variance. Means are taken in fp32.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        """Scale 1 and shift 0."""
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape and type."""
        values = x.float()
        centred = values - values.mean((1, 2, 3), keepdim=True)
        # Spelled out, since the compiler fuses two plain means with what surrounds them, but not `var_mean`.
        # Clamped, since the root has no gradient at 0, where a film is constant.
        deviation = centred.square().mean((1, 2, 3), keepdim=True).clamp_min(1e-12).sqrt()
        return (centred * (self.weight / (deviation + self.epsilon)) + self.bias).to(x.dtype)


Norm = Literal["channel", "film"]
"""Instance norm over each channel of a film with its own scale and shift, or over the whole film."""


def _norm(norm: Norm, channels: int) -> nn.Module:
    return FilmNorm() if norm == "film" else nn.InstanceNorm2d(channels, affine=True)


def _down(inputs: int, outputs: int, norm: Norm | None) -> nn.Sequential:
    """4x4 convolution of stride 2, LeakyReLU 0.2, then instance norm: the order of the original code."""
    last = [_norm(norm, outputs)] if norm else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2), *last)


def _up(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    # The networks that were released with `UpConv` keep it, so that their images stay the same to the byte.
    up = TransposedUpConv(inputs, outputs) if norm == "film" else UpConv(inputs, outputs)
    return nn.Sequential(up, nn.ReLU(), _norm(norm, outputs))


class UNetGenerator(nn.Module):
    """The U-Net of the original code: four stride-2 convolutions, four up-sampling stages with skips, tanh.

    With `width` 32 it has 1.5 million parameters. Height and width must be multiples of 16, at least 32.
    """

    norm: Norm = "channel"

    def __init__(self, width: int = 32) -> None:
        """`width` is the number of channels after the first convolution."""
        super().__init__()
        self.down1, self.down2 = _down(1, width, self.norm), _down(width, 2 * width, self.norm)
        self.down3, self.down4 = (
            _down(2 * width, 4 * width, self.norm),
            _down(4 * width, 8 * width, self.norm),
        )
        self.up1, self.up2, self.up3 = (
            _up(8 * width, 4 * width, self.norm),
            _up(8 * width, 2 * width, self.norm),
            _up(4 * width, width, self.norm),
        )
        self.last: nn.Module = UpConv(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to the same shape and range. Raises `ConfigError` on other sizes."""
        check_multiple(x, 16)
        return torch.tanh(self.body(x))

    def body(self, x: Tensor) -> Tensor:
        """All layers but the last activation: (n, 1, h, w) to (n, channels, h, w), unbounded."""
        d1 = self.down1(x)
        d2 = self.down2(d1)
        d3 = self.down3(d2)
        u = torch.cat([self.up1(self.down4(d3)), d3], dim=1)
        u = torch.cat([self.up2(u), d2], dim=1)
        u = torch.cat([self.up3(u), d1], dim=1)
        return self.last(u)  # type: ignore[no-any-return]


class OriginalUNetGenerator(UNetGenerator):
    """The U-Net with the norm of the original code, `FilmNorm`: 1,542,351 parameters with `width` 32."""

    norm: Norm = "film"


def _smooth_up(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    """Linear up-sampling by 2 and a 3x3 convolution: no position within a doubled pixel is special."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        _norm(norm, outputs),
    )


class ToneUNetGenerator(UNetGenerator):
    """The U-Net as a map of local contrast and brightness; every fine detail is the source film's own.

    The network sees the film at a quarter of its resolution and gives two maps at that resolution: a gain
    in (-0.5, 0.5) and an offset in (-1, 1). They are interpolated linearly and applied to the film x as
    tanh((1 + gain) * atanh(x) + offset). Opacities are wider than the four pixels of a map's cell, while
    stripes, checkerboards and letters are not: the network can add haze and take away contrast, and cannot
    draw. Training starts from the identity, since the last layer starts at zero. The film is mirrored at its
    borders, so that the network does not see them. This generator is no paper's. Height and width must be
    multiples of 64, at least 128.
    """

    margin = 8
    """Cells of the mirrored border."""

    def __init__(self, width: int = 32) -> None:
        """`width` is the number of channels after the first convolution."""
        super().__init__(width)
        self.up1 = _smooth_up(8 * width, 4 * width, self.norm)
        self.up2 = _smooth_up(8 * width, 2 * width, self.norm)
        self.up3 = _smooth_up(4 * width, width, self.norm)
        last = nn.Conv2d(2 * width, 2, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.last = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), last)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to the same shape and range. Raises `ConfigError` on other sizes."""
        check_multiple(x, 64, 128)
        m = self.margin
        cells = F.pad(F.avg_pool2d(x, 4), (m, m, m, m), mode="reflect")
        maps = torch.tanh(self.body(cells)[:, :, m:-m, m:-m].float())
        gain, offset = F.interpolate(maps, scale_factor=4.0, mode="bilinear").chunk(2, dim=1)
        # 0.995 keeps the inverse of tanh finite; it is less than one grey level below white.
        return torch.tanh((1 + gain / 2) * torch.atanh(x.float().clamp(-0.995, 0.995)) + offset)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)  # type: ignore[no-any-return]


class ResNetGenerator(nn.Module):
    """The residual generator of Zhu et al. 2017, appendix: c7s1-w, d2w, d4w, nine R4w, u2w, uw, c7s1-1, tanh.

    With `width` 64 it has 11.4 million parameters. Height and width must be multiples of 4, at least 32.
    """

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        """`width` is the number of channels after the first convolution; `blocks` counts residual blocks."""
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(1, width, 7),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
        ]
        for factor in (1, 2):
            layers += [
                nn.Conv2d(factor * width, 2 * factor * width, 3, 2, 1),
                nn.InstanceNorm2d(2 * factor * width, affine=True),
                nn.ReLU(),
            ]
        layers += [_Residual(4 * width) for _ in range(blocks)]
        for factor in (4, 2):
            layers += [
                nn.ConvTranspose2d(factor * width, factor * width // 2, 3, 2, 1, output_padding=1),
                nn.InstanceNorm2d(factor * width // 2, affine=True),
                nn.ReLU(),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to the same shape and range. Raises `ConfigError` on other sizes."""
        check_multiple(x, 4)
        return self.layers(x)  # type: ignore[no-any-return]


class PatchCritic(nn.Module):
    """PatchGAN: one score for each patch of 16 x 16 pixels' stride; (n, 1, 16, 16) for films of 256.

    Four stride-2 layers from `width` channels up, the first without norm, and a 4x4 "same" convolution.
    """

    def __init__(self, width: int = 64, norm: Norm = "channel", scale: int = 1) -> None:
        """`width` is the number of channels after the first convolution; `norm` is "film" in the original.

        The critic sees the mean of each `scale` x `scale` pixels.
        """
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            _down(1, width, None),
            _down(width, 2 * width, norm),
            _down(2 * width, 4 * width, norm),
            _down(4 * width, 8 * width, norm),
        )
        self.score = nn.Conv2d(8 * width, 1, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to unbounded scores of shape (n, 1, h / 16, w / 16), less by `scale`."""
        check_multiple(x, 16 * self.scale)
        x = F.avg_pool2d(x, self.scale) if self.scale > 1 else x
        return self.score(F.pad(self.layers(x), (1, 2, 1, 2)))  # type: ignore[no-any-return]


def initialise_glorot(*networks: nn.Module) -> None:
    """Draw weights of convolutions uniformly after Glorot & Bengio 2010, biases zero, as Keras does.

    A bound is sqrt(6 / (fan in + fan out)), where a fan counts the 4x4 window. Norms stay as they are.
    """
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | UpConv):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def check_multiple(x: Tensor, factor: int, least: int = 32) -> None:
    """Raise `ConfigError` unless `x` is (n, 1, h, w) with h and w multiples of `factor`, at least `least`."""
    if x.ndim != 4 or x.shape[1] != 1 or any(side % factor or side < least for side in x.shape[2:]):
        raise ConfigError(
            "a film of a shape that the network cannot take",
            found=str(tuple(x.shape)),
            expected=f"(n, 1, height, width) with sides of at least {least} and multiples of {factor}",
            hint="choose another image size",
        )
