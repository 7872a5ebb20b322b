"""Negatives that went through the painter: every trace of the path, and no disease.

A classifier that sees painted positives and untouched negatives may learn the traces of painting: smoother
detail, noise given back, blended borders. A control is painted by the same steps and is a negative:

    neutral    the same lesion in the lungs, whose change of grey is as often darker as brighter, 0 on average
    dark       the same lesion in the lungs, darker instead of brighter
    outside    the same lesion, brighter, in what lies around the lungs; the lungs stay as they are
    discs      discs in the lungs, where the lesion lies, with its area and its mean density, even and with
               sharp borders: brighter, but no disease looks like it
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image
from scipy import ndimage

from covid_synth_data.errors import UnknownName
from covid_synth_data.lesions import noise
from covid_synth_data.lesions.coordinates import Coordinates, Mask, Plane
from covid_synth_data.lesions.noise import Window

NEUTRAL, DARK, OUTSIDE, DISCS = "neutral", "dark", "outside", "discs"

KINDS: Final = (NEUTRAL, DARK, OUTSIDE, DISCS)

DARKER: Final = 0.4
"""How much darker a dark control becomes, as a share of how much brighter the lesion would be: the lungs are
near the dark end already."""

WAVES: Final = np.float32(0.8)
"""Spread of the factor of a neutral control."""

MARGIN: Final = 2
"""Cells of the grid around the lungs that an outside control leaves alone."""

RADIUS: Final = 0.03
"""Radius of a disc, as a share of the film's side: about 10 mm on a film of 35 cm."""

MOST_DISCS: Final = 400
"""Discs overlap, so a large lesion would take ever more of them."""


def check(kind: str | None) -> None:
    """Raise `UnknownName` unless `kind` is None or one of `KINDS`."""
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of control", kind, KINDS)


def around(where: Coordinates, lungs: Mask) -> tuple[Coordinates, Mask]:
    """The coordinates and the mask (h, w) of what lies around `lungs`, for an outside control."""
    inside = ndimage.binary_dilation(where.side > 0, iterations=MARGIN)
    away = np.asarray(Image.fromarray(~inside).resize(lungs.shape[::-1], Image.Resampling.NEAREST))
    return where._replace(side=np.where(inside, 0, where.half).astype(np.int8)), away & ~lungs


def discs(soft: Plane, side: int, random: np.random.Generator) -> Plane:
    """Discs with the area of a lesion that pixels belong to by `soft` (h, w): 1 in a disc, 0 elsewhere.

    Centres are pixels of the lesion, and discs stay where `soft` is above 0. `side` is that of the film.
    """
    rows, columns = np.nonzero(soft > 0)
    weights = soft[rows, columns].astype(np.float64)
    there = np.zeros(soft.shape, bool)
    if not len(rows):
        return there.astype(np.float32)
    radius, wanted = max(2.0, RADIUS * side), float(soft.sum())
    for place in random.choice(len(rows), MOST_DISCS, p=weights / weights.sum()):
        if there.sum() >= wanted:
            break
        near = (rows - rows[place]) ** 2 + (columns - columns[place]) ** 2 <= radius**2
        there[rows[near], columns[near]] = True
    return there.astype(np.float32)


def gain(
    kind: str, rise: Plane, body: Plane, shape: tuple[int, ...], seen: Window, random: np.random.Generator
) -> Plane:
    """The factor that turns the change of grey `rise` of a lesion into that of a control.

    `body` is 0 in the black around the body and 1 in the body; both are the part `seen` of a film of `shape`.
    """
    if kind == OUTSIDE:
        return body
    if kind == DARK:
        return np.full_like(rise, -DARKER)
    waves: Plane = WAVES * noise.enlarge(noise.clouds(random, random.uniform(3, 8)), shape, seen)
    total = float(rise.sum())
    waves -= np.float32(float((waves * rise).sum()) / total if total else 0)
    return waves
