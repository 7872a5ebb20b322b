"""The anatomy of a drawn patient, and a slice through it in Hounsfield units.

A slice lies in the square [-1, 1] x [-1, 1]: x to the right of the picture (the patient's left), y down (to
the back). Height z runs from 0 (bases of the lungs) to 1 (apices). Organs are ellipses with a level: how far
inside a point is, in the unit of the square, negative outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Points = npt.NDArray[np.float32]

OUTSIDE: Final = -2000.0
"""Beyond the circle that the scanner reconstructs."""
AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, MARROW = -1000.0, -860.0, -100.0, 50.0, 45.0, 700.0, 220.0
TABLE: Final = -350.0


@dataclass(frozen=True)
class Body:
    """The differences between patients. Lengths in the unit of the square, angles in radians."""

    width: float
    height: float
    fat: float
    heart: float
    tilt: float
    shift: tuple[float, float]
    table: float
    ribs: float
    lung: tuple[float, float]
    vessels: Points
    """Points (n, 4) of the vessels' axes: x, y, z, radius."""


class Grid:
    """The points of a picture of `size` by `size` pixels, turned and shifted as the patient lies."""

    def __init__(self, size: int, body: Body) -> None:
        """`size` pixels a side, for `body`'s position."""
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        self.size = size
        self.plain_x, self.plain_y = np.meshgrid(axis, axis)
        x, y = self.plain_x - body.shift[0], self.plain_y - body.shift[1]
        cos, sin = math.cos(body.tilt), math.sin(body.tilt)
        self.x: Field = x * cos + y * sin
        self.y: Field = y * cos - x * sin

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, turn: float = 0.0, power: float = 2.0
    ) -> Field:
        """The level of an ellipse (a superellipse above power 2) around (x, y)."""
        cos, sin = math.cos(turn), math.sin(turn)
        dx, dy = self.x - x, self.y - y
        u, v = (dx * cos + dy * sin) / rx, (dy * cos - dx * sin) / ry
        if power == 2:
            radius = np.sqrt(u * u + v * v)
        else:
            radius = np.power(np.power(np.abs(u), power) + np.power(np.abs(v), power), 1 / power)
        return np.asarray((1 - radius) * min(rx, ry), np.float32)

    def cover(self, level: Field, softness: float = 1.0) -> Field:
        """How much of each pixel lies inside, 0 to 1, over a border of `softness` pixels."""
        return np.asarray(np.clip(0.5 + level * (self.size / 2 / softness), 0, 1), np.float32)


def draw_body(random: np.random.Generator) -> Body:
    """A patient."""
    return Body(
        width=random.uniform(0.80, 0.90),
        height=random.uniform(0.58, 0.66),
        fat=random.uniform(0.03, 0.09),
        heart=random.uniform(0.85, 1.15),
        tilt=random.normal(0, 0.03),
        shift=(random.normal(0, 0.02), random.uniform(-0.08, 0.02)),
        table=random.uniform(0.02, 0.05),
        ribs=random.uniform(0, 0.35),
        lung=(random.uniform(0.92, 1.05), random.uniform(0.92, 1.05)),
        vessels=_vessels(random),
    )


def _vessels(random: np.random.Generator) -> Points:
    """Branches from both hila outwards, thinner as they go: points (n, 4) of x, y, z, radius."""
    points = []
    for side in (-1, 1):
        for _ in range(26):
            heading = random.uniform(-math.pi * 0.62, math.pi * 0.62)
            steps = np.linspace(0, 1, 46)
            bend = random.normal(0, 0.5) * steps
            reach = random.uniform(0.25, 0.5)
            x = side * (0.20 + reach * steps * np.cos(heading + bend))
            y = 0.02 + reach * 1.15 * steps * np.sin(heading + bend)
            z = 0.5 + random.uniform(-0.62, 0.55) * steps
            radius = 0.028 * (1 - 0.72 * steps) * random.uniform(0.6, 1.1)
            points.append(np.stack([x, y, z, radius], 1))
    return np.concatenate(points).astype(np.float32)


