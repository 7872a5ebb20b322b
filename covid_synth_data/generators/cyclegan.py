"""The networks of CycleGAN: both generators and the patch critic.

zunair2021, Sect. 3.1, translates with a "fully convolutional" generator; its published code has a U-Net
(`cyclegan-unet`), Zhu et al. 2017 a residual network (`cyclegan-resnet`). All networks map float tensors of
shape (n, 1, height, width), values in [-1, 1]. Films are grey, so one channel replaces the original three.
"""

from __future__ import annotations

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


def _down(inputs: int, outputs: int, *, normalise: bool = True) -> nn.Sequential:
    """4x4 convolution of stride 2, LeakyReLU 0.2, then instance norm: the order of the original code."""
    norm: list[nn.Module] = [nn.InstanceNorm2d(outputs, affine=True)] if normalise else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2), *norm)


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(UpConv(inputs, outputs), nn.ReLU(), nn.InstanceNorm2d(outputs, affine=True))


class UNetGenerator(nn.Module):
    """The U-Net of the original code: four stride-2 convolutions, four up-sampling stages with skips, tanh.

    With `width` 32 it has 1.5 million parameters. Height and width must be multiples of 16, at least 32.
    """

    def __init__(self, width: int = 32) -> None:
        """`width` is the number of channels after the first convolution."""
        super().__init__()
        self.down1, self.down2 = _down(1, width), _down(width, 2 * width)
        self.down3, self.down4 = _down(2 * width, 4 * width), _down(4 * width, 8 * width)
        self.up1, self.up2, self.up3 = (
            _up(8 * width, 4 * width),
            _up(8 * width, 2 * width),
            _up(4 * width, width),
        )
        self.last = UpConv(2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to the same shape and range. Raises `ConfigError` on other sizes."""
        check_multiple(x, 16)
        d1 = self.down1(x)
        d2 = self.down2(d1)
        d3 = self.down3(d2)
        u = torch.cat([self.up1(self.down4(d3)), d3], dim=1)
        u = torch.cat([self.up2(u), d2], dim=1)
        u = torch.cat([self.up3(u), d1], dim=1)
        return torch.tanh(self.last(u))


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

    def __init__(self, width: int = 64) -> None:
        """`width` is the number of channels after the first convolution."""
        super().__init__()
        self.layers = nn.Sequential(
            _down(1, width, normalise=False),
            _down(width, 2 * width),
            _down(2 * width, 4 * width),
            _down(4 * width, 8 * width),
        )
        self.score = nn.Conv2d(8 * width, 1, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, h, w) in [-1, 1] to unbounded scores of shape (n, 1, h / 16, w / 16)."""
        check_multiple(x, 16)
        return self.score(F.pad(self.layers(x), (1, 2, 1, 2)))  # type: ignore[no-any-return]


def check_multiple(x: Tensor, factor: int) -> None:
    """Raise `ConfigError` unless `x` is (n, 1, h, w) with h and w multiples of `factor`, at least 32."""
    if x.ndim != 4 or x.shape[1] != 1 or any(side % factor or side < 32 for side in x.shape[2:]):
        raise ConfigError(
            "a film of a shape that the network cannot take",
            found=str(tuple(x.shape)),
            expected=f"(n, 1, height, width) with sides of at least 32 and multiples of {factor}",
            hint="choose another image size",
        )
