"""The global-local generator of jiang2020 (Sect. III.A, Fig. 3 and 4) with its dynamic element-wise sum.

G1 sees the label map at half the resolution and G2 at full resolution; G2 never reduces it. Alone, each makes
a slice of its own resolution. Jointly, what enters G2's residual blocks is the sum, weighed by DESUM
(Eq. 1), of its own features and of G1's last ones, and the slice is G2's.

Instance norm and zero padding are not in the paper's figures; the last 7x7 layer is read as the one that
makes the image. Two options are not in the paper: planes of noise beside the label map, from which a network
can draw the vessels that no label map says, and a norm that does not depend on how much of a slice is black.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from covid_synth_data.errors import ConfigError
from covid_synth_data.generators.label_maps import (
    CLASSES,
    NORMS,
    LabelNetwork,
    Residual,
    blacken,
    check_area,
    check_maps,
    conv,
    reduce,
)
from covid_synth_data.generators.layers import check_option, check_width

DESUMS = ("dynamic", "fixed", "none")
OBSERVED = ("local", "global")


class Weighting(nn.Module):
    """A small network that computes weights of terms from features: three convolutions, two dense layers.

    The last layer starts at zero, so that all terms weigh the same at first.
    """

    def __init__(self, inputs: int, width: int, outputs: int = 1) -> None:
        """`inputs` and `width` are the channels of the features and of the hidden layers."""
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, width, width):
            layers += [nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, outputs))
        last = self.dense[-1]
        assert isinstance(last, nn.Linear)  # noqa: S101 - two lines above
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(n, inputs, h, w) to logits (n, outputs)."""
        return self.dense(self.convolutions(features).mean((2, 3)))  # type: ignore[no-any-return]


