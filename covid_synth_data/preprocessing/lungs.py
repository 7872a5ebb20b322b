"""Where the lungs are: a small U-Net, its weights, and what is done where it finds none.

The outlines are those of the V7 Labs masks that it learned from: the lung behind the heart counts as lung, as
does the lung behind the diaphragm's dome as far as it is seen.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional

from covid_synth_data.errors import WeightsError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import harmonise, lung_weights
from covid_synth_data.preprocessing.harmonise import Box
from covid_synth_data.preprocessing.lung_shapes import (
    BRIDGE,
    ELLIPSE,
    LEAST_APART,
    LEAST_AREA,
    LEAST_RATIO,
    MOST_AREA,
    MOST_ASKEW,
    THRESHOLDS,
    Fields,
    Mask,
    believed,
)
from covid_synth_data.preprocessing.lung_weights import WEIGHTS

WIDTHS: Final = (16, 32, 64, 96)

MARGIN: Final = 0.02
"""Added around the box of the lungs on each side, as a share of the film's."""

OUTSIDE: Final = 128
"""The grey of everything that is not lung."""

REVISION: Final = 1
"""Counted up with every change of the rules here that the numbers above do not show."""


class LungNet(nn.Module):
    """A U-Net on every second pixel in both directions, four scales, with group normalisation.

    `forward`: films (n, 1, side, side) in [-1, 1], side a multiple of 16, to logits (n, 1, side, side).
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        """`widths` are the channels of the scales, from fine to coarse, each a multiple of 8."""
        super().__init__()
        before = (4, *widths[:-1])
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(before, widths, strict=True))
        pairs = list(zip(widths[1:], widths[:-1], strict=True))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, films: torch.Tensor) -> torch.Tensor:
        """See the class."""
        x = functional.pixel_unshuffle(films, 2)
        skips: list[torch.Tensor] = []
        for block in self.down:
            x = block(functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for block, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), skip], dim=1))
        logits: torch.Tensor = self.head(x)
        return functional.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)


def _block(before: int, after: int) -> nn.Module:
    """Two 3 x 3 convolutions, each with normalisation and rectifier."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, 1, 1, bias=False),
        nn.GroupNorm(after // 8, after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, 1, 1, bias=False),
        nn.GroupNorm(after // 8, after),
        nn.ReLU(inplace=True),
    )


def find(grey: Grey, weights: Path = WEIGHTS) -> Fields:
    """The lung fields of `grey` (h, w). A film is looked at alone, by one thread. Raises `WeightsError`."""
    network = load(weights)
    seen = harmonise.reduced(grey, harmonise.without_frame(grey))
    return believed(probabilities(network, seen))


def probabilities(network: nn.Module, seen: harmonise.Film) -> npt.NDArray[np.float32]:
    """How likely each pixel of `seen`, as `harmonise.reduced` gives it, is lung: same shape, in [0, 1]."""
    film = torch.from_numpy(np.ascontiguousarray(seen))[None, None].div(127.5).sub(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return np.asarray(network(film).sigmoid()[0, 0].numpy())
    finally:
        torch.set_num_threads(before)


def box(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the box around `mask` with its margin, as shares of the film in [0, 1]."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        max(columns[0] / width - MARGIN, 0.0),
        max(rows[0] / height - MARGIN, 0.0),
        min((columns[-1] + 1) / width + MARGIN, 1.0),
        min((rows[-1] + 1) / height + MARGIN, 1.0),
    )


def lungs_only(grey: Grey, side: int, weights: Path = WEIGHTS) -> tuple[Grey, bool]:
    """The box of the lungs of `grey` (h, w) as uint8 (side, side), 128 outside the lungs; whether found.

    The box is cut out of the original, then its sharpness and tone are normalised. So the pixels depend
    neither on the size of the lungs on the film nor on anything outside the box. Raises `WeightsError`.
    """
    mask, found = find(grey, weights)
    shares = box(mask)
    film = harmonise.to_side(harmonise.standard(grey, harmonise.without_frame(grey).part(*shares)), side)
    high, wide = mask.shape
    part = Box(0, 0, wide, high).part(*shares)
    inside = harmonise.to_side(mask.astype(np.float32) * 255, side, part) >= 128
    film[~inside] = OUTSIDE
    return film, found


@functools.lru_cache(maxsize=4)
def load(weights: Path = WEIGHTS) -> LungNet:
    """The network with its weights, ready to look. Raises `WeightsError`."""
    card, content = lung_weights.read(weights)
    network = LungNet(card.widths)
    try:
        network.load_state_dict(
            {key: value.float() for key, value in safetensors.torch.load(content).items()}
        )
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"{weights.name} does not fit the network {card.architecture!r}",
            found=" ".join(str(error).split())[:200],
            hint=lung_weights.HINT,
        ) from error
    return network.eval()


def settings() -> dict[str, object]:
    """Everything above, but the weights, that the pixels depend on."""
    return {
        "revision": REVISION,
        "least_area": LEAST_AREA,
        "most_area": MOST_AREA,
        "thresholds": THRESHOLDS,
        "bridge": BRIDGE,
        "least_ratio": LEAST_RATIO,
        "least_apart": LEAST_APART,
        "most_askew": MOST_ASKEW,
        "margin": MARGIN,
        "ellipse": ELLIPSE,
        "outside": OUTSIDE,
    }
