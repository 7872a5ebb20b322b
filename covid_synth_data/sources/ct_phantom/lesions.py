"""Infection of a drawn patient: ground-glass opacities with soft borders, consolidations with sharp ones.

Lesions are ellipsoids that reach through neighbouring slices, mostly at the back and the rim of the lungs,
low rather than high, as is usual in COVID-19 pneumonia.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from covid_synth_data.sources.ct_phantom.body import Field, Grid

GGO_HU: Final = -520.0
CONSOLIDATION_HU: Final = 10.0


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid around (x, y, z); `core` is how much of its radius is consolidated, from 0 to 1."""

    x: float
    y: float
    z: float
    rx: float
    ry: float
    rz: float
    turn: float
    core: float


def draw_lesions(random: np.random.Generator, solid: bool) -> tuple[Lesion, ...]:
    """Three to seven lesions of a patient; none of them has a consolidated core unless `solid`."""
    lesions = []
    for number in range(int(random.integers(3, 8))):
        side = -1 if random.random() < 0.5 else 1
        angle = random.uniform(-0.5, 1.25)  # 0 is the rim beside, 1.2 the back
        rim = random.uniform(0.72, 1.0)
        size = random.uniform(0.10, 0.22)
        cored = solid and (number == 0 or random.random() < 0.45)
        lesions.append(
            Lesion(
                x=side * (0.38 + 0.30 * rim * math.cos(angle)),
                y=0.02 + 0.44 * rim * math.sin(angle),
                z=random.beta(1.6, 2.6) if number else 0.40,  # the first is in the middle slices
                rx=size,
                ry=size * random.uniform(0.6, 1.2),
                rz=random.uniform(0.12, 0.30),
                turn=random.uniform(0, math.pi),
                core=random.uniform(0.5, 0.8) if cored else 0.0,
            )
        )
    return tuple(lesions)


def sections(grid: Grid, lesions: tuple[Lesion, ...], z: float, wobble: Field) -> tuple[Field, Field]:
    """Levels (see `body`) of ground glass and of consolidation at height z; `wobble` makes borders uneven."""
    glass = np.full((grid.size, grid.size), -1.0, np.float32)
    solid = glass.copy()
    for lesion in lesions:
        share = 1 - ((z - lesion.z) / lesion.rz) ** 2
        if share <= 0.05:
            continue
        shrink = math.sqrt(share)
        rx, ry = lesion.rx * shrink, lesion.ry * shrink
        level = grid.ellipse(lesion.x, lesion.y, rx, ry, turn=lesion.turn) + 0.030 * wobble
        glass = np.maximum(glass, level)
        if lesion.core:
            inner = grid.ellipse(lesion.x, lesion.y, rx * lesion.core, ry * lesion.core, turn=lesion.turn)
            solid = np.maximum(solid, inner + 0.018 * wobble)
    return glass, solid
