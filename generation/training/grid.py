"""Sample grids: a PNG that shows the progress of a training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from covid_synth_data.files.atomic import replacing


def write(path: Path, columns: list[Tensor]) -> None:
    """Write a grid with one row per film and one column per tensor (n, 1 or 3, h, w) in [-1, 1].

    Grey, unless a column is in colours.
    """
    channels = max(column.shape[1] for column in columns)
    alike = [column.detach().cpu().float().expand(-1, channels, -1, -1) for column in columns]
    rows = torch.stack(alike, dim=1).flatten(0, 1)
    picture = to_pil_image(make_grid(rows.add(1).div(2).clamp(0, 1), nrow=len(columns), padding=2))
    with replacing(path) as temporary:
        picture.convert("L" if channels == 1 else "RGB").save(temporary, format="PNG", optimize=True)
