"""The networks of IAGAN (Motamed et al. 2021), an "inception-augmentation" GAN, 128 x 128.

The paper's generator takes noise and a real film: convolutions and self-attention encode the film, a dense
layer projects the noise, both are joined and up-sampled with inception and residual blocks and attention.
The paper does not state the widths; those here are ours.

Our deviation: sampling must not need real films. The film's branch therefore ends in a vector, its code.
When training ends, `fit_codes` fits a normal distribution to the codes of the training films and keeps it
with the weights; `forward(z)` draws its codes from there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.dcgan import DCGANDiscriminator
from covid_synth_data.generators.layers import (
    check_films,
    check_noise,
    check_width,
    dcgan_weights,
    down,
    grid,
    up,
)

_SIDE = 8
_CHUNK = 32


class SelfAttention(nn.Module):
    """Self-attention over all places of a map, added with a weight that starts at 0 (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        """Three 1x1 convolutions: queries and keys of an eighth of the `channels`, values of all."""
        super().__init__()
        self.sizes = [max(1, channels // 8), max(1, channels // 8), channels]
        self.project = nn.Conv2d(channels, sum(self.sizes), 1)
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape."""
        places = self.project(x).flatten(2).transpose(1, 2)
        query, key, value = torch.split(places.unsqueeze(1), self.sizes, dim=3)
        seen: Tensor = F.scaled_dot_product_attention(query, key, value)
        return x + self.weight * seen.squeeze(1).transpose(1, 2).reshape(x.shape)


class InceptionResidual(nn.Module):
    """Kernels of 1x1, 3x3 and two of 3x3 side by side, joined by 1x1 and added to their input.

    The block A of Inception-ResNet (Szegedy et al. 2017), each branch a quarter of the channels wide.
    """

    def __init__(self, channels: int) -> None:
        """`channels`, a multiple of 4, go in and come out."""
        super().__init__()
        narrow = channels // 4
        self.reduce = nn.Sequential(nn.Conv2d(channels, 3 * narrow, 1), nn.BatchNorm2d(3 * narrow), nn.ReLU())
        self.middle = _conv(narrow)
        self.wide = nn.Sequential(_conv(narrow), _conv(narrow))
        self.join = nn.Conv2d(3 * narrow, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same shape, not negative."""
        small, middle, wide = self.reduce(x).chunk(3, dim=1)
        return F.relu(x + self.join(torch.cat([small, self.middle(middle), self.wide(wide)], dim=1)))


class IAGANGenerator(nn.Module):
    """Noise and a film, or its code, to films: 6,893,803 trained parameters at width 64.

        film:   conv 4x4 stride 2, LeakyReLU 0.2                             32 x 64 x 64
                conv 4x4 stride 2, batch norm, LeakyReLU                     64 x 32 x 32
                conv 4x4 stride 2, batch norm, LeakyReLU, self-attention    128 x 16 x 16
                conv 4x4 stride 2, batch norm, LeakyReLU                    256 x 8 x 8
                dense                                                       128 (the code)
        code:   dense, ReLU                                                 128 x 8 x 8
        noise:  dense, ReLU                                                 128 x 8 x 8
        joined: up, inception-residual block                                256 x 16 x 16
                up, inception-residual block, self-attention                128 x 32 x 32
                up, inception-residual block                                 64 x 64 x 64
                up, inception-residual block                                 32 x 128 x 128
                conv 3x3, tanh                                                1 x 128 x 128

    "Up" is a transposed convolution 4x4 of stride 2, batch norm and ReLU. Attributes: `code` (length of the
    code), `latent` (of noise and code together), `size`, `classes` (0), `noise`; `code_mean` (code,) and
    `code_factor` (code, code), the distribution of codes, standard normal until `fit_codes` is called.
    """

    size = 128
    classes = 0
    noise = "normal"
    code_mean: Tensor
    code_factor: Tensor

    def __init__(self, width: int = 64, noise_length: int = 120, code: int = 128) -> None:
        """`width`, a multiple of 8, counts the channels of the last but one stage."""
        super().__init__()
        check_width("width", width, 8)
        check_width("noise_length", noise_length, 1)
        check_width("code", code, 1)
        self.noise_length, self.code, self.latent = noise_length, code, noise_length + code
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width // 2, 4, 2, 1),
            nn.LeakyReLU(0.2),
            *down(width // 2, width),
            *down(width, 2 * width),
            SelfAttention(2 * width),
            *down(2 * width, 4 * width),
            nn.Flatten(),
            nn.Linear(4 * width * _SIDE**2, code),
        )
        self.from_code = nn.Sequential(nn.Linear(code, 2 * width * _SIDE**2), nn.ReLU())
        self.from_noise = nn.Sequential(nn.Linear(noise_length, 2 * width * _SIDE**2), nn.ReLU())
        self.decoder = nn.Sequential(
            *up(4 * width, 4 * width),
            InceptionResidual(4 * width),
            *up(4 * width, 2 * width),
            InceptionResidual(2 * width),
            SelfAttention(2 * width),
            *up(2 * width, width),
            InceptionResidual(width),
            *up(width, width // 2),
            InceptionResidual(width // 2),
        )
        self.last = nn.Conv2d(width // 2, 1, 3, padding=1)
        self.register_buffer("code_mean", torch.zeros(code))
        self.register_buffer("code_factor", torch.eye(code))
        dcgan_weights(self)
        # A code of about the scale of the noise, so that neither drowns the other from the start.
        nn.init.xavier_uniform_(self.encoder[-1].weight)  # type: ignore[arg-type]

    def forward(self, z: Tensor, code: Tensor | None = None) -> Tensor:
        """Standard normal (n, latent), or (n, noise_length) with codes, to films (n, 1, 128, 128) in [-1, 1].

        Without codes, the tail of `z` becomes a code by `sample_code`. Raises `ConfigError` on other shapes.
        """
        if code is None:
            check_noise(z, self.latent)
            z, tail = torch.split(z, [self.noise_length, self.code], dim=1)
            code = self.sample_code(tail)
        check_noise(z, self.noise_length)
        check_noise(code, self.code)
        joined = torch.cat([self.from_noise(z), self.from_code(code)], dim=1)
        return self.last(self.decoder(grid(joined, _SIDE, self.last.weight))).float().tanh()  # type: ignore[no-any-return]

    def forward_from(self, z: Tensor, films: Tensor) -> Tensor:
        """The paper's generator: noise (n, noise_length) and real films (n, 1, 128, 128) to films."""
        return self(z, self.encode(films))  # type: ignore[no-any-return]

    def encode(self, films: Tensor) -> Tensor:
        """Films (n, 1, 128, 128) in [-1, 1] to codes (n, code)."""
        check_films(films, self.size)
        return self.encoder(films)  # type: ignore[no-any-return]

    def sample_code(self, gaussian: Tensor) -> Tensor:
        """Standard normal (n, code) to codes of the distribution that `fit_codes` found."""
        check_noise(gaussian, self.code)
        return self.code_mean + F.linear(gaussian, self.code_factor)

    @torch.no_grad()
    def fit_codes(self, films: Tensor) -> None:
        """Set `code_mean` and `code_factor` from at least two films (n, 1, 128, 128), in evaluation mode.

        The factor is the symmetric square root of the codes' covariance: unlike eigenvectors it is unique,
        and unlike a Cholesky factor it exists with fewer films than the code is long. Raises `ConfigError`.
        """
        check_films(films, self.size)
        if len(films) < 2:
            raise ConfigError(
                "too few films for a distribution", found=str(len(films)), expected="at least 2"
            )
        training = self.training
        self.eval()
        with torch.autocast(films.device.type, enabled=False):
            codes = torch.cat([self.encode(part) for part in torch.split(films, _CHUNK)]).double().cpu()
        self.train(training)
        values, vectors = torch.linalg.eigh(codes.T.cov())
        self.code_mean.copy_(codes.mean(0))
        self.code_factor.copy_(vectors * values.clamp(min=0).sqrt() @ vectors.T)


class IAGANDiscriminator(DCGANDiscriminator):
    """Films (n, 1, 128, 128) to logits (n,): that of DCGAN a size larger, 2,788,161 trained parameters.

    At width 64 its maps are 64 x 64 x 64, 128 x 32 x 32, 256 x 16 x 16 and 512 x 8 x 8.
    """

    size = 128


def _conv(channels: int) -> nn.Sequential:
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())
