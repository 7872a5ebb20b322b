"""Painting: films in, the same films with opacities out, with a map of each lesion and what was painted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import BadImage, ConfigError, UnknownName
from covid_synth_data.files.pixels import Grey
from covid_synth_data.lesions import blending, controls, coordinates, patterns, priors
from covid_synth_data.lesions.coordinates import LEFT, RIGHT, Coordinates, Mask, Plane

LEAST_SIDE: Final = 64
"""Smaller films show too little of a lung."""

NO_LUNGS: Final = "no two lungs found"

ZONES: Final = ("upper", "middle", "lower")
SIDES: Final = {RIGHT: "right", LEFT: "left"}

MEMBER: Final = 0.5
"""From this value of the map on a pixel counts as part of the lesion."""

ZONE_SHARE: Final = 0.1
"""A zone counts as painted from this share of the lesion's area on."""

Masks = npt.NDArray[np.bool_]
Cells = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


@dataclass(frozen=True)
class Record:
    """The lesions that were painted into a film.

    `pattern` is a name of priors.toml, "" where nothing was painted for the `reason` given; `extent` the
    share of both lungs that the map covers by half or more; `contrast` the mean rise of grey there, in levels
    of 255; `side` "right", "left" (the patient's), "both" or ""; `zones` those of `ZONES` that hold at least
    a tenth of it; `control` the kind of control, "" for a lesion.
    """

    pattern: str = ""
    extent: float = 0.0
    contrast: float = 0.0
    side: str = ""
    zones: tuple[str, ...] = ()
    control: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Painted:
    """Painted `films` uint8 (n, h, w), the soft `maps` of the lesions uint8 (n, h, w) with 255 where a pixel
    belongs to a lesion wholly and 0 in all of a control, and a record of each film."""

    films: Grey
    maps: Grey
    records: tuple[Record, ...]

    @property
    def skipped(self) -> dict[str, int]:
        """How many films were not painted, by reason."""
        return dict(Counter(record.reason for record in self.records if record.reason))


def paint(
    films: Grey,
    seed: int = 0,
    pattern: str = "covid-19",
    lungs: Masks | None = None,
    control: str | None = None,
    *,
    indices: Sequence[int] | None = None,
    epoch: int = 0,
    distributions: priors.Priors | None = None,
) -> Painted:
    """Paint opacities of `pattern` into the normal `films`, uint8 (n, h, w) with sides of at least 64.

    `pattern` is "covid-19" or "pneumonia", or a single pattern of priors.toml ("lobar"). `lungs` are masks
    bool (n, h, w), True in the lungs; None finds them, without torch. `control` is one of `controls.KINDS`:
    the films become negatives that went through the same steps. Film i depends on (seed, epoch, its index)
    alone; `indices` (n,) default to 0 ... n - 1. `distributions` default to those of priors.toml.

    A film without two lungs is returned as it is, with the reason in its record. Pixels outside the lungs
    change in the control "outside" alone. Raises `BadImage` for other films or masks of another size,
    `UnknownName`, `ConfigError`, and `WeightsError` where the weights of the lung finder are damaged.
    """
    chosen = distributions or priors.load()
    mixture = _mixture(pattern, chosen)
    controls.check(control)
    _check_films(films, lungs)
    keys = _keys(len(films), indices, seed, epoch)
    if lungs is None:
        from covid_synth_data.lesions import finder

        lungs = np.array([finder.find(film) for film in films], bool).reshape(films.shape)
    done = [
        _paint(film, mask, mixture, control, chosen, np.random.default_rng(key))
        for film, mask, key in zip(films, lungs, keys, strict=True)
    ]
    return Painted(
        np.array([film for film, _, _ in done], np.uint8).reshape(films.shape),
        np.array([soft for _, soft, _ in done], np.uint8).reshape(films.shape),
        tuple(record for _, _, record in done),
    )


