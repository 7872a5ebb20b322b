"""SPADE (Park et al. 2019), MONAI's network with a head for one grey channel, a rival of jiang2020."""

from __future__ import annotations

from torch import Tensor, nn

from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.generators.label_maps import CLASSES, LabelNetwork, blacken, check_area, check_maps
from covid_synth_data.generators.layers import check_option, check_width


def check_side(maps: Tensor, size: int, levels: int) -> None:
    """Raise `ConfigError` unless `maps` is float (n, 4, size, size)."""
    check_maps(maps, 2**levels)
    if maps.shape[2:] != (size, size):
        raise ConfigError(
            "label maps of another size than the network was built for",
            found=str(tuple(maps.shape[2:])),
            expected=f"{size} x {size}",
        )


class SPADEGenerator(LabelNetwork):
    """Blocks of spatially-adaptive normalisation that the label map steers, from 2^-levels of the size up.

    MONAI's `SPADENet` without its encoder: it starts from the reduced label map. Its last feature maps would
    have one channel; they have `width` here, and a 3x3 convolution and tanh make the slice. No spectral norm,
    which MONAI's blocks have not. With `width` 64 it has 21.7 million parameters.
    """

    def __init__(self, width: int = 64, levels: int = 5, size: int = 256, area: str = "lung") -> None:
        """`width` channels at the top, doubling downwards. Raises `ConfigError`, `MissingExtra`."""
        super().__init__()
        check_width("width", width, 1)
        check_option("levels", levels, 1 <= levels <= 6, "1 to 6")
        check_option("size", size, size % 2**levels == 0, f"a multiple of {2**levels}")
        check_area(area)
        try:
            from monai.networks.nets.spade_network import SPADENet
        except ModuleNotFoundError as error:
            raise MissingExtra(error.name or "monai", "ct") from error
        self.area, self.size, self.levels = area, size, levels
        self.network = SPADENet(
            spatial_dims=2,
            in_channels=1,
            out_channels=width,
            label_nc=CLASSES,
            input_shape=(size, size),
            channels=[width * 2**level for level in range(levels)],
            is_vae=False,
            spade_intermediate_channels=2 * width,
        )
        self.head = nn.Conv2d(width, 1, 3, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """One-hot maps (n, 4, size, size) to slices (n, 1, size, size) in [-1, 1]. Raises `ConfigError`."""
        check_side(maps, self.size, self.levels)
        (features,) = self.network(maps)
        return blacken(self.head(features).tanh(), maps, self.area)
