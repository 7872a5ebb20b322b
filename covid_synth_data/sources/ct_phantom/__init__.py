"""CT phantoms: axial slices of drawn chests with exact label maps, for tests and first steps.

Body outline and table, fat and muscle, lungs with vessels and airways, heart, spine and ribs, ground-glass
opacities and consolidations, in Hounsfield units under the lung window (level -600, width 1500). Standard
display: the front is up, the patient's left is at the right of the picture. No person was scanned.
"""

from __future__ import annotations

import functools
import io
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.nifti import WINDOW, shown
from covid_synth_data.sources import slice_table
from covid_synth_data.sources.ct_phantom import body as anatomy
from covid_synth_data.sources.ct_phantom import lesions as disease
from covid_synth_data.sources.info import SourceInfo
from covid_synth_data.sources.slice_table import to_dataset

__all__ = ["INFO", "SIDES", "draw", "read", "read_one", "to_dataset"]

INFO: Final = SourceInfo(
    name="ct-phantom",
    title="CT phantoms, drawn by this package",
    classes=("covid-19",),
    licence="CC0 1.0",
    licence_note="Made by a procedure; no person was scanned.",
    citation="This package",
    homepage="",
    how_to_obtain="nothing to obtain: slices are made when they are asked for",
    folders=(),
    expected_images=0,
)

SIDES: Final = (64, 1024)
_KEPT_SIDE: Final = 128
_FRAYED: Final = 4
_SOURCE_ID: Final = re.compile(r"patient(\d+)_slice(\d{3,})")
_HEIGHTS: Final = (0.06, 0.90)
"""The heights of the first and the last slice; lungs are to be seen in all of them."""