def _paint(
    film: Grey,
    lungs: Mask,
    mixture: dict[str, float],
    control: str | None,
    chosen: priors.Priors,
    random: np.random.Generator,
) -> tuple[Grey, Grey, Record]:
    """One film, its map, its record."""
    lung_coordinates = coordinates.locate(lungs)
    if lung_coordinates is None:
        return film, np.zeros_like(film), Record(control=control or "", reason=NO_LUNGS)
    where, allowed = lung_coordinates, lungs
    if control == controls.OUTSIDE:
        where, allowed = controls.around(where, lungs)
    # Draw, then render: the same steps in the same order for lesions and controls.
    lesion = patterns.draw(mixture, where, chosen, random)
    seen = blending.window(allowed)
    bands = blending.part(film, lung_coordinates, seen)
    soft = blending.membership(lesion, where, allowed, seen, random)
    dense = blending.density(lesion, soft, film.shape, seen, random)
    if control == controls.DISCS:
        mean = float(dense.sum()) / max(float(soft.sum()), 1.0)
        soft = controls.discs(soft, max(film.shape), random)
        dense = np.float32(mean) * soft
    rise = dense * bands.room
    if control in (controls.NEUTRAL, controls.DARK, controls.OUTSIDE):
        rise *= controls.gain(control, rise, bands.body(), film.shape, seen, random)
    changed = blending.blend(bands, soft, rise + dense * bands.ribs, lesion.detail, random)
    painted, shown = film.copy(), np.zeros_like(film)
    painted[seen] = np.where(soft > 0, changed, film[seen])
    if control is None:
        shown[seen] = np.rint(soft * 255)
    rows, columns = np.nonzero(soft >= MEMBER)
    rows, columns = rows + seen[0].start, columns + seen[1].start
    raised = painted[rows, columns].astype(np.float32) - film[rows, columns]
    cells = rows * coordinates.GRID // film.shape[0], columns * coordinates.GRID // film.shape[1]
    extent = len(rows) / int(lungs.sum())
    return painted, shown, _record(lesion.kind, where, cells, extent, raised, control or "")


def _record(
    kind: str, where: Coordinates, cells: Cells, extent: float, raised: Plane, control: str
) -> Record:
    """The record of a lesion of `kind` whose pixels lie in these `cells` of the grid, (m,) each, and became
    brighter by `raised` levels (m,)."""
    sides = [name for code, name in SIDES.items() if (where.half[cells] == code).any()]
    zone = np.clip((where.down[cells] * len(ZONES)).astype(int), 0, len(ZONES) - 1)
    shares = np.bincount(zone, minlength=len(ZONES)) / max(len(zone), 1)
    return Record(
        pattern=kind,
        extent=round(extent, 4),
        contrast=round(float(raised.mean()) if len(raised) else 0.0, 2),
        side="both" if len(sides) == 2 else "".join(sides),
        zones=tuple(name for name, share in zip(ZONES, shares, strict=True) if share >= ZONE_SHARE),
        control=control,
    )


def _mixture(pattern: str, chosen: priors.Priors) -> dict[str, float]:
    """The weights of the patterns that `pattern` names. Raises `UnknownName`."""
    if pattern in chosen.mixtures:
        return chosen.mixtures[pattern]
    if pattern in chosen.patterns:
        return {pattern: 1.0}
    raise UnknownName("pattern of lesions", pattern, [*chosen.mixtures, *chosen.patterns])


def _check_films(films: Grey, lungs: Masks | None) -> None:
    """Raise `BadImage` unless these are films that can be painted and masks of their size."""
    form = f"{films.dtype} {films.shape}" if isinstance(films, np.ndarray) else type(films).__name__
    if not isinstance(films, np.ndarray) or films.ndim != 3 or films.dtype != np.uint8:
        raise BadImage(
            "films of a wrong kind",
            found=form,
            expected="8-bit grey: uint8 (n, height, width)",
            hint="decode them with covid_synth_data.files.pixels.load_grey",
        )
    if min(films.shape[1:]) < LEAST_SIDE:
        raise BadImage(
            "films too small to paint",
            found=f"{films.shape[2]} x {films.shape[1]} pixels",
            expected=f"at least {LEAST_SIDE} on each side",
            hint="take the films at a larger size",
        )
    if lungs is not None and (lungs.shape != films.shape or lungs.dtype != np.bool_):
        raise BadImage(
            "lung masks that do not fit the films",
            found=f"{lungs.dtype} {lungs.shape}",
            expected=f"bool {films.shape}",
            hint="resize each mask to its film and compare it with 0",
        )


def _keys(count: int, indices: Sequence[int] | None, seed: int, epoch: int) -> list[list[int]]:
    """The seed of each film's random numbers. Raises `ConfigError`."""
    numbers = list(range(count)) if indices is None else [int(index) for index in indices]
    if len(numbers) != count:
        raise ConfigError("indices that do not fit the films", found=f"{len(numbers)}", expected=f"{count}")
    if min([seed, epoch, *numbers]) < 0:
        raise ConfigError(
            "a negative seed, epoch or index", found=f"seed {seed}, epoch {epoch}", expected="0 or more"
        )
    return [[seed, epoch, number] for number in numbers]