class DESUM(nn.Module):
    """Eq. 1: alpha local + (1 - alpha) global, alpha in (0, 1) for each slice by a network of its own.

    The global features come from half the resolution and have other channels: a 1x1 convolution and a
    bilinear up-sampling bring them up (in this order, which is the same function at a quarter of the cost).
    `mode` "fixed" takes `alpha` as it is; "none" is the plain sum (Table V, "w/o DESUM"). `observes` says
    which features the network looks at ("global": Table V, "using F_global").
    """

    def __init__(
        self, local: int, coarse: int, mode: str = "dynamic", observes: str = "local", alpha: float = 0.5
    ) -> None:
        """`local` and `coarse` are numbers of channels. Raises `ConfigError` on an unknown mode."""
        super().__init__()
        check_option("desum", mode, mode in DESUMS, ", ".join(DESUMS))
        check_option("desum_observes", observes, observes in OBSERVED, " or ".join(OBSERVED))
        check_option("alpha", alpha, 0 <= alpha <= 1, "0 to 1")
        self.mode, self.observes, self.alpha = mode, observes, alpha
        self.bring = nn.Conv2d(coarse, local, 1)
        self.weighting = Weighting(local, max(8, local // 4)) if mode == "dynamic" else None

    def forward(self, local: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """(n, local, h, w) and (n, coarse, h', w') to the sum, shaped as `local`, and alpha (n, 1, 1, 1)."""
        size, brought = (local.shape[2], local.shape[3]), self.bring(coarse)
        if size[0] >= brought.shape[2]:
            brought = F.interpolate(brought, size=size, mode="bilinear", align_corners=False)
        else:  # into the small maps of a G1 that a third generator helps
            brought = F.adaptive_avg_pool2d(brought, size)
        if self.weighting is None:
            alpha = local.new_full((len(local), 1, 1, 1), 1.0 if self.mode == "none" else self.alpha)
            return (local + brought if self.mode == "none" else alpha * local + (1 - alpha) * brought), alpha
        seen = local if self.observes == "local" else brought
        alpha = self.weighting(seen).sigmoid()[:, :, None, None].to(local.dtype)
        return brought + alpha * (local - brought), alpha


class ResidualGenerator(nn.Module):
    """Encoder, residual blocks, decoder, and the 7x7 convolution to the image."""

    def __init__(
        self,
        encoder: nn.Sequential,
        inner: int,
        blocks: int,
        decoder: nn.Sequential,
        last: int,
        norm: str = "instance",
    ) -> None:
        """The encoder gives `inner` channels, which the blocks keep; the decoder gives `last`."""
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.blocks = nn.ModuleList(Residual(inner, norm) for _ in range(blocks))
        self.last = nn.Conv2d(last, 1, 7, 1, 3)
        self.inner, self.outer = inner, last
        self.checkpointing = False

    def run(self, part: nn.Module, x: Tensor) -> Tensor:
        """`part` of `x`; with checkpointing its inner activations are computed again for the gradient."""
        if self.checkpointing and self.training:
            made: Tensor = checkpoint(part, x, use_reentrant=False, preserve_rng_state=False)
            return made
        return part(x)  # type: ignore[no-any-return]

    def features(self, entered: Tensor) -> Tensor:
        """The last features (n, outer, h, w) of what enters the residual blocks."""
        for block in self.blocks:
            entered = self.run(block, entered)
        return self.run(self.decoder, entered)

    def image(self, features: Tensor) -> Tensor:
        """Those features as a slice."""
        return self.last(features).tanh()  # type: ignore[no-any-return]


def global_generator(
    width: int, blocks: int, stages: int = 3, inputs: int = CLASSES, norm: str = "instance"
) -> ResidualGenerator:
    """G1 (Fig. 3): conv 7x7, three stride-2 convolutions to 8 times the width, residual blocks, up again."""
    factors = [2**stage for stage in range(stages)]
    down = [conv(factor * width, 2 * factor * width, 3, 2, norm) for factor in factors]
    up = [
        nn.Sequential(nn.Upsample(scale_factor=2), conv(2 * factor * width, factor * width, 3, norm=norm))
        for factor in reversed(factors)
    ]
    encoder = nn.Sequential(conv(inputs, width, 7, norm=norm), *down)
    return ResidualGenerator(encoder, 2**stages * width, blocks, nn.Sequential(*up), width, norm)


def local_generator(
    width: int, blocks: int, inputs: int = CLASSES, norm: str = "instance"
) -> ResidualGenerator:
    """G2 (Fig. 4): conv 7x7, conv 3x3 to twice the width, residual blocks, conv 3x3, all at full size."""
    encoder = nn.Sequential(conv(inputs, width, 7, norm=norm), conv(width, 2 * width, 3, norm=norm))
    decoder = conv(2 * width, 2 * width, 3, norm=norm)
    return ResidualGenerator(encoder, 2 * width, blocks, decoder, 2 * width, norm)


class GlobalLocalGenerator(LabelNetwork):
    """G1, G2 and DESUM. Attribute `scales`: the generators from the coarsest to G2, `desums` between them.

    `generators` 1 is G2 alone; 3 adds another G1 at a quarter of the resolution, whose last features G1's
    residual blocks receive by a DESUM of their own (Table V, G = 1 and 3). With `width` 64 (the paper's: 64,
    128, 512) both have 48.6 million parameters.

    `noise` planes of noise enter every generator beside the label map, where the resolution is lower as means
    of their pixels, scaled to a variance of one again. `norm` is one of `NORMS`.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        generators: int = 2,
        desum: str = "dynamic",
        desum_observes: str = "local",
        alpha: float = 0.5,
        area: str = "lung",
        noise: int = 0,
        norm: str = "instance",
    ) -> None:
        """`width` is the number of channels after the first convolution. Raises `ConfigError`."""
        super().__init__()
        check_width("width", width, 1)
        check_width("blocks", blocks, 1)
        check_option("generators", generators, generators in (1, 2, 3), "1, 2 or 3")
        check_option("noise", noise, 0 <= noise <= 64, "0 to 64 planes")
        check_option("norm", norm, norm in NORMS, " or ".join(NORMS))
        check_area(area)
        self.area, self.count, self.planes = area, generators, noise
        inputs = CLASSES + noise
        coarse = [global_generator(width, blocks, 3, inputs, norm) for _ in range(generators - 1)]
        self.scales = nn.ModuleList([*coarse, local_generator(width, blocks, inputs, norm)])
        pairs = zip(self._scales()[1:], self._scales()[:-1], strict=True)
        self.desums = nn.ModuleList(
            DESUM(fine.inner, small.outer, desum, desum_observes, alpha) for fine, small in pairs
        )

    def _scales(self) -> list[ResidualGenerator]:
        return list(self.scales)  # type: ignore[arg-type]

    def checkpointing(self, on: bool) -> None:
        """Keep only what enters each residual block, and compute the rest again for the gradient."""
        for scale in self._scales():
            scale.checkpointing = on

    def seen(self, maps: Tensor, z: Tensor | None, times: int) -> Tensor:
        """What a generator sees at a resolution that is halved `times` times: the map, and noise beside it.

        Raises `ConfigError` without the noise that it takes.
        """
        small = reduce(maps, times)
        if not self.planes:
            return small
        if z is None or z.shape != (len(maps), self.planes, *maps.shape[2:]):
            raise ConfigError(
                "no noise to draw with",
                found="none" if z is None else f"noise {tuple(z.shape)}",
                expected=f"noise {(len(maps), self.planes, *maps.shape[2:])}",
            )
        return torch.cat([small, F.avg_pool2d(z, 2**times) * 2**times if times else z], 1)

    def _given(self, maps: Tensor, z: Tensor | None) -> Tensor | None:
        """The noise; in training it is drawn where it is not given."""
        if z is None and self.planes and self.training:
            return torch.randn(len(maps), self.planes, *maps.shape[2:], device=maps.device)
        return z

    def alone(self, maps: Tensor, scale: int, z: Tensor | None = None) -> Tensor:
        """The slice that generator `scale` (0: the coarsest) makes by itself, at its own resolution.

        `maps` (n, 4, h, w) and noise `z` (n, planes, h, w) are at full resolution.
        """
        network, times, z = self._scales()[scale], self.count - 1 - scale, self._given(maps, z)
        entered = network.run(network.encoder, self.seen(maps, z, times))
        return blacken(network.image(network.features(entered)), reduce(maps, times), self.area)

    def weighed(self, maps: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The slice of all jointly, and the alpha (n,) of G2's DESUM (1 where there is no G1)."""
        check_maps(maps, 2 ** (self.count - 1) * (8 if self.count > 1 else 1))
        z = self._given(maps, z)
        alpha = maps.new_ones(len(maps))
        features: Tensor | None = None
        for scale, network in enumerate(self._scales()):
            entered = network.run(network.encoder, self.seen(maps, z, self.count - 1 - scale))
            if features is not None:
                entered, weight = self.desums[scale - 1](entered, features)
                alpha = weight.flatten().float()
            features = network.features(entered)
        assert features is not None  # noqa: S101 - there is always G2
        return blacken(self._scales()[-1].image(features), maps, self.area), alpha

    def forward(self, maps: Tensor, z: Tensor | None = None) -> Tensor:
        """One-hot maps (n, 4, h, w), sides multiples of 16, to slices (n, 1, h, w) in [-1, 1].

        With noise `z` (n, planes, h, w), standard normal, where the network takes some.
        """
        return self.weighed(maps, z)[0]
