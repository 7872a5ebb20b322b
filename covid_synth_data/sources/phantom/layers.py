"""From an anatomy to an attenuation map: chest wall, air, heart, bones and vessels, layer by layer."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from covid_synth_data.sources.phantom.anatomy import LEFT, RIGHT, Anatomy, Array, Space, ramp

_AIR: Final = 0.62
"""Attenuation that the air of a lung takes away at its thickest."""

_RIBS: Final = 10
_ANTERIOR_RIBS: Final = 6


@dataclass(frozen=True)
class Lungs:
    """`air` is the attenuation missing through air, `field` the projected lung in [0, 1], heart included.

    `depth` is the position in the field: 0 at the chest wall, 1 at the mediastinum. `below` is the distance
    below the diaphragm's dome (negative inside the lung).
    """

    air: Array
    field: Array
    depth: Array
    below: Array


def lungs(body: Anatomy, space: Space) -> Lungs:
    """The projection of both lungs, including what lies behind the heart."""
    cage = space.by_y(body.cage_by_y) * np.where(space.is_left, np.float32(0.985), np.float32(1.0))
    medial = space.by_y(body.lung_medial_by_y)
    dome = np.where(space.is_left, space.by_x(body.dome_left_by_x), space.by_x(body.dome_right_by_x))
    below = space.y - dome
    edge = max(0.012, space.pixel * 0.7)
    span = np.maximum(cage - medial, np.float32(0.02))
    depth = (cage - space.side) / span
    field = ramp(cage - space.side, edge) * ramp(space.side - medial, 0.06) * ramp(-below, edge)
    # A lung is rounded: its air thins out towards the chest wall and behind the dome.
    rounded = 0.72 + 0.28 * np.sqrt(np.clip(depth * 3.0, 0.0, 1.0))
    rounded *= 0.86 + 0.14 * np.clip(-below * 4.0, 0.0, 1.0)
    return Lungs((_AIR * rounded * field).astype(np.float32), field, depth, below)


def silhouettes(body: Anatomy, space: Space, under: Lungs, heart_scale: float) -> Array:
    """Heart and mediastinum. `heart_scale` widens the heart, as an anteroposterior projection does."""
    left = space.by_y(body.heart_left_by_y)
    right = space.by_y(body.heart_right_by_y)
    widen = 1 + (heart_scale - 1) * ramp(space.y, 0.25)
    left, right = left * widen, right * widen
    half = (left - right) * 0.5
    offset = (space.x - (left + right) * 0.5) / half
    edge = max(0.016, space.pixel * 0.7)
    inside = ramp(left - space.x, edge) * ramp(space.x - right, edge)
    round_ = 0.55 + 0.45 * np.sqrt(np.clip(1 - offset * offset, 0.0, 1.0))
    fade = ramp(0.05 - under.below, 0.1)
    depth: Array = space.by_y(body.heart_depth_by_y) * inside * round_ * fade
    return depth


def chest_wall(body: Anatomy, space: Space, under: Lungs) -> Array:
    """Skin, muscle, breast and abdomen: everything soft that is neither lung nor heart."""
    torso = space.by_y(body.torso_by_y)
    inside = ramp(torso - space.side, 0.02) * ramp(space.y - space.by_side(body.shoulder_by_side), 0.02)
    across = np.clip(space.side / torso, 0.0, 1.0)
    thickness = 1.0 * (1 - 0.3 * across**3)
    thickness += 0.12 * body.wall * ramp(-0.45 - space.y, 0.4)
    abdomen = 0.34 * ramp(under.below - 0.06, 0.1) * np.where(space.is_left, np.float32(0.7), np.float32(1.0))
    amount, at, height, radius = body.breast
    breast = ((space.side - at) / (radius * 0.95)) ** 2 + ((space.y - height) / radius) ** 2
    soft = amount * ramp(1 - breast, np.where(space.y > height, np.float32(0.16), np.float32(0.9)))
    depth, x, y, flat = body.bubble
    gas = ((space.x - x) / (0.13 * flat)) ** 2 + ((space.y - y) / 0.075) ** 2
    bubble = depth * ramp(1 - gas, 0.35) * ramp(under.below - 0.03, 0.02) * space.is_left
    return inside * (thickness + abdomen + soft - bubble)


def airways(body: Anatomy, space: Space) -> Array:
    """The attenuation that trachea and main bronchi take away (positive numbers)."""
    centre = space.by_y(body.trachea_by_y)
    carina = -0.26
    trachea = ramp(0.042 - np.abs(space.x - centre), 0.016) * ramp(carina - space.y, 0.03)
    drop = space.y - carina
    slope = np.where(space.x < centre, np.float32(0.75), np.float32(1.1))
    bronchus = ramp(0.024 - np.abs(np.abs(space.x - centre) - drop * slope) * 0.75, 0.014)
    bronchus *= ramp(drop, 0.02) * ramp(0.13 - drop, 0.06)
    return (0.2 * trachea + 0.12 * bronchus).astype(np.float32)


def bones(body: Anatomy, space: Space) -> Array:
    """Ribs, clavicles, scapulae, humeral heads and spine."""
    total = _spine(body, space) + _clavicles(body, space) + _scapulae(body, space)
    return (body.bone * (total + _ribs(body, space))).astype(np.float32)


def _ribs(body: Anatomy, space: Space) -> Array:
    """Each rib is a tilted ring: its back half starts high at the spine, its front half ends low."""
    cage = np.maximum(space.by_y(body.cage_by_y) + 0.02, np.float32(0.05))
    t = np.clip(space.side / cage, 0.0, 1.0)
    ring = np.sqrt(1 - t * t)
    drop = body.rib_drop * (1 + 0.25 * space.y)
    rim = ramp(1.0 - space.side / cage, 0.02)
    start = space.y - body.rib_first
    # Behind, a rib rises a little from its joint before it turns down along the side.
    back = (
        start - drop * (0.5 - 0.5 * ring) + 0.05 * np.sin(np.pi * np.clip(t * 1.3, 0, 1))
    ) / body.rib_pitch
    front = (start - drop * (0.5 + 0.62 * ring)) / body.rib_pitch
    side = space.is_left.astype(np.intp)
    shade = _bands(back, side, body, 0, _RIBS, space) * ramp(t - 0.14, 0.05)
    shade += 0.6 * _bands(front, side, body, 1, _ANTERIOR_RIBS, space) * ramp(t - 0.52, 0.12)
    # Towards the side the beam runs along the rib, so it is denser there.
    return (0.13 * shade * rim * (0.75 + 0.6 * t * t)).astype(np.float32)


def _bands(level: Array, side: np.ndarray, body: Anatomy, half: int, count: int, space: Space) -> Array:
    """Bars at the whole numbers of `level`, with brighter cortical edges, jittered rib by rib."""
    number = np.clip(np.rint(level), 0, count).astype(np.intp)
    jitter = body.rib_jitter[half][side, number]
    away = np.abs(level - number - 0.07 * jitter) * body.rib_pitch
    width = body.rib_half * (0.85 if half else 1.0)
    soft = max(0.008, space.pixel * 0.6)
    bar = ramp(width - away, soft)
    line = ramp(soft * 1.6 - np.abs(away - width * 0.8), soft)
    rib: Array = (bar * (0.62 + 0.06 * jitter) + 0.38 * line).astype(np.float32)
    return rib


def _spine(body: Anatomy, space: Space) -> Array:
    """Vertebral bodies with disc spaces, pedicles and spinous processes, and transverse processes."""
    x = space.x - space.by_y(body.spine_by_y)
    side = np.abs(x)
    phase = space.y / body.vertebra_pitch
    within = np.abs(phase - np.rint(phase))
    column = ramp(body.spine_width - side + 0.006 * np.cos(2 * np.pi * phase), 0.014)
    vertebra = ramp(0.38 - within, 0.07)
    pedicle = ramp(1 - ((side - 0.6 * body.spine_width) / 0.02) ** 2 - ((within - 0.12) / 0.16) ** 2, 0.5)
    process = ramp(1 - (x / 0.014) ** 2 - ((within - 0.2) / 0.22) ** 2, 0.5)
    wing = ramp(0.1 - within, 0.1) * ramp(0.15 - side, 0.03)
    return (column * (0.06 + 0.06 * vertebra) + 0.06 * pedicle + 0.07 * process + 0.05 * wing).astype(
        np.float32
    )


def _clavicles(body: Anatomy, space: Space) -> Array:
    """Two S-shaped bones, thicker at the sternal end."""
    away = np.abs(space.y - space.by_side(body.clavicle_by_side))
    width = 0.026 + 0.014 * ramp(0.16 - space.side, 0.08)
    soft = max(0.01, space.pixel * 0.6)
    bar = ramp(width - away, soft) * ramp(space.side - 0.075, 0.02)
    line = ramp(soft * 1.5 - np.abs(away - width * 0.8), soft) * ramp(space.side - 0.075, 0.02)
    return (0.17 * bar + 0.07 * line).astype(np.float32)


def _scapulae(body: Anatomy, space: Space) -> Array:
    """Shoulder blades beside the upper lungs and the heads of the humeri in the upper corners."""
    inner = space.side - space.by_y(body.scapula_by_y)
    blade = 0.07 * ramp(inner, 0.012) * ramp(0.98 - space.side, 0.1)
    edge = 0.07 * ramp(0.014 - np.abs(inner - 0.012), 0.012)
    head = ramp(1 - ((space.side - 1.03) / 0.15) ** 2 - ((space.y + 0.68) / 0.15) ** 2, 0.3)
    return (blade + edge + 0.13 * head).astype(np.float32)


@functools.lru_cache(maxsize=16)
def vessels(texture_seed: int, resolution: int) -> Image.Image:
    """Hila and branching vessels of both lungs in [0, 1], a mode F canvas over [-1, 1] squared."""
    rng = np.random.default_rng([texture_seed, 1])
    fine = 2 * resolution
    segments: list[tuple[float, float, float, float, float]] = []
    for side, root in ((RIGHT, (-0.15, -0.02)), (LEFT, (0.16, -0.07))):
        for angle in np.linspace(-1.15, 1.35, 7):
            _grow(
                segments, rng, root, side, float(angle + rng.normal(0, 0.1)), float(rng.uniform(0.019, 0.03))
            )
    canvas = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(canvas)
    for x0, y0, x1, y1, width in sorted(segments, key=lambda segment: segment[4]):
        at = tuple((value + 1) * fine / 2 for value in (x0, y0, x1, y1))
        level = min(255, int(255 * min(1.0, width / 0.022 + 0.15)))
        pen.line(at, fill=level, width=max(1, round(width * fine / 2)))
    tree = np.asarray(canvas.reduce(2), dtype=np.float32) / 255
    axis = (np.arange(resolution) + 0.5) * (2 / resolution) - 1
    hila = np.zeros_like(tree)
    for x, y in ((-0.16, -0.02), (0.17, -0.07)):
        along = np.exp(-(((axis - y) / 0.12) ** 2))[:, None]
        hila += (0.55 * along * np.exp(-(((axis - x) / 0.055) ** 2))[None, :]).astype(np.float32)
    return Image.fromarray(tree + hila)


def _grow(
    segments: list[tuple[float, float, float, float, float]],
    rng: np.random.Generator,
    root: tuple[float, float],
    side: int,
    angle: float,
    width: float,
    level: int = 0,
) -> None:
    """Append one wandering, thinning, branching vessel from `root`; `angle` 0 is sideways, down positive."""
    x, y = root
    step = 0.045
    turns = rng.normal(0, 0.2, 24)
    forks = rng.random(24)
    for turn, fork in zip(turns.tolist(), forks.tolist(), strict=True):
        angle += turn
        end = (x + side * step * math.cos(angle), y + step * math.sin(angle))
        segments.append((x, y, *end, width))
        x, y = end
        width *= 0.87
        if width < 0.0035:
            return
        if fork < 0.4 and level < 2:
            away = 0.55 if fork < 0.2 else -0.55
            _grow(segments, rng, end, side, angle + away, width * 0.75, level + 1)


@functools.lru_cache(maxsize=16)
def texture(texture_seed: int, resolution: int) -> Image.Image:
    """Cloudy noise of zero mean and about unit spread over several scales, a mode F canvas."""
    rng = np.random.default_rng([texture_seed, 2])
    total = np.zeros((resolution, resolution), dtype=np.float32)
    for cells, weight in ((8, 0.6), (20, 0.55), (48, 0.45), (112, 0.4)):
        coarse = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        total += weight * np.asarray(coarse.resize((resolution, resolution), Image.Resampling.BICUBIC))
    return Image.fromarray(total)
