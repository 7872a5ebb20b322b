"""Statements about images that were made elsewhere; missing ones are written as unknown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from covid_synth_data.errors import BadMetadata, ConfigError
from covid_synth_data.release import manifest
from covid_synth_data.schema import SYNTHETIC_COLUMNS
from covid_synth_data.sources import disk, licences

__all__ = ["COLUMNS", "UNKNOWN", "Stated", "learned_from", "licence_named", "restricted"]

UNKNOWN: Final = "unknown"

COLUMNS: Final = SYNTHETIC_COLUMNS[SYNTHETIC_COLUMNS.index("generator") :]
"""Columns of a table that are taken over where they are stated."""


@dataclass(frozen=True)
class Stated:
    """The statements about all images of a set.

    `label` is that of images which state none. `learned_from` is "none" for a generator that saw no real
    film, or the path of a CSV file with the columns `image_id` and `patient_id` of the films it learned
    from; None where that is unknown.
    """

    label: str | None = None
    generator: str = UNKNOWN
    licence: str = UNKNOWN
    learned_from: str | None = None


def learned_from(stated: str | None) -> manifest.Learned:
    """The films and patients that the generator learned from; none where that is "none" or unknown.

    Raises `MissingSource`, `BadMetadata`, `ConfigError`.
    """
    if stated is None or stated == "none":
        return manifest.Learned(films=[], patients=[])
    if not stated.endswith(".csv"):
        raise ConfigError(
            "no such statement of what a generator learned from",
            found=repr(stated),
            expected="none, or the path of a CSV file with the columns image_id and patient_id",
        )
    rows = disk.read_table(Path(stated), ("image_id", "patient_id"))
    if any(row.broken for row in rows):
        number = next(row.row for row in rows if row.broken)
        raise BadMetadata(f"{stated}, row {number} does not fit the header", hint="mend that row")
    films = sorted({row.values["image_id"] for row in rows} - {""})
    patients = sorted({row.values["patient_id"] for row in rows} - {""})
    return manifest.Learned(films=films, patients=patients)


def licence_named(text: str | None) -> str:
    """One spelling of a licence; "unknown" where none is stated."""
    return licences.normalise(text)


def restricted(names: set[str]) -> list[str]:
    """Those of the licences that do not allow reuse under our terms, or are unknown."""
    return sorted(name for name in names if not licences.is_permissive(name))
