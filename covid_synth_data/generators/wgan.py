"""The networks of hussain2022, Sect. III: generator and critic of a Wasserstein GAN, 96 x 96.

The paper gives layers and counts, not every size; up-sampling factors of 2, 2, 2 and 3 and one padded row and
column are the ones that give both 96 x 96 and its counts. Weights start as in Keras.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from covid_synth_data.generators.layers import (
    UpsampleConv,
    check_films,
    check_noise,
    check_option,
    check_width,
    grid,
    keras_norm,
    keras_weights,
)

_SIDE = 4


class WGANGenerator(nn.Module):
    """Noise to films: 2,040,705 parameters at width 256, counted as Keras does (with running statistics).

        layer                                            output            parameters
        dense, ReLU                                      256 x 4 x 4          413,696
        up-sample 2, conv 3x3, batch norm 0.8, ReLU      256 x 8 x 8          591,104
        up-sample 2, conv 3x3, batch norm 0.8, ReLU      256 x 16 x 16        591,104
        up-sample 2, conv 3x3, batch norm 0.8, ReLU      128 x 32 x 32        295,552
        up-sample 3, conv 3x3, batch norm 0.8, ReLU      128 x 96 x 96        148,096
        conv 3x3, tanh                                     1 x 96 x 96          1,153

    Attributes: `latent`, `size`, `classes` (0), `noise`. Up-sampling and convolution are one layer here
    (`UpsampleConv`): the same function. The ReLU after the dense layer is not in the paper.
    """

    size = 96
    classes = 0
    noise = "normal"

    def __init__(self, width: int = 256, latent: int = 100) -> None:
        """`width`, even, counts the channels of the first two stages; the other two have half of them."""
        super().__init__()
        check_width("width", width, 2)
        check_width("latent", latent, 1)
        self.latent = latent
        self.dense = nn.Sequential(nn.Linear(latent, _SIDE**2 * width), nn.ReLU())
        self.stages = nn.Sequential(
            _stage(width, width, 2),
            _stage(width, width, 2),
            _stage(width, width // 2, 2),
            _stage(width // 2, width // 2, 3),
        )
        self.last = nn.Conv2d(width // 2, 1, 3, padding=1)
        keras_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        """Standard normal (n, latent) to films (n, 1, 96, 96) in [-1, 1]. Raises `ConfigError`."""
        check_noise(z, self.latent)
        x = grid(self.dense(z), _SIDE, self.last.weight)
        return self.last(self.stages(x)).float().tanh()  # type: ignore[no-any-return]


class WGANCritic(nn.Module):
    """Films to unbounded values: 1,658,369 parameters at width 32, counted as Keras does.

        layer                                                   output           parameters
        conv 3x3 stride 2, LeakyReLU 0.2, dropout                32 x 48 x 48           320
        conv 3x3 stride 2, zero row and column, norm, ...        64 x 25 x 25        18,752
        conv 3x3 stride 2, norm, LeakyReLU, dropout             128 x 13 x 13        74,368
        conv 3x3, norm, LeakyReLU, dropout                      256 x 13 x 13       296,192
        conv 3x3, norm, LeakyReLU, dropout                      512 x 13 x 13     1,182,208
        dense                                                     1                  86,529

    Deviation: the paper ends in a sigmoid; a Wasserstein critic has none. The dropout rate, 0.25, is not in
    the paper. Batch norm makes a film's value depend on its batch, which the gradient penalty does not
    account for (Gulrajani et al. 2017, Sect. 4): `norm="layer"` has the norm of each film by itself instead.
    """

    size = 96

    def __init__(
        self, width: int = 32, norm: Literal["batch", "layer"] = "batch", dropout: float = 0.25
    ) -> None:
        """`width` counts the channels of the first layer; `dropout` is a rate in [0, 1)."""
        super().__init__()
        check_width("width", width, 1)
        check_option("norm", norm, norm in ("batch", "layer"), "'batch' or 'layer'")
        check_option("dropout", dropout, 0 <= dropout < 1, "a rate in [0, 1)")
        layers: list[nn.Module] = []
        inputs = 1
        for step, stride in enumerate((2, 2, 2, 1, 1)):
            outputs = width * 2**step
            layers.append(nn.Conv2d(inputs, outputs, 3, stride, 1))
            if step == 1:
                layers.append(nn.ZeroPad2d((0, 1, 0, 1)))
            if step:
                layers.append(keras_norm(outputs) if norm == "batch" else nn.GroupNorm(1, outputs))
            layers += [nn.LeakyReLU(0.2), nn.Dropout(dropout)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.value = nn.Linear(inputs * 13 * 13, 1)
        keras_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Films (n, 1, 96, 96) in [-1, 1] to values (n,). Raises `ConfigError` on other shapes."""
        check_films(x, self.size)
        return self.value(self.layers(x).flatten(1)).squeeze(1)  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    return nn.Sequential(UpsampleConv(inputs, outputs, factor), keras_norm(outputs), nn.ReLU())