def draw(
    size: int, seed: int, patient: int, number: int, slices: int = 16, ragged: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Slice `number` of `slices` (from 1, from the bases up) of a patient: image and label map.

    The borders of lesions are even where `ragged` is 0, and frayed much as those of real label maps at 1.

    Both are uint8 (size, size), pure functions of the arguments; the label map has the values of
    `schema.MASK_LABELS`. Every third patient has ground glass alone. Raises `ConfigError` for a size outside
    64 to 1024, a negative number, or a slice that is not there.
    """
    _check(size, seed, patient, number, slices, ragged)
    person = _person(seed, patient)
    lesions = disease.draw_lesions(np.random.default_rng([seed, patient, 2]), solid=patient % 3 != 2)
    grain = np.random.default_rng([seed, patient, 3, number])
    z = _HEIGHTS[0] + (_HEIGHTS[1] - _HEIGHTS[0]) * (number - 1) / max(1, slices - 1)
    grid = anatomy.Grid(size, person)
    level = np.maximum(*(anatomy.lung_level(grid, person, z, side) for side in (-1, 1)))
    lungs = grid.cover(level)
    picture = anatomy.hounsfield(grid, person, z, lungs, _noise(grain, size, (14, 40, 96)))
    wobble = _noise(np.random.default_rng([seed, patient, 4]), size, (7, 16))
    if ragged:
        wobble += ragged * _noise(np.random.default_rng([seed, patient, 6, number]), size, (36, 80))
    glass, solid = disease.sections(grid, lesions, z, wobble)
    haze = _noise(np.random.default_rng([seed, patient, 5, number]), size, (24, 64))
    veil = grid.cover(glass, softness=max(2.0, size / 24)) * lungs
    picture += veil * np.maximum(disease.GGO_HU + 60 * haze - picture, 0)
    picture += grid.cover(solid) * lungs * np.maximum(disease.CONSOLIDATION_HU + 20 * haze - picture, 0)
    picture += grain.normal(0, 18, picture.shape).astype(np.float32)
    picture[np.hypot(grid.plain_x, grid.plain_y) > 1] = anatomy.OUTSIDE
    mask = np.zeros((size, size), np.uint8)
    mask[level > 0] = 1
    mask[(level > 0) & (glass > 0)] = 2
    mask[(level > 0) & (solid > 0)] = 3
    return shown(picture, WINDOW), mask


def read(
    root: Path | None = None,
    *,
    size: int = 128,
    patients: int = 9,
    slices: int = 16,
    seed: int = 0,
    ragged: int = 0,
) -> pd.DataFrame:
    """`slices` neighbouring slices of each of `patients` patients as the frame of `slice_table`, as PNG
    bytes.

    `root` is not used. Raises `ConfigError` as `draw` does, and for fewer than one patient or slice.
    """
    if min(patients, slices) < 1:
        raise ConfigError(
            "CT phantoms of nobody", found=f"patients = {patients}, slices = {slices}", expected="1 or more"
        )
    rows = [
        _row(size, seed, patient, number, slices, ragged)
        for patient in range(patients)
        for number in range(1, slices + 1)
    ]
    return slice_table.build(INFO.name, rows)


def read_one(
    source_id: str, *, size: int = 128, patients: int = 9, slices: int = 16, seed: int = 0, ragged: int = 0
) -> pd.DataFrame:
    """The row of `read` with this `source_id`, drawn alone. Raises `ConfigError` where there is none."""
    match = _SOURCE_ID.fullmatch(source_id)
    patient, number = (int(match[1]) - 1, int(match[2])) if match else (-1, 0)
    if not (0 <= patient < patients and 1 <= number <= slices):
        raise ConfigError(
            "no such slice of a CT phantom",
            found=source_id,
            expected=f"patient1_slice001 to patient{patients}_slice{slices:03d}",
        )
    return slice_table.build(INFO.name, [_row(size, seed, patient, number, slices, ragged)])


def _row(size: int, seed: int, patient: int, number: int, slices: int, ragged: int) -> dict[str, Any]:
    """A row for `slice_table`; `patient` counts from 0, `number` from 1."""
    cells = _kept_cells if size <= _KEPT_SIDE else _cells
    return {
        "source_id": f"patient{patient + 1}_slice{number:03d}",
        "patient": str(patient + 1),
        "slice": number,
        "source_class": "COVID-19",
        "source_license": INFO.licence,
        "effusion_pixels": 0,
        **cells(size, seed, patient, number, slices, ragged),
    }


def _cells(size: int, seed: int, patient: int, number: int, slices: int, ragged: int) -> dict[str, Any]:
    """Image and label map of a slice as they are read, and the pixels of each label."""
    image, mask = draw(size, seed, patient, number, slices, ragged)
    return {"bytes": _png(image), "mask_bytes": _png(mask), **slice_table.counts(mask)}


_kept_cells = functools.lru_cache(maxsize=2048)(_cells)
"""The same for slices of at most 128 pixels, which a process draws once."""


@functools.lru_cache(maxsize=64)
def _person(seed: int, patient: int) -> anatomy.Body:
    return anatomy.draw_body(np.random.default_rng([seed, patient, 1]))


def _check(size: int, seed: int, patient: int, number: int, slices: int, ragged: int) -> None:
    if not SIDES[0] <= size <= SIDES[1]:
        raise ConfigError(
            "CT phantoms of that size", found=f"size = {size}", expected=f"{SIDES[0]} to {SIDES[1]}"
        )
    if not 0 <= ragged <= _FRAYED:
        raise ConfigError("lesions as ragged as that", found=f"ragged = {ragged}", expected=f"0 to {_FRAYED}")
    if min(seed, patient) < 0 or not 1 <= number <= slices:
        raise ConfigError(
            "no such slice of a CT phantom",
            found=f"seed {seed}, patient {patient}, slice {number} of {slices}",
            expected="seed and patient from 0, slices from 1",
        )


def _noise(random: np.random.Generator, size: int, cells: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Cloudy noise of zero mean and about unit spread over several scales: float32 (size, size)."""
    total = np.zeros((size, size), np.float32)
    for count in cells:
        coarse = Image.fromarray(random.standard_normal((count, count), dtype=np.float32))
        total += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
    return np.asarray(total / np.float32(np.sqrt(0.55 * len(cells))), np.float32)


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
