"""New label maps to make images from: real ones augmented, and lesions of one patient in another's lungs.

    augment:crop=...;rotate=...;elastic=...               the row's own label map under `augment`'s geometry
    moved:from=covid-ct/patient3_slice101;shift=-12,30;flip=0;scale=1040
                                                           the lesions of that slice in the row's lungs

Moved lesions keep their place relative to the lungs: the box around one patient's lungs is laid over the box
around the other's, then shifted (thousandths of that box), mirrored left for right (`flip`) and scaled
(thousandths) a little, and clipped to the lung. The row's own lesions become healthy lung. The rest of the
body, into which the synthetic lung is pasted, stays the row's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.ct import augment, labels, slices
from covid_synth_data.errors import BadImage, ConfigError, EmptySplit

Mask = npt.NDArray[np.uint8]
Row = Mapping[str, Any]

PREFIX: Final = "moved:"
KEPT: Final = 0.6
"""The share of the lesions that has to lie inside the lung after a move; the rest is clipped."""
_TRIES: Final = 12
_LOOK: Final = 128
"""The side at which it is tried how much of the lesions would be kept."""
_LEAST: Final = (200, 4)
"""Pixels, at that side, of a host's lungs, and of the lesions that it gets."""

_PATTERN: Final = re.compile(r"^moved:from=(.+);shift=(-?\d+),(-?\d+);flip=([01]);scale=(\d+)$")


def augmented(
    rows: Sequence[Row], count: int, seed: int = 0, settings: augment.AugmentRange = augment.PAPER
) -> Iterator[tuple[Row, str]]:
    """`count` pairs of a row and a variant of its own label map; see `augment.augmented`. No noise."""
    pairs = augment.augmented(rows, count, seed, settings)
    return ((row, augment.variant(seed, i, settings, noise=False)) for i, (row, _) in enumerate(pairs))


def moved(rows: Sequence[Row], count: int, seed: int = 0) -> Iterator[tuple[Row, str]]:
    """`count` pairs of a row, whose lungs are taken, and a variant that names whose lesions come into them.

    Rows with enough lung take turns; the lesions are those of a slice of another patient among `rows`. Of a
    dozen random moves the first is taken that keeps `KEPT` of the lesions inside the lung, else the best; a
    move that leaves hardly a lesion counts as none. Pair i depends on `rows`, `seed` and i alone. Raises
    `EmptySplit` where fewer than two patients have lesions or nobody has lungs, `ConfigError` as `augmented`.
    """
    augment.check(len(rows), count, seed)
    maps = [slices.read_mask(row, _LOOK) for row in rows]
    donors = [place for place, mask in enumerate(maps) if labels.infection(mask).any()]
    patients = {rows[place]["patient_id"] for place in donors}
    if len(patients) < 2:
        raise EmptySplit(
            "lesions cannot be moved between patients",
            found=f"{len(patients)} patients with lesions",
            expected="2 or more",
        )
    hosts = [place for place, mask in enumerate(maps) if labels.lung_field(mask).sum() >= _LEAST[0]]
    if not hosts:
        raise EmptySplit("no slice has lungs to move lesions into", found=f"{len(rows)} slices")
    return ((rows[host], chosen) for host, chosen in _moves(rows, maps, donors, hosts, count, seed))


def _moves(
    rows: Sequence[Row], maps: Sequence[Mask], donors: list[int], hosts: list[int], count: int, seed: int
) -> Iterator[tuple[int, str]]:
    for i in range(count):
        random = np.random.default_rng([seed, i, 73])
        host = hosts[i % len(hosts)]
        others = [place for place in donors if rows[place]["patient_id"] != rows[host]["patient_id"]]
        best = -1.0, ""
        for tried in range(4 * _TRIES):
            donor = others[int(random.integers(len(others)))]
            chosen = _variant(str(rows[donor]["image_id"]), random)
            share = kept(chosen, maps[host], maps[donor])
            if labels.infection(_move(chosen, maps[host], maps[donor])).sum() < _LEAST[1]:
                share = 0.0
            if share > best[0]:
                best = share, chosen
            if share >= KEPT or (tried >= _TRIES and best[0] > 0):
                break
        yield host, best[1]


