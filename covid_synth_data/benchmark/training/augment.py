"""Plain augmentation: what every reader would try before synthetic films.

Rotation by up to 10 degrees, shift by up to 5 % of a side, zoom by up to 10 %, brightness by up to 10 %, each
drawn evenly. No flips: they move the heart to the other side.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch.nn import functional as F

ROTATION: Final = 10.0
SHIFT: Final = 0.05
ZOOM: Final = 0.10
BRIGHTNESS: Final = 0.10


def plain(films: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """`films` of shape (n, 1, side, side) in [0, 1], each changed on its own; the same shape and range.

    Draws five numbers per film from `rng`. What is shifted in from outside repeats the border.
    """
    draw = rng.uniform(-1.0, 1.0, size=(len(films), 5))
    angle = np.deg2rad(ROTATION * draw[:, 0])
    scale = 1.0 / (1.0 + ZOOM * draw[:, 1])
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    shift = 2 * SHIFT * draw[:, 2:4]
    matrix = np.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], axis=1).reshape(-1, 2, 3)
    grid = F.affine_grid(
        torch.from_numpy(matrix).to(films.device, films.dtype), list(films.shape), align_corners=False
    )
    moved = F.grid_sample(films, grid, mode="bilinear", padding_mode="border", align_corners=False)
    gain = torch.from_numpy(1.0 + BRIGHTNESS * draw[:, 4]).to(films.device, films.dtype)
    return (moved * gain.view(-1, 1, 1, 1)).clamp(0.0, 1.0)


def rng_of_view(key: str, view: int) -> np.random.Generator:
    """The generator of the `view`-th fixed variant of the film with the hexadecimal content `key`."""
    return np.random.default_rng([int(key[:16], 16), int(key[16:32], 16), view])
