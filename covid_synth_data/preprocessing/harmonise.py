"""Normalise frame, edges, sharpness and grey levels, so that images do not reveal their source.

Every step is a fixed rule on a single film. Nothing is learned, from training films or from test films,
and nothing depends on the source or the class.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import sharpness

Film = npt.NDArray[np.float32]
"""A film in [0, 255], not rounded."""

COMMON_SIDE: Final = 128
"""Every film passes through this side: the smallest public sets come as 224 x 224 or 256 x 256."""

BLUR: Final = 1.0
"""Standard deviation, in pixels of the common side, of the Gaussian after it."""

TURNS: Final = 2
"""How often sharpness and tone are set in turn."""

CUT: Final = 0.08
"""Share of each side that is cut off once the frame is gone: lead markers and letters stand there."""

FRAME_TOLERANCE: Final = 0.06
"""How far pixels of a black or white frame may lie from its level, as a share of the film's range."""

FRAME_NOISE: Final = 2.0
"""And how far those of a grey frame may, in levels; a frame's tolerance is never less."""

FRAME_SHARE: Final = 0.9
"""A line belongs to a frame when this share of its pixels has the frame's level; the rest may be letters."""

FRAME_LIMIT: Final = 0.35
"""At most this share of each side is taken for a frame."""

FRAME_PASSES: Final = 4
"""A grey line around a black margin around a white line around a film is three frames."""

LEVELS: Final = 16
"""Ranks are told apart to this fraction of a grey level; what is finer is the rounding of the arithmetic."""

REVISION: Final = 1
"""Counted up with every change of the rules here that the numbers above do not show."""

_LEAST: Final = 16
_LINES: Final = 64