def _variant(donor: str, random: np.random.Generator) -> str:
    right, down = (int(value) for value in random.integers(-60, 61, 2))
    flip, scale = int(random.random() < 0.5), int(random.integers(850, 1151))
    return f"{PREFIX}from={donor};shift={right},{down};flip={flip};scale={scale}"


def donor_of(variant: str) -> str | None:
    """The `image_id` of the slice whose lesions were moved, or None for any other variant."""
    match = _PATTERN.match(variant)
    return match[1] if match else None


def make(variant: str, mask: Mask, donor: Callable[[str], Mask] | None = None) -> Mask:
    """The label map of a variant: uint8, the size of `mask`, which is that of the row.

    `donor` gives the label map of an `image_id`, of any size; moved variants need it. Raises `ConfigError`
    for an unknown variant or no donor, `BadImage` where the host has no lung or the donor no lesion.
    """
    named = donor_of(variant)
    if named is None:
        return augment.apply_mask(variant, mask)
    if donor is None:
        raise ConfigError("a moved label map without the donor's", found=variant, expected="a function donor")
    return _move(variant, mask, donor(named))


def read(row: Row, variant: str, rows: Mapping[str, Row], side: int | None = None) -> Mask:
    """The label map of a pair: uint8 (side, side). `rows` are all rows by `image_id`, to find the donor in.

    Raises what `make` and `slices.read_mask` raise.
    """
    named = donor_of(variant)
    if named is not None and named not in rows:
        raise ConfigError(
            "the donor of a moved label map is not there", found=named, expected="one of the rows"
        )
    return make(variant, slices.read_mask(row, side), lambda image_id: slices.read_mask(rows[image_id], side))


def kept(variant: str, mask: Mask, donor: Mask) -> float:
    """The share of the moved lesions that lies within the host's lung, 0 to 1; 0 where nothing is left."""
    lesions = _carried(variant, mask, donor)
    inside = labels.infection(lesions) & labels.lung_field(mask)
    total = int(labels.infection(lesions).sum())
    return float(inside.sum()) / total if total else 0.0


def _move(variant: str, mask: Mask, donor: Mask) -> Mask:
    lesions = _carried(variant, mask, donor)
    lung = labels.lung_field(mask)
    return np.where(lung, np.where(labels.infection(lesions), lesions, labels.LUNG), 0).astype(np.uint8)


def _carried(variant: str, mask: Mask, donor: Mask) -> Mask:
    """The donor's label map laid over the host's lungs, not yet clipped: uint8, the host's size."""
    match = _PATTERN.match(variant)
    if not match:
        raise ConfigError(
            f"unknown variant {variant!r}", expected=f"one that starts with {PREFIX!r}, unchanged"
        )
    right, down, flip, scale = (int(text) for text in match.groups()[1:])
    host_box, donor_box = _box(mask, "the host"), _box(donor, "the donor")
    axes = []
    for axis, shift in enumerate((down, right)):
        centre, half = host_box[axis]
        place = (np.arange(mask.shape[axis]) + 0.5 - centre) / half  # -1 to 1 within the host's box
        place = (place - 2 * shift / 1000) * (1000 / scale)
        if axis == 1 and flip:
            place = -place
        axes.append(np.floor(donor_box[axis][0] + place * donor_box[axis][1]).astype(np.int64))
    down_at, right_at = axes
    sound = [(at >= 0) & (at < size) for at, size in zip(axes, donor.shape, strict=True)]
    taken = donor[np.clip(down_at, 0, donor.shape[0] - 1)][:, np.clip(right_at, 0, donor.shape[1] - 1)]
    return np.where(sound[0][:, None] & sound[1][None], taken, 0).astype(np.uint8)


def _box(mask: Mask, whose: str) -> list[tuple[float, float]]:
    """Centre and half the extent of the lungs in rows, then in columns, in pixels. Raises `BadImage`."""
    field = labels.lung_field(mask)
    if not field.any():
        raise BadImage(f"no lung in the label map of {whose}", hint="leave that slice out")
    box = []
    for axis in (1, 0):
        places = np.flatnonzero(field.any(axis))
        low, high = int(places[0]), int(places[-1]) + 1
        box.append(((low + high) / 2, (high - low) / 2))
    return box
