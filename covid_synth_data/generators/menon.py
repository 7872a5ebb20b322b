"""The networks of menon2020, Sect. IV.C: one generator and one discriminator, 128 x 128, for all its GANs.

Baseline GAN, Transfer-GAN and MTT-GAN differ in how these two are trained. Weights start as in Keras.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from covid_synth_data.generators.layers import (
    check_films,
    check_noise,
    check_option,
    check_width,
    grid,
    keras_norm,
    keras_weights,
)

_SIDE = 16


class MenonGenerator(nn.Module):
    """Noise to films: a residual network of 7,246,337 trained parameters at width 128.

        layer                                                       output
        dense                                                       128 x 16 x 16
        deconv 4x4 stride 2, two residual blocks                    128 x 32 x 32
        deconv 4x4 stride 2, two residual blocks                    128 x 64 x 64
        deconv 4x4 stride 2, two residual blocks                    128 x 128 x 128
        conv 3x3, sigmoid                                             1 x 128 x 128

    A residual block adds to its input: deconv 4x4, batch norm 0.8, LeakyReLU, deconv 4x4, LeakyReLU.
    Attributes: `latent`, `size`, `classes` (0), `noise`.

    Deviations: the paper's films are in [0, 1], ours in [-1, 1], so the sigmoid s becomes 2 s - 1. A
    "deconvolution" of stride 1 is the convolution with the kernel turned round, and is computed as one. The
    slope of LeakyReLU is not given for the generator; it is the discriminator's, 0.2.
    """

    size = 128
    classes = 0

    def __init__(
        self, width: int = 128, latent: int = 100, noise: Literal["normal", "uniform"] = "normal"
    ) -> None:
        """`width` counts the channels of every layer.

        "Gaussian noise on the interval [0, 1]" (Sect. IV.A) contradicts itself: `noise` is standard normal,
        or uniform on [0, 1). The network is the same.
        """
        super().__init__()
        check_width("width", width, 1)
        check_width("latent", latent, 1)
        check_option("noise", noise, noise in ("normal", "uniform"), "'normal' or 'uniform'")
        self.latent, self.noise = latent, noise
        self.dense = nn.Linear(latent, width * _SIDE**2)
        self.blocks = nn.Sequential(*(_block(width) for _ in range(3)))
        self.last = nn.Conv2d(width, 1, 3, padding=1)
        keras_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        """Noise (n, latent) to films (n, 1, 128, 128) in [-1, 1]. Raises `ConfigError` on other shapes."""
        check_noise(z, self.latent)
        x = grid(self.dense(z), _SIDE, self.last.weight)
        return 2 * self.last(self.blocks(x)).float().sigmoid() - 1  # type: ignore[no-any-return]


class MenonDiscriminator(nn.Module):
    """Films to logits: 1,984,385 parameters at width 64.

        layer                                                           output
        conv 3x3 stride 2, conv 3x3, conv 3x3, dropout 0.4               64 x 64 x 64
        conv 3x3 stride 2, conv 3x3, conv 3x3, dropout 0.4              128 x 32 x 32
        conv 3x3 stride 2, conv 3x3, conv 3x3, dropout 0.4              256 x 16 x 16
        dense                                                             1

    LeakyReLU 0.2 follows each convolution. The paper's sigmoid is left to the loss. Films are brought back
    to the paper's [0, 1] first.
    """

    size = 128

    def __init__(self, width: int = 64) -> None:
        """`width` counts the channels of the first three layers."""
        super().__init__()
        check_width("width", width, 1)
        layers: list[nn.Module] = []
        inputs = 1
        for outputs in (width, 2 * width, 4 * width):
            for stride in (2, 1, 1):
                layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2)]
                inputs = outputs
            layers.append(nn.Dropout(0.4))
        self.layers = nn.Sequential(*layers)
        self.logit = nn.Linear(inputs * 16 * 16, 1)
        keras_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Films (n, 1, 128, 128) in [-1, 1] to logits (n,). Raises `ConfigError` on other shapes."""
        check_films(x, self.size)
        return self.logit(self.layers((x + 1) / 2).flatten(1)).squeeze(1)  # type: ignore[no-any-return]


class _Residual(nn.Module):
    """x + LeakyReLU(deconv(LeakyReLU(batch norm(deconv(x))))): the convolutions of stride 1 keep the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _deconv(width), keras_norm(width), nn.LeakyReLU(0.2), _deconv(width), nn.LeakyReLU(0.2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)  # type: ignore[no-any-return]


def _block(width: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(width, width, 4, 2, 1), _Residual(width), _Residual(width))


def _deconv(width: int) -> nn.Sequential:
    """Deconvolution 4x4 of stride 1, "same": what a transposed one cuts off, its convolution pads."""
    return nn.Sequential(nn.ZeroPad2d((2, 1, 2, 1)), nn.Conv2d(width, width, 4))
