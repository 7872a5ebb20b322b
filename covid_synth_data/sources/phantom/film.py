"""One exposure: position, scatter, noise, the display's curve, markers and lines; the class plays no part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from covid_synth_data.sources.phantom.anatomy import Array

_FONT: Final = {
    "A": (14, 17, 17, 31, 17, 17, 17),
    "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (15, 16, 16, 16, 16, 16, 15),
    "G": (15, 16, 16, 19, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17),
    " ": (0, 0, 0, 0, 0, 0, 0),
}
"""Capitals of 5 x 7 dots, a row a number: drawing with a system font would differ from machine to machine."""

_TEXTS: Final = ("ERECT", "PORTABLE", "SUPINE", "BEDSIDE", "ICU", "STANDING")


@dataclass(frozen=True)
class FilmSettings:
    """How one film was taken. Every value is drawn without knowledge of the class.

    `matrix` maps film to anatomical coordinates (see `Space`); `heart_scale` is the magnification of the
    heart; `centre` and `width` are the display's window in units of attenuation; `noise` is the standard
    deviation of the log signal at unit attenuation on a 256-pixel grid; `scatter` the share of scattered
    light; `strength` scales the density of opacities, if there are any; `overlay_seed` places the rest.
    """

    view: str
    matrix: tuple[float, float, float, float, float, float]
    heart_scale: float
    centre: float
    width: float
    noise: float
    scatter: float
    strength: float
    marker: str
    text: str
    lines: int
    overlay_seed: int


def film_settings(rng: np.random.Generator) -> FilmSettings:
    """A random film."""
    anteroposterior = rng.random() < 0.4
    angle = rng.normal(0, 0.025)
    scale_x, scale_y = rng.uniform(0.94, 1.06), rng.uniform(0.94, 1.06)
    cos, sin = math.cos(angle), math.sin(angle)
    marker = str(rng.choice(["", "L", "R"], p=[0.35, 0.4, 0.25]))
    return FilmSettings(
        view="AP" if anteroposterior else "PA",
        matrix=(
            cos * scale_x,
            -sin * scale_y,
            rng.normal(0, 0.025),
            sin * scale_x,
            cos * scale_y,
            rng.normal(0, 0.03),
        ),
        heart_scale=rng.uniform(1.04, 1.16) if anteroposterior else rng.uniform(0.97, 1.04),
        centre=rng.normal(0.78, 0.05),
        width=rng.uniform(0.21, 0.3),
        noise=rng.uniform(0.01, 0.03),
        scatter=rng.uniform(0.1, 0.3),
        strength=rng.uniform(0.85, 1.15),
        marker=marker,
        text=str(rng.choice(_TEXTS)) if rng.random() < 0.2 else "",
        lines=int(rng.integers(1, 4)) if rng.random() < 0.25 else 0,
        overlay_seed=int(rng.integers(2**31)),
    )


def expose(attenuation: Array, film: FilmSettings) -> npt.NDArray[np.uint8]:
    """The displayed film, dense tissue bright: scatter, quantum noise, window, overlays."""
    grid = attenuation.shape[0]
    rng = np.random.default_rng([film.overlay_seed, 1])
    light = np.exp(-attenuation)
    light = (1 - film.scatter) * light + film.scatter * _veil(light)
    # Fewer quanta pass through dense tissue, so the log signal is noisier there, by the root of their number.
    sigma = film.noise * math.sqrt(grid / 256) / np.sqrt(light)
    signal = -np.log(light) + sigma * rng.standard_normal((grid, grid), dtype=np.float32)
    shown = 0.5 + 0.5 * np.tanh((signal - film.centre) / (2 * film.width))
    return _overlays(np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8), film)


def _veil(light: Array) -> Array:
    """Scattered light: the primary image blurred over about a tenth of the film."""
    grid = light.shape[0]
    small = Image.fromarray(light).resize((12, 12), Image.Resampling.BOX)
    return np.asarray(small.resize((grid, grid), Image.Resampling.BICUBIC), dtype=np.float32)


def _overlays(film: npt.NDArray[np.uint8], settings: FilmSettings) -> npt.NDArray[np.uint8]:
    """Lead marker, text and monitoring lines, where the settings have any."""
    if not (settings.marker or settings.text or settings.lines):
        return film
    rng = np.random.default_rng([settings.overlay_seed, 2])
    image = Image.fromarray(film)
    grid = image.width
    for _ in range(settings.lines):
        _line(image, rng)
    if settings.marker:
        # The patient's left is on the viewer's right.
        across = rng.uniform(0.86, 0.93) if settings.marker == "L" else rng.uniform(0.07, 0.14)
        _write(image, settings.marker, across, rng.uniform(0.05, 0.16), max(7, grid // 16), 250)
    if settings.text:
        _write(
            image, settings.text, rng.uniform(0.25, 0.75), rng.uniform(0.02, 0.05), max(7, grid // 28), 220
        )
    return np.asarray(image)


def _write(image: Image.Image, text: str, across: float, down: float, height: int, level: int) -> None:
    """Capitals of `height` pixels; (`across`, `down`), shares of the film, is the middle of their top."""
    rows = [np.concatenate([[*_bits(_FONT[letter][row]), 0] for letter in text]) for row in range(7)]
    dots = np.asarray(rows, dtype=np.uint8)[:, :-1] * 255
    width = round(height * dots.shape[1] / 7)
    glyphs = Image.fromarray(dots).resize((width, height), Image.Resampling.BOX)
    corner = (round(across * image.width - width / 2), round(down * image.height))
    image.paste(level, (*corner, corner[0] + width, corner[1] + height), glyphs)


def _bits(row: int) -> list[int]:
    return [row >> (4 - column) & 1 for column in range(5)]


def _line(image: Image.Image, rng: np.random.Generator) -> None:
    """One cable: a curve from the film's edge to an electrode on the chest."""
    grid = image.width
    start = np.array([rng.choice([-0.05, 1.05]), rng.uniform(0.1, 0.9)])
    end = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.25, 0.75)])
    bend = (start + end) / 2 + rng.normal(0, 0.15, 2)
    t = np.linspace(0, 1, 24)[:, None]
    points = ((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end) * grid
    layer = Image.new("L", (2 * grid, 2 * grid))
    pen = ImageDraw.Draw(layer)
    pen.line([tuple(point) for point in (2 * points).tolist()], fill=150, width=max(1, round(grid * 0.016)))
    radius = grid * 0.035
    x, y = (2 * points[-1]).tolist()
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=110)
    image.paste(240, (0, 0), layer.reduce(2))
