"""From a lesion on the grid to pixels: what an opacity does to a film.

An opacity adds attenuation. Where it lies, the dark of air moves towards the grey of soft tissue, by the
density. Ribs lie outside the lung and stay visible, though the film's curve flattens them. Vessels are seen
against air, so ground glass leaves them and consolidation hides them (Hansell et al. 2008, Fleischner
Society: Glossary of terms for thoracic imaging, Radiology 246:697).

A film is therefore parted into its base and its detail (vessels, edges of ribs, noise). The base moves, the
brighter the less, so that nothing becomes brighter than tissue and the borders of the lung do not turn into
outlines. Of the detail a part is hidden, and noise that is hidden with it is given back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from covid_synth_data.files.pixels import Grey
from covid_synth_data.lesions import noise
from covid_synth_data.lesions.coordinates import LEFT, RIGHT, Coordinates, Mask, Plane
from covid_synth_data.lesions.noise import Window
from covid_synth_data.lesions.patterns import Lesion

FADE: Final = 0.008
"""A lesion fades to nothing over this share of the film's side before the border of the lung."""

RIB: Final = 2.0
"""Standard deviation, in cells of the grid, of the blur that takes ribs away."""

FLATTENED: Final = np.float32(0.5)
"""Ribs lose this part of the density of the opacity behind them."""

REACH: Final = 5.0
"""Standard deviation, in cells of the grid, of the neighbourhood that the grey of the chest wall is taken
from."""

WALL: Final = np.float32(0.6)
"""Weight of what lies around against the heart."""

LITTLE: Final = np.float32(0.01)
"""Weight of the heart where nothing lies around."""

LEAST_CONTRAST: Final = 20.0
"""Soft tissue is taken to be this much brighter than air, in levels, on a film that has less contrast."""

MOST: Final = 0.88
"""No opacity reaches soft tissue wholly."""

AIR, TISSUE = 0.10, 0.55
"""Quantiles of the grey of air, in the lungs, and of what dense opacities approach, between the lungs."""

TEXTURE: Final = 12
"""Clouds across the film of the unevenness of the density."""

FINE: Final = 24
"""Clouds across the film of the noise that breaks up the border of a lesion."""

HALF: Final = np.float32(0.5)


@dataclass(frozen=True)
class Bands:
    """Part of a film as the sum of `base` and `detail`; the `room` for opacities, that is how far soft tissue
    is above its smoothed grey; what flattens its `ribs` in an opacity; the grey of the dark parts of the
    lungs (`air`); the spread of its `grain`; all in levels."""

    base: Plane
    detail: Plane
    room: Plane
    ribs: Plane
    air: float
    grain: float

    def body(self) -> Plane:
        """0 in the black around the body, 1 in the body: float32 in [0, 1]."""
        return np.asarray(np.clip((self.base - self.air) / LEAST_CONTRAST, 0, 1), np.float32)


def window(allowed: Mask) -> Window:
    """The rows and columns of a film that hold all of `allowed` (h, w) and the borders that fade."""
    margin = int(FADE * max(allowed.shape)) + 2
    spans = []
    for axis in (1, 0):
        there = np.flatnonzero(allowed.any(axis=axis))
        spans.append(slice(max(int(there[0]) - margin, 0), int(there[-1]) + margin + 1))
    return spans[0], spans[1]


def part(film: Grey, where: Coordinates, seen: Window) -> Bands:
    """The bands of the part `seen` of `film` (h, w) with the lungs `where`."""
    cells = noise.shrink(film.astype(np.float32))
    base = noise.enlarge(cells, film.shape, seen)
    air = _quantile(cells[where.side > 0], AIR)
    smooth = _without_ribs(cells, where)
    room = np.maximum(_tissue(cells, where, air) - smooth, 0)
    ribs = noise.enlarge(FLATTENED * (smooth - cells), film.shape, seen)
    return Bands(base, film[seen] - base, noise.enlarge(room, film.shape, seen), ribs, air, _grain(film))


