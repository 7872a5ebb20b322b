"""The networks of DCGAN (Radford et al. 2016, Sect. 3), 96 x 96, grey: a baseline in hussain2022, Table II.

The paper makes 64 x 64 from 4 x 4; four doublings of 6 x 6 make 96 x 96, the size of the WGAN it is compared
with.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from covid_synth_data.generators.layers import (
    check_films,
    check_noise,
    check_option,
    check_width,
    dcgan_weights,
    down,
    grid,
    up,
)

_SIDE = 6


class DCGANGenerator(nn.Module):
    """Noise to films: 4,617,089 trained parameters at width 64, 14,739,201 at 128.

        layer                                                output at width 64
        dense, batch norm, ReLU                              512 x 6 x 6
        transposed conv 4x4 stride 2, batch norm, ReLU       256 x 12 x 12
        transposed conv 4x4 stride 2, batch norm, ReLU       128 x 24 x 24
        transposed conv 4x4 stride 2, batch norm, ReLU        64 x 48 x 48
        transposed conv 4x4 stride 2, tanh                     1 x 96 x 96

    Attributes: `latent`, `size`, `classes` (0), `noise`. Deviations: kernels of 4x4, which cover each pixel
    equally often, for the 5x5 of the paper's Fig. 1, and half its width by default.
    """

    size = 96
    classes = 0

    def __init__(
        self, width: int = 64, latent: int = 100, noise: Literal["normal", "uniform"] = "uniform"
    ) -> None:
        """`width` counts the channels of the last hidden layer; 128 is the width of the paper's Fig. 1.

        The paper's `noise` is uniform.
        """
        super().__init__()
        check_width("width", width, 1)
        check_width("latent", latent, 1)
        check_option("noise", noise, noise in ("normal", "uniform"), "'normal' or 'uniform'")
        self.latent, self.noise = latent, noise
        self.dense = nn.Linear(latent, 8 * width * _SIDE**2)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(8 * width),
            nn.ReLU(),
            *up(8 * width, 4 * width),
            *up(4 * width, 2 * width),
            *up(2 * width, width),
        )
        self.last = nn.ConvTranspose2d(width, 1, 4, 2, 1)
        dcgan_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        """Noise (n, latent) to films (n, 1, 96, 96) in [-1, 1]. Raises `ConfigError` on other shapes.

        Uniform noise in [0, 1) is scaled here to [-1, 1), as in the paper.
        """
        check_noise(z, self.latent)
        if self.noise == "uniform":
            z = 2 * z - 1
        x = grid(self.dense(z), _SIDE, self.last.weight)
        return self.last(self.layers(x)).float().tanh()  # type: ignore[no-any-return]


class DCGANDiscriminator(nn.Module):
    """Films to logits: 2,773,825 trained parameters at width 64.

        layer                                                output at width 64
        conv 4x4 stride 2, LeakyReLU 0.2                      64 x 48 x 48
        conv 4x4 stride 2, batch norm, LeakyReLU             128 x 24 x 24
        conv 4x4 stride 2, batch norm, LeakyReLU             256 x 12 x 12
        conv 4x4 stride 2, batch norm, LeakyReLU             512 x 6 x 6
        dense                                                  1

    The paper's sigmoid is left to the loss.
    """

    size: int = 96

    def __init__(self, width: int = 64) -> None:
        """`width` counts the channels of the first layer."""
        super().__init__()
        check_width("width", width, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            *down(width, 2 * width),
            *down(2 * width, 4 * width),
            *down(4 * width, 8 * width),
        )
        self.logit = nn.Linear(8 * width * (self.size // 16) ** 2, 1)
        dcgan_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Films (n, 1, size, size) in [-1, 1] to logits (n,). Raises `ConfigError` on other shapes."""
        check_films(x, self.size)
        return self.logit(self.layers(x).flatten(1)).squeeze(1)  # type: ignore[no-any-return]
