"""Thorax phantoms: frontal radiographs that are drawn, not photographed, for tests and first steps.

A film is an attenuation map of layers (chest wall, lungs, heart and great vessels, ribs, spine, clavicles,
airways, branching vessels), exposed to a detector with scatter, blur, quantum noise, markers and lines. The
classes differ in their opacities alone (`disease`); everything else is drawn from the same distributions.
Standard display: the patient's left, and so the heart's apex, is at the right of the picture.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.schema import LABELS
from covid_synth_data.sources import table
from covid_synth_data.sources.info import SourceInfo
from covid_synth_data.sources.phantom import layers
from covid_synth_data.sources.phantom.anatomy import Anatomy, Space, anatomy
from covid_synth_data.sources.phantom.disease import Opacity, opacities, replaced_air
from covid_synth_data.sources.phantom.film import FilmSettings, expose, film_settings

INFO: Final = SourceInfo(
    name="phantom",
    title="Thorax phantoms, drawn by this package",
    classes=LABELS,
    licence="CC0 1.0",
    licence_note="Made by a procedure; no person was X-rayed.",
    citation="This package",
    homepage="",
    how_to_obtain="nothing to obtain: films are made when they are asked for",
    folders=(),
    expected_images=0,
)

SIDES: Final = (32, 1024)
FILMS_PER_PATIENT: Final = 3
"""Patients have one to this many films."""

_GRID: Final = 128
"""Films smaller than this are drawn at this size and averaged, so that thin structures survive."""


def draw(label: str, size: int, seed: int, patient: int, film: int) -> npt.NDArray[np.uint8]:
    """A film as uint8 (size, size), a pure function of its arguments.

    The patient's anatomy and disease depend on (seed, label, patient), exposure, position, noise and markers
    on `film` besides. Raises `UnknownName` for a label that is not in `schema.LABELS`, `ConfigError` for a
    size outside 32 to 1024 or a negative number.
    """
    body, disease, settings, space = _scene(label, size, seed, patient, film)
    lung = layers.lungs(body, space)
    texture = space.canvas(layers.texture(body.texture_seed, max(size, _GRID)))
    vessels = space.canvas(layers.vessels(body.texture_seed, max(size, _GRID)))
    gone = replaced_air(disease, space, texture, settings.strength)
    attenuation = layers.chest_wall(body, space, lung) - lung.air * (1 - gone)
    attenuation += layers.silhouettes(body, space, lung, settings.heart_scale)
    attenuation += lung.field * (0.26 * vessels * (1 - gone) + 0.018 * texture)
    attenuation += layers.bones(body, space) - layers.airways(body, space)
    film_: npt.NDArray[np.uint8] = _shrink(expose(np.maximum(attenuation, 0), settings), size)
    return film_


def lesion_mask(label: str, size: int, seed: int, patient: int, film: int) -> npt.NDArray[np.float32]:
    """Where and how much of the lung's air is replaced by disease: float32 (size, size) in [0, 1]."""
    body, disease, settings, space = _scene(label, size, seed, patient, film)
    texture = space.canvas(layers.texture(body.texture_seed, max(size, _GRID)))
    gone = replaced_air(disease, space, texture, settings.strength) * layers.lungs(body, space).field
    return np.asarray(_shrink(gone.astype(np.float32), size), np.float32)


def lung_mask(label: str, size: int, seed: int, patient: int, film: int) -> npt.NDArray[np.float32]:
    """How much of each pixel is lung field: float32 (size, size) in [0, 1]."""
    body, _, _, space = _scene(label, size, seed, patient, film)
    return np.asarray(_shrink(layers.lungs(body, space).field.astype(np.float32), size), np.float32)


def read(root: Path | None = None, *, size: int = 128, patients: int = 40, seed: int = 0) -> pd.DataFrame:
    """Films of `patients` patients of each class as the frame of `sources.table`, encoded as PNG in `bytes`.

    `root` is not used. Raises `ConfigError` as `draw` does, and for fewer than one patient.
    """
    if patients < 1:
        raise ConfigError("phantoms of no patient", found=f"patients = {patients}", expected="at least 1")
    rows: list[dict[str, Any]] = []
    encoded = _kept_png if size <= _GRID else _png
    for code, label in enumerate(LABELS):
        for patient in range(patients):
            random = np.random.default_rng([_natural(seed), code, patient])
            films = range(1, int(random.integers(1, FILMS_PER_PATIENT, endpoint=True)) + 1)
            rows += [
                {
                    "source_id": f"{label}-{patient:04d}-{film}",
                    "patient": f"{label}-{patient:04d}",
                    "label": label,
                    "source_class": label,
                    "source_license": "CC0 1.0",
                    "view": "PA",
                    "bytes": encoded(label, size, seed, patient, film),
                }
                for film in films
            ]
    return table.build("phantom", rows)


def _png(label: str, size: int, seed: int, patient: int, film: int) -> bytes:
    """A film as it is read."""
    buffer = io.BytesIO()
    Image.fromarray(draw(label, size, seed, patient, film)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


_kept_png = functools.lru_cache(maxsize=4096)(_png)
"""The same for films of at most 128 pixels, which a process draws once: tasks, folds and releases read the
same phantoms again and again. At 128 pixels, 4,096 of them take about 50 MB."""


def _scene(
    label: str, size: int, seed: int, patient: int, film: int
) -> tuple[Anatomy, tuple[Opacity, ...], FilmSettings, Space]:
    """The plan of a drawing; checks the arguments of `draw`."""
    if label not in LABELS:
        raise UnknownName("class of phantoms", label, LABELS)
    if not SIDES[0] <= size <= SIDES[1]:
        raise ConfigError(
            "phantoms of that size", found=f"size = {size}", expected=f"{SIDES[0]} to {SIDES[1]}"
        )
    key = [_natural(seed), LABELS.index(label), _natural(patient)]
    body = anatomy(np.random.default_rng([*key, 1]))
    disease = opacities(label, body, np.random.default_rng([*key, 2]))
    settings = film_settings(np.random.default_rng([*key, 3, _natural(film)]))
    return body, disease, settings, Space(max(size, _GRID), settings.matrix)


def _natural(number: int) -> int:
    """`number`, which a random seed may be made of. Raises `ConfigError` when it is negative."""
    if number < 0:
        raise ConfigError("a negative seed or number of a phantom", found=str(number), expected="0 or more")
    return number


def _shrink(picture: Any, size: int) -> Any:
    if picture.shape == (size, size):
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))