def reach(z: float) -> tuple[float, float]:
    """How wide and deep the lungs are at height z, as shares of their largest extent."""
    narrow = math.sqrt(max(0.0, 1 - ((z - 0.32) / 0.80) ** 2))
    return narrow, 0.55 + 0.45 * narrow


def lung_level(grid: Grid, body: Body, z: float, side: int) -> Field:
    """The level of one lung: the chest's inside less heart, spine and diaphragm. `side` is -1 at the left of
    the picture, which is the patient's right, and 1 at the right."""
    wide, deep = reach(z)
    rx, ry = 0.385 * body.width / 0.85 * wide * body.lung[side > 0], 0.50 * body.height / 0.62 * deep
    level = grid.ellipse(side * (0.12 + 0.30 * wide), 0.02, rx, ry, turn=side * 0.10, power=2.3)
    level = np.minimum(level, -grid.ellipse(0.0, 0.30 * body.height / 0.62, 0.155, 0.26))
    level = np.minimum(level, -heart_level(grid, body, z))
    level = np.minimum(level, np.asarray(side * grid.x - 0.055, np.float32))
    if side < 0 and z < 0.22:  # the dome of the liver
        dome = math.sqrt(max(0.0, 1 - (z / 0.22) ** 2))
        level = np.minimum(level, -grid.ellipse(-0.43, -0.02, 0.25 * dome + 1e-3, 0.27 * dome + 1e-3))
    return np.asarray(level, np.float32)


def heart_level(grid: Grid, body: Body, z: float) -> Field:
    """The level of heart, below, and great vessels, above."""
    beat = body.heart * math.sqrt(max(0.03, 1 - ((z - 0.18) / 0.42) ** 2))
    heart = grid.ellipse(0.12 * beat, -0.20, 0.34 * beat, 0.25 * beat, turn=0.45)
    trunk = grid.ellipse(0.0, -0.10, 0.15, 0.23)
    return np.asarray(np.maximum(heart, trunk), np.float32)


def hounsfield(grid: Grid, body: Body, z: float, lungs: Field, texture: Field) -> Field:
    """The slice without disease. `lungs`: how much of each pixel is lung; `texture`: noise of unit spread."""
    skin = grid.ellipse(0, 0, body.width, body.height, power=2.4)
    picture = np.full(skin.shape, AIR, np.float32)
    couch = np.abs(
        grid.plain_y - (body.shift[1] + body.height + body.table + 0.10 * (1 - grid.plain_x**2)) + 0.05
    )
    _lay(picture, np.clip(1 - couch * grid.size / 5, 0, 1) * (np.abs(grid.plain_x) < 0.75), TABLE)
    _lay(picture, grid.cover(skin), FAT + 12 * texture)
    _lay(picture, grid.cover(skin - body.fat), MUSCLE + 10 * texture)
    inner = grid.ellipse(0, 0.0, body.width - body.fat - 0.10, body.height - body.fat - 0.06, power=2.3)
    _lay(picture, grid.cover(inner), -40 + 25 * texture)
    _lay(picture, grid.cover(heart_level(grid, body, z)), BLOOD + 10 * texture)
    if z < 0.22:
        _lay(picture, grid.cover(grid.ellipse(-0.43, -0.02, 0.34, 0.36)) * (z < 0.22), 60 + 8 * texture)
    _bones(grid, body, z, picture)
    depth = np.asarray(40 * grid.y, np.float32)  # the dependent lung is denser
    _lay(picture, lungs, LUNG + depth + 28 * texture)
    _lay(picture, lungs * vessels(grid, body, z), MUSCLE)
    _airways(grid, z, picture)
    return picture