class Box(NamedTuple):
    """A part of a film in pixels: columns `left` to `right`, rows `top` to `bottom`, upper ends excluded."""

    left: float
    top: float
    right: float
    bottom: float

    def part(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The box whose sides are at these shares of this one's width and height."""
        width, height = self.right - self.left, self.bottom - self.top
        return Box(
            self.left + left * width,
            self.top + top * height,
            self.left + right * width,
            self.top + bottom * height,
        )


def whole(grey: Grey) -> Box:
    """All of `grey`, shape (h, w)."""
    return Box(0, 0, grey.shape[1], grey.shape[0])


def without_frame(grey: Grey) -> Box:
    """The rest of `grey` (h, w) when black, white or grey margins are taken off, with letters in them.

    A margin is a run of lines at a side that have nearly one level; where that is neither the darkest nor the
    lightest of the film, they must be even plainer.
    A film that is one such margin, or smaller than 16 pixels, is left whole.
    """
    height, width = grey.shape
    low, high = float(grey.min()), float(grey.max())
    if min(height, width) < _LEAST or high == low:
        return whole(grey)
    tolerance = max(FRAME_NOISE, FRAME_TOLERANCE * (high - low))
    left, top, right, bottom = 0, 0, width, height
    for _ in range(FRAME_PASSES):
        inside = grey[top:bottom, left:right]
        room = (
            round(FRAME_LIMIT * height) - top,
            round(FRAME_LIMIT * height) - (height - bottom),
            round(FRAME_LIMIT * width) - left,
            round(FRAME_LIMIT * width) - (width - right),
        )
        sides = (inside, inside[::-1], inside.T, inside.T[::-1])
        margins = [
            _margin(lines[: max(limit, 0)], low, high, tolerance)
            for lines, limit in zip(sides, room, strict=True)
        ]
        if not any(margins):
            break
        top, bottom, left, right = (
            top + margins[0],
            bottom - margins[1],
            left + margins[2],
            right - margins[3],
        )
    return Box(left, top, right, bottom)


def _margin(lines: Grey, low: float, high: float, tolerance: float) -> int:
    """How many of `lines`, from the first on, have nearly the level of the first one."""
    if not len(lines):
        return 0
    level = float(np.median(lines[0]))
    if min(level - low, high - level) > tolerance:
        tolerance = FRAME_NOISE
    for start in range(0, len(lines), _LINES):
        block = lines[start : start + _LINES].astype(np.int16)
        plain = (np.abs(block - level) <= tolerance).mean(axis=1) >= FRAME_SHARE
        if not plain.all():
            return start + int(np.argmin(plain))
    return len(lines)


def standard(grey: Grey, box: Box) -> Film:
    """The part `box` of `grey` at the common side, sharpness and tone: float32 (COMMON_SIDE, COMMON_SIDE).

    Sharpness and tone change each other, so they take turns.
    """
    film = reduced(grey, box)
    for _ in range(TURNS):
        film = tone(sharpness.even(film))
    return film


def reduced(grey: Grey, box: Box) -> Film:
    """The part `box` of `grey` at the common side and tone, blurred: float32 (COMMON_SIDE, COMMON_SIDE).

    The aspect ratio is not kept. The tone comes first, so that two copies of a film that differ in their tone
    curve alone are the same picture when they are averaged and blurred; and again at the end, since both
    change the distribution.
    """
    left, top = int(box.left), int(box.top)
    right, bottom = max(int(np.ceil(box.right)), left + 1), max(int(np.ceil(box.bottom)), top + 1)
    part = Image.fromarray(np.ascontiguousarray(grey[top:bottom, left:right]))
    levels = _replaced(np.asarray(part.histogram(), np.float64))
    small = part.point(np.rint(levels).astype(int).tolist()).resize(
        (COMMON_SIDE, COMMON_SIDE),
        Image.Resampling.BILINEAR,
        box=(box.left - left, box.top - top, box.right - left, box.bottom - top),
        reducing_gap=3.0,
    )
    return tone(ndimage.gaussian_filter(np.asarray(small, np.float32), BLUR, mode="nearest"))


def tone(film: Film) -> Film:
    """`film` with its grey levels replaced, in their order, by those of the reference distribution.

    Pixels of one level stay one level (the middle of their ranks), so a film of one level becomes mid grey.
    """
    steps = np.rint(np.clip(film, 0, 255) * LEVELS).astype(np.intp)
    toned: Film = _replaced(np.bincount(steps.ravel()).astype(np.float64)).astype(np.float32)[steps]
    return toned


def _replaced(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The new grey in [0, 255] of each level, of which there are `counts` pixels."""
    return reference((np.cumsum(counts) - counts / 2) / counts.sum())


def reference(ranks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The grey levels in [0, 255] that stand at `ranks` in [0, 1] of the reference distribution.

    It is the beta distribution with both parameters 2, a broad hump over the whole range (mean 127.5,
    standard deviation 57): close to what films look like, and no film's own.
    """
    levels: npt.NDArray[np.float64] = 255 * (0.5 - np.sin(np.arcsin(1 - 2 * ranks) / 3))
    return levels


def to_side(film: Film, side: int, box: Box | None = None) -> Grey:
    """`film`, or the part `box` of it, at (side, side), bilinear, rounded to uint8."""
    image = Image.fromarray(film)
    if box is not None or film.shape != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    rounded: Grey = np.rint(np.clip(np.asarray(image), 0, 255)).astype(np.uint8)
    return rounded


def harmonised(grey: Grey, side: int) -> Grey:
    """`grey` (h, w) without frame and edges, at the common sharpness and tone: uint8 (side, side)."""
    return to_side(standard(grey, without_frame(grey).part(CUT, CUT, 1 - CUT, 1 - CUT)), side)


def settings() -> dict[str, float]:
    """Everything above that the pixels depend on."""
    return {
        "revision": REVISION,
        "common_side": COMMON_SIDE,
        "blur": BLUR,
        "turns": TURNS,
        "cut": CUT,
        "frame_tolerance": FRAME_TOLERANCE,
        "frame_noise": FRAME_NOISE,
        "frame_share": FRAME_SHARE,
        "frame_limit": FRAME_LIMIT,
        "frame_passes": FRAME_PASSES,
        "levels": LEVELS,
    }
