"""Where the opacities of a pattern lie: a field over the lungs that is cut at the drawn extent.

Every pattern is a field (GRID, GRID) whose high places fall ill first. It is cut at the quantile that leaves
the drawn share of the affected lungs, so the extent is exact whatever the shape.

What is drawn follows what is published of chest radiographs:

- COVID-19: ground glass in both lungs, mostly peripheral and in the lower zones, multifocal, confluent in
  severe disease; pleural effusion is rare (Jacobi et al. 2020, Clinical Imaging 64:35; Wong et al. 2020,
  Radiology 296:E72, 64 patients: 47 % consolidation, 33 % ground glass, 41 % peripheral, 50 % lower zones,
  50 % both lungs; Toussie et al. 2020, Radiology 297:E197, extent by six zones).
- Pneumonia: one focus or one lobe that a fissure bounds, with homogeneous consolidation that hides vessels,
  or a basal opacity with a meniscus (Franquet 2018, Journal of Thoracic Imaging 33:282; Shih et al. 2019,
  Radiology: Artificial Intelligence 1:e180041, for opacities that suggest pneumonia, haze among them).

Where in the lung COVID-19 lies (`priors.toml`, table `anatomy`) is measured on infection masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from covid_synth_data import schema
from covid_synth_data.lesions import noise
from covid_synth_data.lesions.coordinates import LEFT, RIGHT, Coordinates, Mask, Plane
from covid_synth_data.lesions.priors import Anatomy, Extent, Pattern, Priors, Range

NEGATIVE: Final = "normal"
"""The class of the films that are painted."""

RIGHT_SHARE: Final = 0.55
"""A disease of one lung is in the right one with this probability: set by hand, the right lung is larger."""

ASYMMETRY: Final = 0.5
"""Spread of the difference between the lungs, in standard deviations of the field."""


def label_of(pattern: str) -> str:
    """The class of `schema.LABELS` of a film painted with `pattern`: a single pattern is a pneumonia."""
    return pattern if pattern in schema.LABELS else "pneumonia"


@dataclass(frozen=True)
class Lesion:
    """One drawn lesion, on the grid.

    `field` (GRID, GRID) in standard deviations, above 0 in what is ill of the lungs `sides`; `softness` is
    the width of its border; `veil` (GRID, GRID) multiplies the density; `density`, `core`, `detail` and
    `ragged` as in `Pattern`; `texture` is the unevenness; `kind` the name of the pattern.
    """

    kind: str
    sides: tuple[int, ...]
    field: Plane
    softness: float
    ragged: float
    veil: Plane
    density: float
    core: float
    detail: float
    texture: float


def draw(
    mixture: Mapping[str, float], where: Coordinates, priors: Priors, random: np.random.Generator
) -> Lesion:
    """A lesion in the lungs `where`, of one of the patterns of `mixture` by their weights."""
    weights = np.array(list(mixture.values()))
    kind = list(mixture)[int(random.choice(len(weights), p=weights / weights.sum()))]
    pattern = priors.patterns[kind]
    both, on_right = random.random() < pattern.both, random.random() < RIGHT_SHARE
    sides = (RIGHT, LEFT) if both else (RIGHT,) if on_right else (LEFT,)
    inside = where.side > 0 if both else where.side == sides[0]
    field = SHAPES[pattern.shape](where, pattern, priors.anatomy, random)
    field += np.float32(random.normal(0, ASYMMETRY) / 2) * np.where(where.half == RIGHT, 1, -1)
    return Lesion(
        kind=kind,
        sides=sides,
        field=_cut(field.astype(np.float32), inside, _extent(pattern.extent, random)),
        softness=_between(pattern.softness, random),
        ragged=pattern.ragged,
        veil=np.clip(0.85 + 0.25 * noise.clouds(random, 3), 0.3, 1.2),
        density=_between(pattern.density, random),
        core=_between(pattern.core, random),
        detail=_between(pattern.detail, random),
        texture=_between(pattern.texture, random),
    )


def _patches(where: Coordinates, pattern: Pattern, anatomy: Anatomy, random: np.random.Generator) -> Plane:
    """Clouds of noise, more likely where the table of places says so."""
    places = _places(where, anatomy) * np.float32(pattern.anatomy)
    return places + np.float32(pattern.scatter) * noise.clouds(random, _between(pattern.clouds, random))


def _focus(where: Coordinates, pattern: Pattern, anatomy: Anatomy, random: np.random.Generator) -> Plane:
    """One or two ragged ellipses around drawn centres."""
    far = []
    for _ in (RIGHT, LEFT):
        down, out = random.beta(2.5, 1.8), random.beta(1.6, 1.4)
        tall, wide = random.uniform(0.15, 0.45), random.uniform(0.35, 0.8)
        far.append(np.hypot((where.down - down) / tall, (where.out - out) / wide))
    field: Plane = -np.where(where.half == RIGHT, *far)
    return field + np.float32(pattern.scatter) * noise.clouds(random, _between(pattern.clouds, random))


def _lobe(where: Coordinates, pattern: Pattern, anatomy: Anatomy, random: np.random.Generator) -> Plane:
    """A lobe from its end of the lung up to a slightly slanted fissure."""
    slant = np.float32(random.uniform(-0.25, 0.25))
    level = where.down + slant * (where.out - 0.5)
    field: Plane = 5 * (-level if random.random() < 0.4 else level)
    return field + np.float32(pattern.scatter) * noise.clouds(random, _between(pattern.clouds, random))


def _base(where: Coordinates, pattern: Pattern, anatomy: Anatomy, random: np.random.Generator) -> Plane:
    """From the base up to a level that rises towards the chest wall, as a meniscus does."""
    rise = np.float32(random.uniform(0, 0.4))
    field: Plane = 5 * (where.down + rise * where.out**2)
    return field + np.float32(pattern.scatter) * noise.clouds(random, _between(pattern.clouds, random))


def _veil(where: Coordinates, pattern: Pattern, anatomy: Anatomy, random: np.random.Generator) -> Plane:
    """Nearly all of the lung, a little more at one end."""
    field: Plane = np.float32(random.normal(0.5, 1.0)) * (where.down - 0.5)
    return field + np.float32(pattern.scatter) * noise.clouds(random, _between(pattern.clouds, random))


SHAPES: Final[dict[str, Callable[[Coordinates, Pattern, Anatomy, np.random.Generator], Plane]]] = {
    "patches": _patches,
    "focus": _focus,
    "lobe": _lobe,
    "base": _base,
    "veil": _veil,
}


def _places(where: Coordinates, anatomy: Anatomy) -> Plane:
    """The log odds of the table of places at each cell, interpolated, in standard deviations."""
    table = np.array(anatomy.table, np.float32)
    odds = np.log(table / (1 - table))
    rows, columns = odds.shape
    y = np.clip(where.down * rows - 0.5, 0, rows - 1.001)
    x = np.clip(where.out * columns - 0.5, 0, columns - 1.001)
    top, left = y.astype(np.intp), x.astype(np.intp)
    dy, dx = y - top, x - left
    upper = odds[top, left] * (1 - dx) + odds[top, left + 1] * dx
    lower = odds[top + 1, left] * (1 - dx) + odds[top + 1, left + 1] * dx
    return np.asarray(upper * (1 - dy) + lower * dy, np.float32)


def _cut(field: Plane, inside: Mask, extent: float) -> Plane:
    """`field` in its standard deviations within `inside`; the share `extent` of that is above 0."""
    values = field[inside]
    level = np.sort(values)[int((1 - extent) * (len(values) - 1))]
    return np.asarray((field - level) / max(float(values.std()), 1e-6), np.float32)


def _extent(extent: Extent, random: np.random.Generator) -> float:
    return extent.low + (extent.high - extent.low) * random.beta(extent.a, extent.b)


def _between(span: Range, random: np.random.Generator) -> float:
    return float(random.uniform(*span))