def _tissue(cells: Plane, where: Coordinates, air: float) -> Plane:
    """The grey that dense opacities approach, (GRID, GRID): that of the heart near the middle, and nearer to
    that of the chest wall further out."""
    heart = max(_quantile(_between_lungs(cells, where), TISSUE), air + LEAST_CONTRAST)
    body = ((where.side == 0) & (cells > air)).astype(np.float32)
    near = noise.blur(body, REACH)
    around = (noise.blur(body * cells, REACH) + heart * LITTLE) / (near + LITTLE)
    return np.maximum(heart + WALL * (around - heart), air + LEAST_CONTRAST).astype(np.float32)


def _without_ribs(cells: Plane, where: Coordinates) -> Plane:
    """`cells` with the lungs smoothed, each point from the lungs alone."""
    inside = (where.side > 0).astype(np.float32)
    smooth = noise.blur(cells * inside, RIB) / np.maximum(noise.blur(inside, RIB), LITTLE)
    return np.asarray(np.where(where.side > 0, smooth, cells), np.float32)


def _quantile(values: Plane, share: float) -> float:
    return float(np.sort(values)[int(share * (len(values) - 1))])


def _between_lungs(cells: Plane, where: Coordinates) -> Plane:
    """The cells of the heart and the mediastinum; all cells outside the lungs where there are few."""
    rows = (where.side == RIGHT).any(axis=1) & (where.side == LEFT).any(axis=1)
    middle = (where.out < 0) & rows[:, None] & (where.side == 0)
    chosen: Plane = cells[middle if middle.sum() >= 30 else where.side == 0]
    return chosen


def _grain(film: Grey) -> float:
    """The spread of the noise of `film`, by the median of second differences across."""
    rows = film[:: max(1, film.shape[0] // 64)].astype(np.float32)
    second = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.median(np.abs(second))) / 0.6745 / 6**0.5


def membership(
    lesion: Lesion, where: Coordinates, allowed: Mask, seen: Window, random: np.random.Generator
) -> Plane:
    """How far each pixel of the part `seen` of a film belongs to `lesion`: float32 in [0, 1], 0 outside
    `allowed` (h, w)."""
    shape = allowed.shape
    fine = np.float32(lesion.ragged) * noise.clouds(random, FINE)
    field: Plane = lesion.field / np.float32(2 * lesion.softness) + fine
    soft = _smooth(noise.enlarge(field, shape, seen) + HALF)
    there = allowed[seen]
    blurred = Image.fromarray(there).convert("L").filter(ImageFilter.BoxBlur(FADE * max(shape)))
    soft *= np.clip(np.asarray(blurred, np.float32) / np.float32(127.5) - 1, 0, 1)
    soft *= there
    if len(lesion.sides) == 1:
        half = Image.fromarray(where.half.astype(np.uint8)).resize(shape[::-1], Image.Resampling.NEAREST)
        soft *= np.asarray(half)[seen] == lesion.sides[0]
    return soft


def density(
    lesion: Lesion, soft: Plane, shape: tuple[int, ...], seen: Window, random: np.random.Generator
) -> Plane:
    """The share of the way to soft tissue at each pixel of the part `seen` of a film of `shape`: float32 in
    [0, MOST]."""
    middle: Plane = lesion.field / np.float32(2 * lesion.softness) - HALF
    core = _smooth(middle)
    cells = lesion.veil * (lesion.density + lesion.core * core)
    cells = cells * (1 + lesion.texture * noise.clouds(random, TEXTURE))
    share = soft * noise.enlarge(cells.astype(np.float32), shape, seen)
    return np.asarray(np.clip(share, 0, MOST), np.float32)


def blend(bands: Bands, soft: Plane, change: Plane, hidden: float, random: np.random.Generator) -> Grey:
    """The part of a film, uint8, whose base moves by `change` levels and whose detail is hidden by the share
    `hidden` where `soft` is 1."""
    kept = 1 - np.float32(hidden) * soft
    grain = np.float32(bands.grain) * random.standard_normal(soft.shape, np.float32)
    film = bands.base + change + bands.detail * kept + grain * np.sqrt(1 - kept * kept)
    pixels: Grey = np.rint(np.clip(film, 0, 255)).astype(np.uint8)
    return pixels


def _smooth(x: Plane) -> Plane:
    """The smooth step from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0, 1)
    step: Plane = x * x * (3 - 2 * x)
    return step
