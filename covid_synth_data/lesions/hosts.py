"""The normal films of a folder that are painted, and what its table states of each.

A folder holds films, or `metadata.csv` that names them, as `covid-synth export --format imagefolder` writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from covid_synth_data.errors import BadImage, BadMetadata, ConfigError
from covid_synth_data.lesions.patterns import NEGATIVE
from covid_synth_data.sources import disk
from covid_synth_data.sources.table import unique_ids

METADATA: Final = "metadata.csv"

STATED: Final = ("patient_id", "source_dataset", "source_id", "source_class", "source_license")
"""Columns of the table that are taken over where they are there."""


@dataclass(frozen=True)
class Host:
    """A film: its path relative to the folder, an id, and the cells of `STATED` that are not empty."""

    name: str
    identity: str
    stated: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hosts:
    """The films in the order of the table, or in natural order; and how many of the table are left out, by
    the label that they have."""

    films: list[Host]
    left_out: Mapping[str, int]


def read(folder: Path) -> Hosts:
    """The films of `folder`. No film is opened.

    Of a table with a column `label` the rows labelled normal are taken. Raises `ConfigError`, `BadMetadata`,
    and `BadImage` for a file that is not there.
    """
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}", expected="a folder of normal films", hint="check the path")
    rows, left_out = _table(folder) if (folder / METADATA).is_file() else (_listing(folder), Counter())
    if not rows:
        raise ConfigError(
            f"no film in {folder}",
            found=f"{left_out.total()} films of other labels" if left_out else None,
            expected=f"rows labelled {NEGATIVE}" if left_out else "files ending in .png, .jpg, .jpeg or .dcm",
            hint="check the path",
        )
    identities = unique_ids([name.replace("/", "-") for name, _ in rows])
    films = [Host(name, identity, cells) for (name, cells), identity in zip(rows, identities, strict=True)]
    return Hosts(films, left_out)


def _listing(folder: Path) -> list[tuple[str, dict[str, str]]]:
    return [(name, {}) for name in disk.list_images(folder)]


def _table(folder: Path) -> tuple[list[tuple[str, dict[str, str]]], Counter[str]]:
    table = folder / METADATA
    rows: list[tuple[str, dict[str, str]]] = []
    left_out: Counter[str] = Counter()
    for record in disk.read_table(table, ("file_name",)):
        name, label = record.values.get("file_name", ""), record.values.get("label", NEGATIVE)
        where = f"{table}, row {record.row}"
        if record.broken:
            raise BadMetadata(f"{where} does not fit the header", hint="mend that row")
        if not name or not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise BadMetadata(
                f"{where} names a file outside its folder",
                found=repr(name)[:120],
                expected=f"a file below {folder}",
                hint="copy the films into the folder",
            )
        if label != NEGATIVE:
            left_out[label] += 1
            continue
        if not (folder / name).is_file():
            raise BadImage(f"no file {folder / name}", expected="a film", hint=f"check {where}")
        rows.append((name, {key: record.values[key] for key in STATED if record.values.get(key)}))
    return rows, left_out
