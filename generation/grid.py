"""Sample grids: a PNG that shows at a glance how far a training has come."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from covid_synth_data.atomic import replacing


def write(path: Path, columns: list[Tensor]) -> None:
    """Write a grid with one row per film and one column per tensor (n, 1, h, w) in [-1, 1]."""
    rows = torch.stack([column.detach().cpu().float() for column in columns], dim=1).flatten(0, 1)
    picture = to_pil_image(make_grid(rows.add(1).div(2).clamp(0, 1), nrow=len(columns), padding=2))
    with replacing(path) as temporary:
        picture.convert("L").save(temporary, format="PNG", optimize=True)
