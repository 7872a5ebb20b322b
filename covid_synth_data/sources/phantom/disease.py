"""The differences of the classes: the opacities, and nothing else.

Pneumonia is one focal consolidation in one lung. COVID-19 is several ground-glass opacities in both lungs,
mostly peripheral and basal, the pattern that Jacobi et al. 2020 (Clinical Imaging 64:35) describe for chest
radiographs. Sizes, numbers and density vary from barely visible to plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from covid_synth_data.sources.phantom.anatomy import LEFT, RIGHT, Anatomy, Array, Space, ramp, value_at

_MEDIAL: Final = 0.12


@dataclass(frozen=True)
class Opacity:
    """An elliptic cloud in one lung.

    `side` is -1 for the patient's right lung, 1 for the left; (x, y) the centre; `along` and `across` the
    radii in the direction `angle` (radians from the vertical) and beside it; `density` the share of the air
    that it replaces, in [0, 1]; `grain` how much the lung's texture breaks up its border; `fissure` the
    height at which a lobe's border cuts it off below (2 where none does).
    """

    side: int
    x: float
    y: float
    along: float
    across: float
    angle: float
    density: float
    grain: float
    fissure: float = 2.0


def opacities(label: str, body: Anatomy, rng: np.random.Generator) -> tuple[Opacity, ...]:
    """The disease of one patient; none for "normal"."""
    if label == "pneumonia":
        return (_consolidation(body, rng),)
    if label == "covid-19":
        severity = rng.uniform(0.16, 0.42)
        return tuple(
            _ground_glass(body, side, severity * rng.uniform(0.75, 1.25), rng)
            for side in (RIGHT, LEFT)
            for _ in range(int(rng.integers(2, 6)))
        )
    return ()


def _ground_glass(body: Anatomy, side: int, density: float, rng: np.random.Generator) -> Opacity:
    """A faint cloud, usually in the lower half and near the chest wall, stretched along it."""
    y = body.apex + (body.dome - body.apex) * rng.beta(4.0, 1.7)
    from_wall = rng.uniform(0.08, 0.3) if rng.random() < 0.85 else rng.uniform(0.3, 0.75)
    cage = value_at(body.cage_by_y, y)
    x = side * (cage - from_wall * (cage - _MEDIAL))
    return Opacity(
        side,
        x,
        y,
        rng.uniform(0.11, 0.24),
        rng.uniform(0.07, 0.14),
        side * rng.normal(-0.1, 0.25),
        density,
        0.2,
    )


def _consolidation(body: Anatomy, rng: np.random.Generator) -> Opacity:
    """A dense cloud in any zone of one lung; in half of the patients a fissure is its lower border."""
    side = RIGHT if rng.random() < 0.55 else LEFT
    y = body.apex + (body.dome - body.apex) * rng.uniform(0.22, 0.92)
    cage = value_at(body.cage_by_y, y)
    x = side * (cage - rng.uniform(0.15, 0.7) * (cage - _MEDIAL))
    along, across = rng.uniform(0.13, 0.24), rng.uniform(0.12, 0.22)
    fissure = y + rng.uniform(0.3, 0.7) * along if rng.random() < 0.5 else 2.0
    return Opacity(side, x, y, along, across, rng.uniform(-0.8, 0.8), rng.uniform(0.32, 0.75), 0.15, fissure)


def replaced_air(disease: tuple[Opacity, ...], space: Space, texture: Array, strength: float) -> Array:
    """The share of the lung's air that the opacities replace, in [0, 1], at each pixel.

    `texture` is noise of about unit spread that makes the borders irregular; `strength` scales the density
    of all of them, as between two films of one patient.
    """
    kept = np.ones_like(space.x)
    for opacity in disease:
        dx, dy = space.x - opacity.x, space.y - opacity.y
        cos, sin = np.float32(np.cos(opacity.angle)), np.float32(np.sin(opacity.angle))
        r2 = ((dy * cos + dx * sin) / opacity.along) ** 2 + ((dx * cos - dy * sin) / opacity.across) ** 2
        cloud = ramp(0.8 - np.sqrt(r2) + opacity.grain * texture, 0.75)
        # Clouds end: the texture must not make new ones far from the centre, or in the other lung.
        cloud *= ramp(1.9 - r2, 0.9) * (space.x * opacity.side > 0)
        if opacity.fissure < 2:
            cloud *= ramp(opacity.fissure - space.y + 0.15 * opacity.side * dx, 0.025)
        kept *= 1 - min(0.9, opacity.density * strength) * cloud
    return (1 - kept).astype(np.float32)