def vessels(grid: Grid, body: Body, z: float) -> Field:
    """How much of each pixel is vessel: the points of the branches near this height, as soft discs."""
    cover = np.zeros((grid.size, grid.size), np.float32)
    scale = reach(z)[0]
    points = body.vessels[:: max(1, 256 // grid.size)]  # no closer together than pixels
    for x, y, height, radius in points[np.abs(points[:, 2] - z) < 0.055].tolist():
        x, y = x * scale + body.shift[0], y + body.shift[1]
        near = max(radius, 1.1 / grid.size)
        columns = slice(*_span(x, near * 2.5, grid.size))
        rows = slice(*_span(y, near * 2.5, grid.size))
        fade = 1 - abs(height - z) / 0.055
        gap = (grid.plain_x[rows, columns] - x) ** 2 + (grid.plain_y[rows, columns] - y) ** 2
        cover[rows, columns] = np.maximum(cover[rows, columns], fade * np.exp(-gap / near**2))
    return np.asarray(np.clip(1.5 * cover, 0, 1), np.float32)


def _span(centre: float, radius: float, size: int) -> tuple[int, int]:
    low, high = (centre - radius + 1) * size / 2, (centre + radius + 1) * size / 2
    return max(0, math.floor(low)), max(0, min(size, math.ceil(high)))


def _bones(grid: Grid, body: Body, z: float, picture: Field) -> None:
    """Spine, ribs, sternum and, high up, shoulder blades, laid over `picture` in place."""
    for part, value in (((0, 0.30, 0.115, 0.095), MARROW), ((0, 0.47, 0.028, 0.10), BONE)):
        _lay(picture, grid.cover(grid.ellipse(*part)), value)
    rim = np.abs(grid.ellipse(0, 0.30, 0.115, 0.095))
    _lay(picture, np.clip(1 - rim * grid.size / 4, 0, 1), BONE)
    for side in (-1, 1):
        _lay(picture, grid.cover(grid.ellipse(side * 0.13, 0.40, 0.085, 0.024, turn=side * 0.5)), BONE)
    _lay(picture, grid.cover(grid.ellipse(0, 0.415, 0.042, 0.036)), 25.0)  # the canal
    rx, ry = body.width - body.fat - 0.075, body.height - body.fat - 0.05
    for side in (-1, 1):
        for rib in range(6):
            angle = -1.15 + body.ribs * 0.5 + 0.42 * rib + 1.3 * (z % 0.3)
            if not -1.25 < angle < 1.25:
                continue
            x, y = side * rx * math.cos(angle), ry * math.sin(angle)
            turn = math.atan2(ry * math.cos(angle), -side * rx * math.sin(angle))
            _lay(picture, grid.cover(grid.ellipse(x, y, 0.085, 0.026, turn=turn)), BONE)
            _lay(picture, grid.cover(grid.ellipse(x, y, 0.065, 0.010, turn=turn)), MARROW)
        if z > 0.6:
            _lay(picture, grid.cover(grid.ellipse(side * 0.60, 0.36, 0.16, 0.016, turn=-side * 0.7)), BONE)
    _lay(picture, grid.cover(grid.ellipse(0, -ry + 0.01, 0.085, 0.030)), MARROW + 150)


def _airways(grid: Grid, z: float, picture: Field) -> None:
    """The windpipe above its fork, two main bronchi below, each with a wall; in place."""
    tubes = [(0.0, 0.045)] if z > 0.6 else [(-0.14, 0.032), (0.14, 0.030)] if z > 0.4 else []
    for x, radius in tubes:
        _lay(picture, grid.cover(grid.ellipse(x, 0.06, radius + 0.014, radius + 0.014)), MUSCLE)
        _lay(picture, grid.cover(grid.ellipse(x, 0.06, radius, radius)), AIR)


def _lay(picture: Field, cover: npt.NDArray[np.floating], value: Field | float) -> None:
    """Blend `value` over `picture`, in place."""
    picture += np.asarray(cover * (value - picture), np.float32)
