"""The lung finder without torch: the same network, evaluated with numpy.

Masks of the package are found by one network (`benchmark.lungs`). Painting must not need torch, and the
network is small, so its eight convolutions and normalisations are written out here. The probabilities differ
from those of torch by rounding alone.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import WeightsError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.lesions.coordinates import Mask
from covid_synth_data.preprocessing import harmonise, lung_weights
from covid_synth_data.preprocessing.lung_shapes import believed
from covid_synth_data.preprocessing.lung_weights import WEIGHTS

Maps = npt.NDArray[np.float32]
"""Feature maps (channels, h, w)."""

_TYPES: Final = {"F16": "<f2", "F32": "<f4"}
_EPSILON: Final = 1e-5
"""Of the group normalisation, as torch has it by default."""

_GROUP: Final = 8
"""Channels of a group."""


def find(film: Grey, weights: Path = WEIGHTS) -> Mask:
    """The lungs of `film` (h, w) as bool (h, w); all False where no two lungs are found.

    Raises `WeightsError`.
    """
    box = harmonise.without_frame(film)
    fields = believed(probabilities(harmonise.reduced(film, box), weights))
    mask = np.zeros(film.shape, np.bool_)
    if fields.found:
        left, top, right, bottom = (int(edge) for edge in box)
        shown = Image.fromarray(fields.mask).convert("L")
        inner = shown.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        mask[top:bottom, left:right] = np.asarray(inner) >= 128
    return mask


def probabilities(seen: harmonise.Film, weights: Path = WEIGHTS) -> Maps:
    """How likely each pixel of `seen`, as `harmonise.reduced` gives it, is lung: same shape, in [0, 1]."""
    layers = _load(weights)
    side = seen.shape[0]
    film = (seen / np.float32(127.5) - 1).astype(np.float32)
    # Every second pixel in both directions becomes a channel.
    x = film.reshape(side // 2, 2, side // 2, 2).transpose(1, 3, 0, 2).reshape(4, side // 2, side // 2)
    skips: list[Maps] = []
    depth = sum(name.startswith("down.") for name in layers) // 6
    for level in range(depth):
        x = _block(_halved(x) if skips else x, layers, f"down.{level}")
        skips.append(x)
    for level, skip in enumerate(reversed(skips[:-1])):
        x = _block(np.concatenate([x.repeat(2, axis=1).repeat(2, axis=2), skip]), layers, f"up.{level}")
    logits = np.tensordot(layers["head.weight"][0, :, 0, 0], x, axes=1) + layers["head.bias"][0]
    return np.asarray(1 / (1 + np.exp(-_doubled(logits))), np.float32)


def _block(x: Maps, layers: dict[str, Maps], name: str) -> Maps:
    """Two 3 x 3 convolutions, each with group normalisation and rectifier."""
    for convolution, normalisation in ((0, 1), (3, 4)):
        x = _convolved(x, layers[f"{name}.{convolution}.weight"])
        parts = x.reshape(-1, _GROUP, *x.shape[1:])
        mean = parts.mean(axis=(1, 2, 3), keepdims=True)
        spread = np.sqrt(parts.var(axis=(1, 2, 3), keepdims=True) + np.float32(_EPSILON))
        x = ((parts - mean) / spread).reshape(x.shape)
        x = x * layers[f"{name}.{normalisation}.weight"][:, None, None]
        x = np.maximum(x + layers[f"{name}.{normalisation}.bias"][:, None, None], 0)
    return x


def _convolved(x: Maps, kernel: Maps) -> Maps:
    """The 3 x 3 convolution of `x` with zeros around it."""
    channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(channels * 9, height * width)
    return (kernel.reshape(len(kernel), -1) @ columns).reshape(-1, height, width)


def _halved(x: Maps) -> Maps:
    channels, height, width = x.shape
    return np.asarray(x.reshape(channels, height // 2, 2, width // 2, 2).max(axis=(2, 4)), np.float32)


def _doubled(plane: Maps) -> Maps:
    """Bilinear, twice the size, pixel centres aligned as torch does without `align_corners`."""
    for axis in (0, 1):
        before = np.concatenate([plane.take([0], axis), plane.take(range(plane.shape[axis] - 1), axis)], axis)
        after = np.concatenate([plane.take(range(1, plane.shape[axis]), axis), plane.take([-1], axis)], axis)
        pair = np.stack([0.75 * plane + 0.25 * before, 0.75 * plane + 0.25 * after], axis + 1)
        shape = list(plane.shape)
        shape[axis] *= 2
        plane = pair.reshape(shape).astype(np.float32)
    return plane


@functools.lru_cache(maxsize=4)
def _load(weights: Path) -> dict[str, Maps]:
    """The tensors of the weights file, read as the safetensors format says. Raises `WeightsError`."""
    _, content = lung_weights.read(weights)
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        header.pop("__metadata__", None)
        tensors = {}
        for name, entry in header.items():
            start, stop = (8 + length + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[start:stop], _TYPES[entry["dtype"]]).reshape(entry["shape"])
            tensors[name] = values.astype(np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{weights.name} is no safetensors file of the lung finder",
            found=str(error).splitlines()[0],
            expected="the file of the package",
            hint=lung_weights.HINT,
        ) from error
    return tensors
