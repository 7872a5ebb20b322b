"""The U-Net of pix2pix (Isola et al. 2017) from label maps to CT slices, a rival of jiang2020."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from covid_synth_data.generators.label_maps import CLASSES, LabelNetwork, blacken, check_area, check_maps
from covid_synth_data.generators.layers import check_option, check_width

DROPPED = 3
"""Decoder stages, from the innermost, with dropout."""


class Pix2PixGenerator(LabelNetwork):
    """C64-C128-C256-C512-..., 4x4 convolutions of stride 2, and back with skips; dropout inside; tanh.

    `depth` stages; the original has eight, to 1 x 1 pixels of a 256 x 256 image. Here seven, and instance
    norm, which is what its batch norm is with batches of one. The dropout works in training alone, so that a
    label map gives one slice. With `width` 64 it has 41.8 million parameters.
    """

    def __init__(self, width: int = 64, depth: int = 7, area: str = "lung") -> None:
        """`width` is the number of channels after the first convolution. Raises `ConfigError`."""
        super().__init__()
        check_width("width", width, 1)
        check_option("depth", depth, 2 <= depth <= 9, "2 to 9")
        check_area(area)
        self.area, self.depth = area, depth
        widths = [width * min(8, 2**level) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (inputs, outputs) in enumerate(zip([CLASSES, *widths[:-1]], widths, strict=True)):
            # The first stage and the innermost have no norm, as in the original code.
            norm = [nn.InstanceNorm2d(outputs, affine=True)] if 0 < level < depth - 1 else []
            active = [nn.LeakyReLU(0.2)] if level else []
            self.down.append(nn.Sequential(*active, nn.Conv2d(inputs, outputs, 4, 2, 1), *norm))
        for level in reversed(range(1, depth)):
            inputs = widths[level] * (1 if level == depth - 1 else 2)
            layers: list[nn.Module] = [
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, widths[level - 1], 4, 2, 1),
                nn.InstanceNorm2d(widths[level - 1], affine=True),
            ]
            inner = depth - 1 - level
            self.up.append(nn.Sequential(*layers, *([nn.Dropout(0.5)] if 0 < inner <= DROPPED else [])))
        self.last = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, 1, 4, 2, 1), nn.Tanh())

    def forward(self, maps: Tensor) -> Tensor:
        """One-hot maps (n, 4, h, w), sides multiples of 2^depth, to slices (n, 1, h, w) in [-1, 1]."""
        check_maps(maps, 2**self.depth)
        x, skips = maps, []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        x = skips.pop()
        for stage in self.up:
            x = torch.cat([stage(x), skips.pop()], 1)
        return blacken(self.last(x), maps, self.area)
