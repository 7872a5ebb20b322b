"""The healthy thorax of the phantom: one random anatomy per patient, and its attenuation on a pixel grid.

Lengths are in units of half the image side: x runs from -1 (viewer's left, the patient's right side) to 1, y
from -1 (top) to 1. Attenuation is in units of the exponent of Beer and Lambert's law, so the layers add up.
Silhouettes are one-dimensional tables (a border as a function of height, a dome as a function of x), which
makes a film cost a few dozen array operations and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

RIGHT, LEFT = -1, 1
"""The patient's sides as signs of x: in the standard display the patient's left is on the viewer's right."""

_REACH: Final = 1.6
_ENTRIES: Final = 2048
_GRID: Final = np.linspace(-_REACH, _REACH, _ENTRIES, dtype=np.float32)


def table(points: list[tuple[float, float]], smooth: float = 0.03) -> Array:
    """A smooth curve through (position, value) `points`, positions rising, tabulated over [-1.6, 1.6]."""
    positions, values = zip(*points, strict=True)
    line = np.interp(_GRID, positions, values)
    step = 2 * _REACH / _ENTRIES
    reach = max(int(3 * smooth / step), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / smooth) ** 2)
    padded = np.pad(line, reach, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid").astype(np.float32)


def ramp(value: Array, width: Array | float) -> Array:
    """0 where `value` < -`width`, 1 where it is above `width`, a smooth cubic between."""
    t = np.clip(value * (0.5 / width) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def value_at(values: Array, position: float) -> float:
    """The entry of a table at one position."""
    return float(values[round((position + _REACH) * ((_ENTRIES - 1) / (2 * _REACH)))])


class Space:
    """The anatomical coordinates of each pixel of a film, and look-ups of tables and canvases there.

    `matrix` is (a, b, c, d, e, f): pixel centre (u, v) of the film, both in [-1, 1], lies at anatomical
    x = a u + b v + c, y = d u + e v + f. `shape` of all arrays is (grid, grid).
    """

    def __init__(self, grid: int, matrix: tuple[float, ...]) -> None:
        """A film of `grid` x `grid` pixels."""
        a, b, c, d, e, f = matrix
        self.grid, self.matrix = grid, matrix
        self.pixel = 2.0 / grid
        u = ((np.arange(grid) + 0.5) * self.pixel - 1.0).astype(np.float32)
        self.x = (a * u + c)[None, :] + (b * u)[:, None]
        self.y = (d * u + f)[None, :] + (e * u)[:, None]
        self.side = np.abs(self.x)
        self.is_left = self.x > 0
        self._ix, self._iy = _index(self.x), _index(self.y)
        self._iside = _index(self.side)

    def by_x(self, values: Array) -> Array:
        """A table over x, at each pixel."""
        return values[self._ix]

    def by_y(self, values: Array) -> Array:
        """A table over y, at each pixel."""
        return values[self._iy]

    def by_side(self, values: Array) -> Array:
        """A table over the distance from the midline, at each pixel."""
        return values[self._iside]

    def canvas(self, image: Image.Image) -> Array:
        """A float canvas (mode F, covering [-1, 1] in both directions) seen on the film, bilinear."""
        a, b, c, d, e, f = self.matrix
        ratio, half = image.width / self.grid, image.width / 2
        affine = (a * ratio, b * ratio, half * (c + 1 - a - b), d * ratio, e * ratio, half * (f + 1 - d - e))
        seen = image.transform(
            (self.grid, self.grid), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
        )
        return np.asarray(seen, dtype=np.float32)


def _index(position: Array) -> npt.NDArray[np.intp]:
    scaled = (position + _REACH) * ((_ENTRIES - 1) / (2 * _REACH))
    return np.clip(scaled, 0, _ENTRIES - 1).astype(np.intp)


@dataclass(frozen=True)
class Anatomy:
    """One patient's build. Tables as `table` makes them; what each is a function of is in its name."""

    cage_by_y: Array
    lung_medial_by_y: Array
    dome_right_by_x: Array
    dome_left_by_x: Array
    heart_right_by_y: Array
    heart_left_by_y: Array
    heart_depth_by_y: Array
    torso_by_y: Array
    shoulder_by_side: Array
    clavicle_by_side: Array
    scapula_by_y: Array
    trachea_by_y: Array
    spine_by_y: Array
    spine_width: float
    vertebra_pitch: float
    rib_pitch: float
    rib_first: float
    rib_half: float
    rib_drop: float
    rib_jitter: Array
    bone: float
    wall: float
    breast: tuple[float, float, float, float]
    bubble: tuple[float, float, float, float]
    apex: float
    dome: float
    texture_seed: int


def anatomy(rng: np.random.Generator) -> Anatomy:
    """A random adult build: lungs, heart, ribs and soft tissue vary independently of each other."""
    # The build: width of the rib cage, top and bottom of the lungs, size of the heart.
    cage = rng.uniform(0.74, 0.83)
    apex = rng.uniform(-0.84, -0.76)
    dome = rng.uniform(0.36, 0.48)
    left_lower = rng.uniform(0.03, 0.08)
    heart = rng.uniform(0.88, 1.14)
    knob = rng.uniform(-0.36, -0.28)
    bend = rng.normal(0, 0.012)
    widest = rng.uniform(0.15, 0.3)
    # The inner wall of the rib cage: a dome from the apex down to where it is widest.
    heights = np.linspace(apex, widest, 24)
    widths = cage * (1 - ((widest - heights) / (widest - apex)) ** rng.uniform(2.0, 2.5)) ** 0.66
    return Anatomy(
        cage_by_y=table(
            [(apex - 0.02, -0.05), *zip(heights.tolist(), widths.tolist(), strict=True), (1.2, cage * 1.05)],
            0.02,
        ),
        lung_medial_by_y=table(
            [(-1, 0.24), (apex, 0.19), (-0.62, 0.09), (-0.4, 0.055), (0.3, 0.05), (1, 0.08)]
        ),
        dome_right_by_x=_dome(RIGHT, cage, dome, rng),
        dome_left_by_x=_dome(LEFT, cage, dome + left_lower, rng),
        heart_right_by_y=_right_border(heart, rng),
        heart_left_by_y=_left_border(heart, knob, dome + left_lower, rng),
        heart_depth_by_y=table(
            [(-1, 0.1), (-0.5, 0.28), (knob, 0.36), (-0.1, 0.42), (0.1, 0.56), (0.4, 0.66), (1, 0.6)], 0.06
        ),
        torso_by_y=_torso(cage + rng.uniform(0.14, 0.3)),
        shoulder_by_side=table(
            [
                (0, -1.6),
                (0.24, -1.2),
                (0.3, -1.0),
                (0.6, -0.95 + rng.uniform(-0.03, 0.05)),
                (1, -0.84),
                (1.3, -0.7),
            ],
            0.05,
        ),
        clavicle_by_side=_clavicle(apex, rng),
        scapula_by_y=_scapula(cage, rng),
        trachea_by_y=table([(-1, bend), (-0.5, bend - 0.005), (-0.25, bend - 0.02), (1, bend)], 0.05),
        spine_by_y=table([(-1, bend), (0, -bend), (1, bend * 0.5)], 0.2),
        spine_width=rng.uniform(0.075, 0.09),
        vertebra_pitch=rng.uniform(0.118, 0.134),
        rib_pitch=rng.uniform(0.142, 0.162),
        rib_first=apex + rng.uniform(-0.02, 0.03),
        rib_half=rng.uniform(0.028, 0.035),
        rib_drop=rng.uniform(0.3, 0.42),
        rib_jitter=rng.normal(0, 1, (2, 2, 16)).astype(np.float32),
        bone=rng.uniform(0.75, 1.2),
        wall=rng.uniform(0.85, 1.2),
        breast=(
            max(0.0, rng.uniform(-0.09, 0.11)),
            rng.uniform(0.34, 0.42),
            rng.uniform(0.1, 0.3),
            rng.uniform(0.26, 0.36),
        ),
        bubble=(
            rng.uniform(0.0, 0.35),
            rng.uniform(0.26, 0.4),
            dome + left_lower + rng.uniform(0.13, 0.2),
            rng.uniform(0.6, 1.3),
        ),
        apex=apex,
        dome=dome,
        texture_seed=int(rng.integers(2**31)),
    )


def _dome(side: int, cage: float, top: float, rng: np.random.Generator) -> Array:
    """Height of the diaphragm over x: highest a little medial of the lung's middle, deep at its outer end."""
    crest, angle = rng.uniform(0.28, 0.36), rng.uniform(0.15, 0.24)
    distance = np.linspace(0, 1.4, 29)
    outer = np.clip((distance - crest) / (cage - crest), 0, 1.1)
    inner = np.clip((crest - distance) / crest, 0, 1)
    height = top + angle * outer**2.6 + 0.06 * inner**2
    points = [(side * d, h) for d, h in zip(distance.tolist(), height.tolist(), strict=True)]
    return table(sorted(points), 0.02)


def _right_border(heart: float, rng: np.random.Generator) -> Array:
    """x of the right border of mediastinum and heart over y: caval vein, ascending aorta, right atrium."""
    atrium = heart * rng.uniform(0.18, 0.23)
    return table(
        [
            (-1, -0.1),
            (-0.6, -0.1),
            (-0.35, -0.115),
            (-0.15, -0.125),
            (0.0, -0.14),
            (0.12, -atrium * 0.96),
            (0.25, -atrium),
            (0.38, -atrium * 0.95),
            (0.5, -0.13),
            (1, -0.12),
        ],
        0.035,
    )


def _left_border(heart: float, knob: float, dome: float, rng: np.random.Generator) -> Array:
    """x of the left border over y: aortic knob, pulmonary trunk, left ventricle down to its apex."""
    ventricle, arch = heart * rng.uniform(0.42, 0.5), rng.uniform(0.16, 0.2)
    return table(
        [
            (-1, 0.09),
            (-0.6, 0.095),
            (knob - 0.1, 0.1),
            (knob - 0.05, arch - 0.02),
            (knob, arch),
            (knob + 0.05, arch - 0.01),
            (knob + 0.11, 0.13),
            (knob + 0.2, rng.uniform(0.14, 0.185)),
            (knob + 0.3, 0.19),
            (0.12, ventricle * 0.72),
            (0.25, ventricle * 0.92),
            (dome - 0.08, ventricle),
            (dome, ventricle * 0.98),
            (dome + 0.1, ventricle * 0.8),
            (1, 0.2),
        ],
        0.028,
    )


def _torso(width: float) -> Array:
    """Half-width of the body over y below the shoulders."""
    return table(
        [
            (-1, 1.5),
            (-0.5, 1.4),
            (-0.2, width + 0.08),
            (0.05, width + 0.01),
            (0.4, width - 0.02),
            (1, width + 0.03),
        ],
        0.08,
    )


def _clavicle(apex: float, rng: np.random.Generator) -> Array:
    """y of the clavicle's axis over the distance from the midline: an S from sternum up to shoulder."""
    head, rise = apex + rng.uniform(0.2, 0.28), rng.uniform(0.1, 0.2)
    return table(
        [
            (0, head),
            (0.1, head),
            (0.25, head - 0.3 * rise),
            (0.42, head - 0.75 * rise),
            (0.65, head - rise),
            (0.9, head - 1.1 * rise),
            (1.3, head - 1.1 * rise),
        ],
        0.06,
    )


def _scapula(cage: float, rng: np.random.Generator) -> Array:
    """|x| of the scapula's medial border over y; beyond 1.5 there is none."""
    inner, tip = cage * rng.uniform(0.9, 1.06), rng.uniform(-0.1, 0.05)
    return table(
        [
            (-1.6, 1.6),
            (-0.72, 1.0),
            (-0.66, inner + 0.02),
            (-0.4, inner),
            (tip - 0.04, inner + 0.06),
            (tip, 1.0),
            (tip + 0.05, 1.6),
        ],
        0.015,
    )
