"""The coarse-to-fine generator of pix2pixHD (Wang et al. 2018, Sect. 3.1), a rival of jiang2020."""

from __future__ import annotations

from torch import Tensor, nn

from covid_synth_data.generators.ct_global_local import ResidualGenerator, global_generator
from covid_synth_data.generators.label_maps import (
    CLASSES,
    LabelNetwork,
    blacken,
    check_area,
    check_maps,
    conv,
    reduce,
)
from covid_synth_data.generators.layers import check_width

DOWN = 4
"""Stride-2 convolutions of the global network."""
ENHANCER_BLOCKS = 3


class Pix2PixHDGenerator(LabelNetwork):
    """A global network at half the resolution, and an enhancer whose residual blocks get the sum of both.

    The global network: conv 7x7, four stride-2 convolutions to 16 times the width, residual blocks, and up
    again; the enhancer: conv 7x7 to half the width, one stride-2 convolution, three residual blocks, up, conv
    7x7. No instance maps: CT label maps have none. With `width` 64 it has 182.8 million parameters.
    """

    def __init__(self, width: int = 64, blocks: int = 9, area: str = "lung") -> None:
        """`width` is the number of channels after the global network's first convolution."""
        super().__init__()
        check_width("width", width, 2)
        check_width("blocks", blocks, 1)
        check_area(area)
        self.area, self.count = area, 2
        self.coarse = global_generator(width, blocks, DOWN)
        self.enhancer = ResidualGenerator(
            nn.Sequential(conv(CLASSES, width // 2, 7), conv(width // 2, width, 3, 2)),
            width,
            ENHANCER_BLOCKS,
            nn.Sequential(nn.Upsample(scale_factor=2), conv(width, width // 2, 3)),
            width // 2,
        )

    def checkpointing(self, on: bool) -> None:
        """Keep only what enters each residual block, and compute the rest again for the gradient."""
        self.coarse.checkpointing = self.enhancer.checkpointing = on

    def alone(self, maps: Tensor, scale: int, *noise: Tensor) -> Tensor:
        """The slice of the global network (`scale` 0) alone, at half the resolution of `maps`."""
        seen = reduce(maps, 1)
        return blacken(self.coarse.image(self._coarse_features(seen)), seen, self.area)

    def _coarse_features(self, seen: Tensor) -> Tensor:
        return self.coarse.features(self.coarse.run(self.coarse.encoder, seen))

    def forward(self, maps: Tensor) -> Tensor:
        """One-hot maps (n, 4, h, w), sides multiples of 32, to slices (n, 1, h, w) in [-1, 1]."""
        check_maps(maps, 2 ** (DOWN + 1))
        entered = self.enhancer.run(self.enhancer.encoder, maps) + self._coarse_features(reduce(maps, 1))
        return blacken(self.enhancer.image(self.enhancer.features(entered)), maps, self.area)
