"""Films changed so that a shortcut alone is left, or is gone: what a probe shows to a trained classifier.

A change works on the film as the classifier reads it, uint8 (side, side), and on the outline of its lungs.
No change learns anything, and none knows the class of the film.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import Grey, resize
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.preprocessing import harmonise, lung_shapes
from covid_synth_data.sources import phantom

BLANK: Final = 128
"""The grey of everything that a change takes away."""

FRAME: Final = 1 / 16
"""The width of the border, as a share of the side."""

MARGIN: Final = 3 / 64
"""The width of the margin around the lungs that goes with them, as a share of the side."""

THUMBNAIL: Final = 8
"""The side of a thumbnail in pixels."""

LUNG_GREY: Final = 64
"""The grey of the lungs where their outline alone is shown."""

WHOLE: Final = "whole"
"""The change that changes nothing."""

REVISION: Final = 1
"""Counted up with every change of the rules here that the numbers above do not show."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """A film as the classifier reads it, `film` uint8 (side, side); `lungs` bool (side, side), all False
    where no two lungs were found; `whole` is the film as it was decoded, uint8 (h, w)."""

    film: Grey
    lungs: Mask
    whole: Grey


@dataclass(frozen=True)
class Change:
    """`left` says in a few words what is left of the film. `kind`: a shortcut alone is left ("shortcut"),
    a shortcut is gone ("without"), or nothing is changed ("none")."""

    name: str
    left: str
    kind: Literal["none", "shortcut", "without"]
    apply: Callable[[Seen], Grey]


def _borders(seen: Seen) -> Grey:
    width = max(1, round(FRAME * len(seen.film)))
    film = seen.film.copy()
    film[width:-width, width:-width] = BLANK
    return film


def _outside(seen: Seen) -> Grey:
    """The margin goes too, since lungs are not found to the pixel."""
    near = ndimage.distance_transform_edt(~seen.lungs) <= MARGIN * len(seen.film)
    return _blanked(seen.film, ~near)


def _inside(seen: Seen) -> Grey:
    return _blanked(seen.film, seen.lungs)


def _outline(seen: Seen) -> Grey:
    film: Grey = np.where(seen.lungs, np.uint8(LUNG_GREY), np.uint8(BLANK))
    return film


def _thumbnail(seen: Seen) -> Grey:
    """In floating point: with whole greys, the means of rows would be rounded before those of columns."""
    film = Image.fromarray(seen.film.astype(np.float32))
    small = film.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return harmonise.to_side(np.asarray(small), len(seen.film))


def _grey_levels(seen: Seen) -> Grey:
    """The pixels of one drawn chest, in their order of grey, get those of the film in their order."""
    film = np.empty(seen.film.size, np.uint8)
    film[_drawn_order(len(seen.film))] = np.sort(seen.film, axis=None)
    return film.reshape(seen.film.shape)


def _even_tone(seen: Seen) -> Grey:
    return harmonise.to_side(harmonise.tone(seen.film.astype(np.float32)), len(seen.film))


def _harmonised(seen: Seen) -> Grey:
    return harmonise.harmonised(seen.whole, len(seen.film))


CHANGES: Final = {
    change.name: change
    for change in (
        Change(WHOLE, "the whole film", "none", lambda seen: seen.film),
        Change("borders", "the outer sixteenth of each side", "shortcut", _borders),
        Change("outside-lungs", "everything but the lungs and a margin", "shortcut", _outside),
        Change("outline", "the outline of the lungs, in two greys", "shortcut", _outline),
        Change("thumbnail", "8 x 8 means, enlarged", "shortcut", _thumbnail),
        Change("grey-levels", "the grey levels of the film, on one drawn chest", "shortcut", _grey_levels),
        Change("lungs", "the lungs alone", "without", _inside),
        Change("even-tone", "the film with the grey levels of a common distribution", "without", _even_tone),
        Change(
            "harmonised",
            "the film without frame, at common resolution, sharpness and tone",
            "without",
            _harmonised,
        ),
    )
}
"""The changes by name. A new one is a function and an entry here."""


def names(kind: str) -> tuple[str, ...]:
    """The changes of films of a kind of preprocessing. Raises `ConfigError` for films that show lungs alone.

    What is harmonised already is not harmonised again.
    """
    if kind == preprocessing.LUNGS:
        raise ConfigError(
            "films that show the lungs alone cannot be probed",
            found=kind,
            expected=f"{preprocessing.PLAIN}, {preprocessing.RE_ENCODED} or {preprocessing.HARMONISED}",
            hint="choose another preprocessing",
        )
    return tuple(name for name in CHANGES if kind != name)


def outline(grey: Grey, side: int, kind: str) -> Mask:
    """The lungs of `grey` (h, w) on what `preprocessing.films.prepare` makes of it: bool (side, side).

    All False where no two lungs are found. `kind` is any but "lungs". Raises `MissingExtra` without torch.
    """
    from covid_synth_data.preprocessing import lungs

    fields = lungs.find(grey)
    if not fields.found:
        return np.zeros((side, side), np.bool_)
    box = harmonise.without_frame(grey)
    if kind in (preprocessing.PLAIN, preprocessing.RE_ENCODED):
        return lung_shapes.placed(fields.mask, box, grey.shape, side)
    # A harmonised film is the film without its frame, less a share of each side.
    high, wide = fields.mask.shape
    cut = harmonise.CUT
    part = harmonise.Box(0, 0, wide, high).part(cut, cut, 1 - cut, 1 - cut)
    shown = harmonise.to_side(fields.mask.astype(np.float32) * 255, side, part)
    return np.asarray(shown >= BLANK, np.bool_)


def version() -> str:
    """A digest of everything above that the pixels depend on, but the kind of preprocessing."""
    rules = {
        "revision": REVISION,
        "numbers": [BLANK, FRAME, MARGIN, THUMBNAIL, LUNG_GREY],
        "harmonise": preprocessing.version(preprocessing.HARMONISED),
        "lungs": preprocessing.version(preprocessing.LUNGS),
    }
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def _drawn_order(side: int) -> npt.NDArray[np.int64]:
    """The pixels of one drawn normal chest, from dark to light."""
    film = resize(phantom.draw("normal", 128, 0, 0, 1), side)
    return np.argsort(film, axis=None, kind="stable")


def _blanked(film: Grey, kept: Mask) -> Grey:
    shown: Grey = np.where(kept, film, np.uint8(BLANK))
    return shown
