"""Discriminators of label-map and slice pairs: 70 x 70 PatchGAN at one or several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.generators.label_maps import CLASSES, reduce
from covid_synth_data.generators.layers import check_width

Judged = tuple[Tensor, list[Tensor]]
"""Scores (n, 1, h', w'), unbounded, and the features of the first three layers."""

FEATURES = 3
"""Layers that feature matching compares."""

SMALLEST = 32
"""Pixels a side that the instance norm of the fourth layer needs."""


class PatchDiscriminator(nn.Module):
    """70 x 70 PatchGAN (Isola et al. 2017) of 4x4 convolutions: width, 2, 4 and 8 times it, 1.

    Stride 2 in the first three; instance norm in all but the first and last; LeakyReLU 0.2. With `width` 64
    and five input channels it has 2.8 million parameters.
    """

    def __init__(self, width: int = 64, inputs: int = 1 + CLASSES, norm: str = "instance") -> None:
        """`width` is the number of channels after the first convolution; `norm` is "instance" or "none"."""
        super().__init__()
        check_width("width", width, 1)
        self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2))])
        for factor, stride in ((1, 2), (2, 2), (4, 1)):
            layer = nn.Conv2d(factor * width, 2 * factor * width, 4, stride, 1)
            kept = [nn.InstanceNorm2d(2 * factor * width, affine=True)] if norm == "instance" else []
            self.layers.append(nn.Sequential(layer, *kept, nn.LeakyReLU(0.2)))
        self.score = nn.Conv2d(8 * width, 1, 4, 1, 1)
        if norm == "none":  # nothing else keeps the spread of features from layer to layer
            for part in self.layers:
                assert isinstance(part, nn.Sequential)  # noqa: S101 - made above
                nn.init.kaiming_normal_(part[0].weight, 0.2)  # type: ignore[arg-type]
                nn.init.zeros_(part[0].bias)  # type: ignore[arg-type]

    def forward(self, pair: Tensor) -> Judged:
        """(n, inputs, h, w) to `Judged`."""
        outputs = []
        for layer in self.layers:
            pair = layer(pair)
            outputs.append(pair)
        return self.score(pair), outputs[:FEATURES]


class MonaiPatch(nn.Module):
    """MONAI's `PatchDiscriminator` of the same receptive field, with the scores of the last layer."""

    def __init__(self, width: int = 64, inputs: int = 1 + CLASSES) -> None:
        """`width` is the number of channels after the first convolution. Raises `MissingExtra`."""
        super().__init__()
        try:
            from monai.networks.nets.patchgan_discriminator import PatchDiscriminator as Network
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "monai", "ct") from error
        self.network = Network(spatial_dims=2, channels=width, in_channels=inputs, norm="INSTANCE")

    def forward(self, pair: Tensor) -> Judged:
        """(n, inputs, h, w) to `Judged`."""
        *features, scores = self.network(pair)
        return scores, features[:FEATURES]


class MultiResolution(nn.Module):
    """Discriminators of the full, half, quarter resolution: D1, D2, D3, alike but for what they see.

    MONAI's `MultiScalePatchDiscriminator` deepens its second discriminator instead, whose channels grow to
    64 times the width; the papers have equal ones on a smaller image.
    """

    def __init__(self, count: int, patch: Callable[[], nn.Module]) -> None:
        """`count` discriminators that `patch` makes."""
        super().__init__()
        self.scales = nn.ModuleList(patch() for _ in range(count))

    def forward(self, maps: Tensor, image: Tensor, first: int = 0) -> list[Judged]:
        """One-hot maps (n, 4, h, w) and slices (n, 1, h, w) to what each discriminator from `first` on says.

        `first` is the resolution of maps and image: 0 full, 1 half, 2 quarter. Where there is no
        discriminator of that resolution, the coarsest judges them as they are. Raises `ConfigError`.
        """
        first = min(first, len(self.scales) - 1)
        outputs = []
        for step, scale in enumerate(list(self.scales)[first:]):
            small = F.avg_pool2d(image, 2**step) if step else image
            if (side := min(small.shape[2:])) < SMALLEST:
                raise ConfigError(
                    "slices too small for the discriminators",
                    found=f"{side} pixels a side for one",
                    expected=f"{SMALLEST} or more",
                    hint="choose a larger size, or fewer discriminators or generators",
                )
            outputs.append(scale(torch.cat([reduce(maps, step), small], 1)))
        return outputs


def scores(outputs: Sequence[Judged]) -> list[Tensor]:
    """The scores alone."""
    return [output[0] for output in outputs]
