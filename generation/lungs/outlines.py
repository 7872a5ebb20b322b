"""Films with their lung fields: the V7 Labs masks of covid-chestxray, split by patient, and phantoms.

The masks come with torchxrayvision. V7 Labs, who made them with CloudFactory, publish them under CC BY 4.0
(v7labs/covid-19-xray-dataset on GitHub). Each film has its own licence: training films have a
permissive licence, all other films are used for measuring only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import EmptySplit, MissingExtra, SourceError
from covid_synth_data.files.pixels import Grey, load_grey
from covid_synth_data.preprocessing import harmonise
from covid_synth_data.schema import LABELS
from covid_synth_data.sources import disk, licences, phantom, read_source

MASK_LICENCE: Final = "CC BY 4.0"
ARCHIVE: Final = "semantic_masks_v7labs_lungs.zip"
LUNG, IGNORE = 255, 127
"""Values of a mask: lung, and instruments on it, which count neither way."""

SIDE: Final = 192
"""Films are kept at this side, so that a part of one can be shown at the network's."""

PARTS: Final = ("train", "validation", "test", "external")
"""Patients whose films have a permissive licence fall into the first three; all others are external."""


@dataclass(frozen=True)
class Outlined:
    """Films without their frame, uint8 (n, SIDE, SIDE), and their masks of the same shape (0, 127, 255)."""

    films: Grey
    masks: Grey
    image_ids: list[str]
    patient_ids: list[str]
    licences: list[str]
    other_names: list[str] = field(default_factory=list)
    """`image_id`s under which a source says that films among these are known too."""

    def fingerprint(self) -> str:
        """sha256 over ids and pixels."""
        digest = hashlib.sha256("\n".join(self.image_ids).encode())
        digest.update(self.films.tobytes())
        digest.update(self.masks.tobytes())
        return digest.hexdigest()


def read(
    root: Path | None, seed: int, shares: tuple[float, float], advance: Callable[[int, int], None]
) -> dict[str, Outlined]:
    """The films that have a mask, by part (`PARTS`); `shares` of patients for validation and for test.

    Raises `MissingExtra` without torchxrayvision, the errors of `read_source`, `EmptySplit`.
    """
    frame = read_source("covid-chestxray", disk.resolve_root(root))
    rows = frame[frame["excluded"] == ""]
    with zipfile.ZipFile(_archive()) as archive:
        members = {Path(name).name: name for name in archive.namelist() if not name.endswith("/")}
        rows = rows[[Path(path).name in members for path in rows["path"]]]
        part_of = _parts(rows["patient_id"].tolist(), rows["source_license"].tolist(), seed, shares)
        by_part: dict[str, list[tuple[Any, Grey, Grey]]] = {part: [] for part in PARTS}
        for number, row in enumerate(rows.to_dict("records"), 1):
            mask = load_grey(archive.read(members[Path(row["path"]).name]), name=row["image_id"])
            by_part[part_of[row["patient_id"]]].append((row, *_cut(load_grey(row["path"]), mask)))
            advance(number, len(rows))
    return {part: _outlined(part, films) for part, films in by_part.items()}


def phantoms(count: int, seed: int) -> Outlined:
    """`count` phantoms of all classes in turn, with the lung fields that they were drawn with."""
    films, masks, names = [], [], []
    for number in range(count):
        key = (LABELS[number % len(LABELS)], SIDE, seed, number, 1)
        films.append(phantom.draw(*key))
        masks.append(np.where(phantom.lung_mask(*key) >= 0.5, LUNG, 0).astype(np.uint8))
        names.append(f"phantom/{seed}-{number}")
    if not count:
        empty = np.empty((0, SIDE, SIDE), np.uint8)
        return Outlined(empty, empty, [], [], [])
    return Outlined(np.stack(films), np.stack(masks), names, names, ["CC0 1.0"] * count)


def _archive() -> Path:
    spec = importlib.util.find_spec("torchxrayvision")
    if spec is None or spec.origin is None:
        raise MissingExtra("torchxrayvision", "rsna")
    path = Path(spec.origin).parent / "data" / ARCHIVE
    if not path.is_file():
        raise SourceError(
            f"torchxrayvision has no file data/{ARCHIVE}",
            expected="the lung masks of V7 Labs",
            hint="install a version of torchxrayvision that has it, such as 1.5.7",
        )
    return path


def _parts(
    patients: Sequence[str], film_licences: Sequence[str], seed: int, shares: tuple[float, float]
) -> dict[str, str]:
    """`patient_id` to part. A patient is external as soon as one of the films is not permissive."""
    free: dict[str, bool] = {}
    for patient, licence in zip(patients, film_licences, strict=True):
        free[patient] = free.get(patient, True) and licences.is_permissive(licence)
    permissive = sorted(patient for patient, allowed in free.items() if allowed)
    order = np.random.default_rng([seed, 0x1B]).permutation(len(permissive))
    validation, test = (round(share * len(permissive)) for share in shares)
    part_of = dict.fromkeys(free, "external")
    for place, index in enumerate(order.tolist()):
        early = "validation" if place < validation else "test"
        part_of[permissive[index]] = early if place < validation + test else "train"
    return part_of


def _cut(film: Grey, mask: Grey) -> tuple[Grey, Grey]:
    """Film and mask without the film's frame, at `SIDE`; a mask may be of another size."""
    box = harmonise.without_frame(film)
    high, wide = film.shape
    scale = (mask.shape[1] / wide, mask.shape[0] / high)
    on_mask = harmonise.Box(
        box.left * scale[0], box.top * scale[1], box.right * scale[0], box.bottom * scale[1]
    )
    shown = Image.fromarray(film).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
    fields = [
        np.asarray(
            Image.fromarray(np.where(mask == value, 255, 0).astype(np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BILINEAR, box=on_mask
            )
        )
        for value in (LUNG, IGNORE)
    ]
    return np.asarray(shown), np.select([fields[0] >= 128, fields[1] >= 128], [LUNG, IGNORE]).astype(np.uint8)


def _outlined(part: str, films: list[tuple[Any, Grey, Grey]]) -> Outlined:
    if not films:
        raise EmptySplit(
            f"no film with a lung mask for {part}",
            found="0 films",
            expected="at least one",
            hint="covid-chestxray must be whole: its films under CC BY are learned from",
        )
    rows = [row for row, _, _ in films]
    return Outlined(
        np.stack([film for _, film, _ in films]),
        np.stack([mask for _, _, mask in films]),
        [row["image_id"] for row in rows],
        [row["patient_id"] for row in rows],
        [row["source_license"] for row in rows],
        sorted({row["same_film"] for row in rows} - {""}),
    )


def shown(films: Grey) -> npt.NDArray[np.float32]:
    """Films in the form in which the network sees them: float32 (n, side, side) in [0, 255]."""
    return np.stack([harmonise.reduced(film, harmonise.whole(film)) for film in films])


def at_side(masks: Grey) -> Grey:
    """Masks at the side at which the network looks, values kept."""
    side = harmonise.COMMON_SIDE
    return np.stack(
        [np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)) for mask in masks]
    )
