"""From noise to films: image i depends on (seed, i) alone.

Noise of image i is drawn from (seed, i). A network's arithmetic may depend on the size of a batch in the last
bit, so images are always made in the same blocks: image i has position i modulo `BLOCK` in a full block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

BLOCK: Final = 16


def noise(kind: str, latent: int, seed: int, index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The noise of one image, float32 (latent,): standard "normal", or "uniform" on [0, 1)."""
    random = np.random.default_rng([seed, index])
    if kind == "uniform":
        return random.random(latent, dtype=np.float32)
    return random.standard_normal(latent, dtype=np.float32)


def to_bytes(images: Tensor) -> Tensor:
    """float (n, 1, h, w) in [-1, 1] to uint8 (n, h, w)."""
    return images.squeeze(1).float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def blocks(
    network: nn.Module, device: torch.device, seed: int, start: int, stop: int, label: int | None = None
) -> Iterator[Tensor]:
    """Images `start` to `stop` of `seed`, a block at a time, uint8 (n, size, size) on the device.

    `network` is a generator in evaluation mode, with `latent`, `classes` and `noise`. Without `label` a
    conditional one makes its classes in turn: image i shows class i modulo their number.
    """
    latent, kind, classes = int(network.latent), str(network.noise), int(network.classes)  # type: ignore[arg-type]
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        places = range(block * BLOCK, (block + 1) * BLOCK)
        z = torch.from_numpy(np.stack([noise(kind, latent, seed, i) for i in places])).to(device)
        arguments = [z]
        if classes:
            arguments.append(torch.tensor(classes_of(places, classes, label), device=device))
        with torch.inference_mode():
            made = to_bytes(network(*arguments))
        first, last = max(start - places.start, 0), min(stop - places.start, BLOCK)
        yield made[first:last]


def classes_of(indices: Sequence[int], classes: int, label: int | None) -> list[int]:
    """The class of each image: `label`, or the classes in turn."""
    return [index % classes if label is None else label for index in indices]
