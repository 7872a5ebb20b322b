"""SEAN (Zhu et al. 2020): SPADE with a style for each region of the label map, a rival of jiang2020."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.generators.label_maps import CLASSES, LabelNetwork, blacken, check_area, conv
from covid_synth_data.generators.layers import check_option, check_width
from covid_synth_data.generators.spade import check_side


class StyleEncoder(nn.Module):
    """The mean of features over each region of a slice: its style, (n, 4, style)."""

    def __init__(self, width: int, style: int) -> None:
        """`width` channels after the first convolution."""
        super().__init__()
        self.layers = nn.Sequential(
            conv(1, width, 3),
            conv(width, 2 * width, 3, 2),
            conv(2 * width, 4 * width, 3, 2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4 * width, style, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, image: Tensor, maps: Tensor) -> Tensor:
        """Slices (n, 1, h, w) and one-hot maps (n, 4, h, w); zero for a region that a slice has not."""
        features = self.layers(image).float()
        regions = F.interpolate(maps, size=features.shape[2:]).float()
        sums = torch.einsum("nshw,nkhw->nks", features, regions)
        return sums / regions.sum((2, 3)).clamp(min=1)[:, :, None]


class SEANNorm(nn.Module):
    """Normalisation whose scale and shift are the map's (MONAI's `SPADE`) and the styles', blended.

    One learned share blends both, where the paper has one for scale and one for shift.
    """

    def __init__(self, channels: int, hidden: int, style: int) -> None:
        """`channels` are normalised; `hidden` inside SPADE. Raises `MissingExtra`."""
        super().__init__()
        self.spade = _spade(channels, hidden)
        self.styles = nn.ModuleList(nn.Linear(style, style) for _ in range(CLASSES))
        self.modulation = nn.Conv2d(style, 2 * channels, 3, 1, 1)
        self.share = nn.Parameter(torch.zeros(()))
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor, maps: Tensor, styles: Tensor) -> Tensor:
        """x (n, channels, h, w), one-hot maps of any size, styles (n, 4, style)."""
        regions = F.interpolate(maps, size=x.shape[2:])
        mine = torch.stack([layer(styles[:, k]) for k, layer in enumerate(self.styles)], 1)
        field = torch.einsum("nks,nkhw->nshw", F.relu(mine).to(x.dtype), regions.to(x.dtype))
        scale, shift = self.modulation(field).chunk(2, 1)
        share = self.share.sigmoid()
        styled = self.norm(x) * (1 + scale) + shift
        return share * styled + (1 - share) * self.spade(x, maps)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """The residual block of SPADE with `SEANNorm`."""

    def __init__(self, inputs: int, outputs: int, hidden: int, style: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(SEANNorm(channels, hidden, style) for channels in (inputs, outputs))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, outputs, 3, 1, 1) for channels in (inputs, outputs)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, maps: Tensor, styles: Tensor) -> Tensor:
        y = x
        for norm, layer in zip(self.norms, self.convolutions, strict=True):
            y = layer(F.leaky_relu(norm(y, maps, styles), 0.2))
        return self.shortcut(x) + y  # type: ignore[no-any-return]


class SEANGenerator(LabelNetwork):
    """A decoder of SEAN blocks from the reduced label map up; the styles are a slice's own or drawn.

    Learning, each slice is drawn in its own styles. New label maps have no slice: their styles are drawn
    from normal distributions with the mean and deviation that each region's styles had in training
    (a running estimate), the same for all pixels of a region. No noise is added inside. With `width` 64 it
    has 21.0 million parameters.
    """

    style_mean: Tensor
    style_variance: Tensor

    def __init__(
        self, width: int = 64, levels: int = 5, style: int = 64, size: int = 256, area: str = "lung"
    ) -> None:
        """`width` channels at the top, doubling downwards. Raises `ConfigError`, `MissingExtra`."""
        super().__init__()
        check_width("width", width, 1)
        check_width("style", style, 1)
        check_option("levels", levels, 1 <= levels <= 6, "1 to 6")
        check_option("size", size, size % 2**levels == 0, f"a multiple of {2**levels}")
        check_area(area)
        self.area, self.size, self.levels, self.style = area, size, levels, style
        self.latent = CLASSES * style
        self.encoder = StyleEncoder(max(8, width // 2), style)
        widths = [width * 2**level for level in reversed(range(levels))]
        self.start = nn.Conv2d(CLASSES, widths[0], 3, 1, 1)
        pairs = zip(widths, [*widths[1:], width], strict=True)
        self.blocks = nn.ModuleList(_Block(a, b, 2 * width, style) for a, b in pairs)
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 1, 3, 1, 1), nn.Tanh()
        )
        self.register_buffer("style_mean", torch.zeros(CLASSES, style))
        self.register_buffer("style_variance", torch.ones(CLASSES, style))

    def forward(self, maps: Tensor, z: Tensor | None = None, image: Tensor | None = None) -> Tensor:
        """One-hot maps (n, 4, size, size) to slices (n, 1, size, size) in [-1, 1].

        In the styles of `image`, (n, 1, size, size), or in styles drawn with noise `z` (n, latent), standard
        normal. Raises `ConfigError`.
        """
        check_side(maps, self.size, self.levels)
        x = self.start(F.interpolate(maps, size=(self.size // 2**self.levels,) * 2))
        styles = self._styles(maps, z, image)
        for block in self.blocks:
            x = F.interpolate(block(x, maps, styles), scale_factor=2)
        return blacken(self.last(x), maps, self.area)

    def _styles(self, maps: Tensor, z: Tensor | None, image: Tensor | None) -> Tensor:
        if image is not None:
            styles: Tensor = self.encoder(image, maps)
            if self.training and torch.is_grad_enabled():
                self._remember(styles.detach(), maps)
            return styles
        if z is None or z.shape != (len(maps), self.latent):
            raise ConfigError(
                "no styles to draw with",
                found="no noise" if z is None else f"noise {tuple(z.shape)}",
                expected=f"noise ({len(maps)}, {self.latent}), or a slice",
            )
        return self.style_mean + self.style_variance.sqrt() * z.view(-1, CLASSES, self.style)

    def _remember(self, styles: Tensor, maps: Tensor, momentum: float = 0.02) -> None:
        """Move the running mean and variance of each region that is there."""
        present = (maps.sum((2, 3)) > 0).float()[:, :, None]
        count = present.sum(0)
        mean = (styles * present).sum(0) / count.clamp(min=1)
        rate = momentum * (count > 0)
        # The spread around the running mean: a batch of one has none around its own.
        spread = ((styles - self.style_mean).square() * present).sum(0) / count.clamp(min=1)
        self.style_variance.lerp_(spread, rate.expand_as(spread))
        self.style_mean.lerp_(mean, rate.expand_as(mean))


def _spade(channels: int, hidden: int) -> Any:
    """MONAI's SPADE for our label maps. Raises `MissingExtra`."""
    try:
        from monai.networks.blocks.spade_norm import SPADE
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "monai", "ct") from error
    return SPADE(label_nc=CLASSES, norm_nc=channels, hidden_channels=hidden)
