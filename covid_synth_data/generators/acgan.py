"""The networks of CovidGAN (Waheed et al. 2020), an auxiliary-classifier GAN (Odena et al. 2017), 112 x 112.

The paper reports about 22 million parameters for the generator and about 2 million for the discriminator,
for three colour channels and two classes. Films are grey, so one channel replaces the three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covid_synth_data.generators.layers import (
    check_films,
    check_labels,
    check_noise,
    check_option,
    check_width,
    dcgan_weights,
    grid,
)

_SIDE = 7
_EMBEDDING = 50


class ACGANGenerator(nn.Module):
    """Noise and class to films: 22,292,264 trained parameters at width 128 and two classes.

        layer                                                       output
        noise: dense, ReLU                                          1024 x 7 x 7
        class: embedding of 50, dense                                  1 x 7 x 7
        joined, transposed conv 5x5 stride 2, batch norm, ReLU       512 x 14 x 14
        transposed conv 5x5 stride 2, batch norm, ReLU               256 x 28 x 28
        transposed conv 5x5 stride 2, batch norm, ReLU               128 x 56 x 56
        transposed conv 5x5 stride 2, tanh                             1 x 112 x 112

    Attributes: `latent`, `size`, `classes`, `noise`. Deviation: noise of standard deviation 1, where the
    paper's has 0.02; the first layer learns the scale.
    """

    size = 112
    noise = "normal"

    def __init__(self, width: int = 128, latent: int = 100, classes: int = 2) -> None:
        """`width` counts the channels of the last hidden layer; `classes` is at least 2."""
        super().__init__()
        check_width("width", width, 1)
        check_width("latent", latent, 1)
        check_option("classes", classes, classes >= 2, "at least 2")
        self.latent, self.classes = latent, classes
        self.dense = nn.Sequential(nn.Linear(latent, 8 * width * _SIDE**2), nn.ReLU())
        self.label = nn.Sequential(nn.Embedding(classes, _EMBEDDING), nn.Linear(_EMBEDDING, _SIDE**2))
        self.layers = nn.Sequential(
            *_up(8 * width + 1, 4 * width), *_up(4 * width, 2 * width), *_up(2 * width, width)
        )
        self.last = nn.ConvTranspose2d(width, 1, 5, 2, 2, output_padding=1)
        dcgan_weights(self)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Standard normal (n, latent) and int64 (n,) to films (n, 1, 112, 112) in [-1, 1].

        Raises `ConfigError` on other shapes and types, and (on the CPU) on labels that are no class.
        """
        check_noise(z, self.latent)
        check_labels(labels, len(z), self.classes)
        joined = torch.cat([self.dense(z), self.label(labels)], dim=1)
        return self.last(self.layers(grid(joined, _SIDE, self.last.weight))).float().tanh()  # type: ignore[no-any-return]


class ACGANDiscriminator(nn.Module):
    """Films to logits of real and of class: 1,645,251 trained parameters at width 32 and two classes.

        layer                                                       output
        conv 3x3, batch norm, LeakyReLU 0.2, dropout 0.5             32 x 112 x 112
        conv 3x3 stride 2, batch norm, LeakyReLU, dropout            64 x 56 x 56
        conv 3x3 stride 2, batch norm, LeakyReLU, dropout           128 x 28 x 28
        conv 3x3 stride 2, batch norm, LeakyReLU, dropout           256 x 14 x 14
        conv 3x3 stride 2, batch norm, LeakyReLU, dropout           512 x 7 x 7
        dense (real or generated) and dense (class)                   1 and 2

    The paper's sigmoid and softmax are left to the losses.
    """

    size = 112

    def __init__(self, width: int = 32, classes: int = 2, dropout: float = 0.5) -> None:
        """`width` counts the channels of the first layer; `dropout` is a rate in [0, 1)."""
        super().__init__()
        check_width("width", width, 1)
        check_option("classes", classes, classes >= 2, "at least 2")
        check_option("dropout", dropout, 0 <= dropout < 1, "a rate in [0, 1)")
        self.classes = classes
        layers: list[nn.Module] = []
        inputs = 1
        for step, stride in enumerate((1, 2, 2, 2, 2)):
            outputs = width * 2**step
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, 1),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.2),
                nn.Dropout(dropout),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.logit = nn.Linear(inputs * _SIDE**2, 1)
        self.named = nn.Linear(inputs * _SIDE**2, classes)
        dcgan_weights(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Films (n, 1, 112, 112) in [-1, 1] to logits (n,) of "real" and logits (n, classes).

        Raises `ConfigError` on other shapes.
        """
        check_films(x, self.size)
        features = self.layers(x).flatten(1)
        return self.logit(features).squeeze(1), self.named(features)


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    layer = nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]
