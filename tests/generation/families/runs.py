"""What runs leave, for the tests of families."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file


def tensors(folder: Path, step: int, prefix: str = "") -> dict[str, torch.Tensor]:
    """What a checkpoint holds below `prefix`."""
    found = load_file(folder / "checkpoints" / f"step-{step:08d}" / "tensors.safetensors")
    return {key.removeprefix(prefix): value for key, value in found.items() if key.startswith(prefix)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
