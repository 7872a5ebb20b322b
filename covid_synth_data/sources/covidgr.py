"""COVIDGR-1.0 (Tabik et al. 2020): 426 positive and 426 negative films of one hospital, all PA.

P/ and N/ with the films, and a table of the severity of the positive ones. The folders are read from the
paper and the set's page, which do not print the names of the table's columns; this reader was not run on the
original.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.errors import BadMetadata
from covid_synth_data.sources import disk, licences, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="covidgr",
    title="COVIDGR-1.0, Hospital Universitario Clinico San Cecilio, Granada",
    classes=("normal", "covid-19"),
    licence=licences.UNKNOWN,
    licence_note="The set's page asks for a citation and names no licence. A quarter of the positive films"
    " shows nothing (severity Normal-PCR+). Read from documentation, not run on the original.",
    citation="Tabik et al. 2020, COVIDGR dataset and COVID-SDNet methodology for predicting COVID-19 based on"
    " chest X-ray images, IEEE Journal of Biomedical and Health Informatics 24(12):3595-3605",
    homepage="https://dasci.es/es/transferencia/open-data/covidgr/",
    how_to_obtain="unpack the archive as COVIDGR_1.0/ (P/, N/ and the table of severity)",
    folders=("COVIDGR_1.0", "COVIDGR-1.0", "COVIDGR", "covidgr"),
    expected_images=852,
    markers=("P", "N"),
)

EXTRA: Final = ("severity", "no_finding")
"""Further columns: the severity in the set's words, "" where not stated, and whether a positive film shows
nothing by it."""

CLASSES: Final = {"P": "covid-19", "N": "normal"}

SEVERITIES: Final = ("normal-pcr+", "mild", "moderate", "severe")

_NAMES: Final = ("file", "filename", "image", "imagename", "id", "name")
"""Headers of the column that names the film, letters alone, lower case."""

_SEVERITY: Final = ("severity", "severidad", "grade", "level", "class")


def read(root: Path) -> pd.DataFrame:
    """All films of P and N in natural order. No pixel is read.

    The set names no patient: each film counts as one of its own. Raises `MissingSource`, and `BadMetadata`
    for a table of severity that cannot be understood.
    """
    folder = disk.locate(INFO, root)
    films = [
        (name, folder / name / file)
        for name in CLASSES
        for file in disk.list_images(folder / name, disk.IMAGE_SUFFIXES)
    ]
    if not films:
        raise disk.missing(INFO, f"no images in {folder}/P and {folder}/N")
    severity = _severity(folder)
    ids = table.unique_ids([f"{name}-{path.name}" for name, path in films])
    rows = [
        _row(name, path, identity, severity.get(table.stem(path.name).casefold(), ""))
        for (name, path), identity in zip(films, ids, strict=True)
    ]
    return table.build(INFO.name, rows, EXTRA)


def _row(name: str, path: Path, identity: str, severity: str) -> dict[str, Any]:
    return {
        "source_id": identity,
        "label": CLASSES[name],
        "view": "PA",
        "source_class": name,
        "source_license": INFO.licence,
        "path": str(path),
        "severity": severity if name == "P" else "",
        "no_finding": name == "P" and severity == SEVERITIES[0],
    }


def _severity(folder: Path) -> Mapping[str, str]:
    """Stem of a film, lower case, to its severity; {} where there is no table. Raises `BadMetadata`."""
    severities: dict[str, str] = {}
    for path in sorted(folder.glob("*.csv")):
        delimiter = _delimiter(path)
        records = disk.read_table(path, (), delimiter)
        header = list(records[0].values) if records else []
        name, grade = _column(header, _NAMES), _column(header, _SEVERITY)
        if name is None or grade is None:
            raise BadMetadata(
                f"{path} is no table of severity that is known",
                found="columns " + (", ".join(header)[:200] or "none"),
                expected=f"one named {' or '.join(_NAMES)}, and one named {' or '.join(_SEVERITY)}",
                hint="rename the columns, or move the table out of the folder",
            )
        for record in records:
            stated = _plain(record.values.get(grade, ""), keep="+")
            known = {_plain(value, keep="+"): value for value in SEVERITIES}
            if stated not in known:
                raise BadMetadata(
                    f"{path}, row {record.row}: no such severity",
                    found=repr(record.values.get(grade, ""))[:60],
                    expected="one of " + ", ".join(SEVERITIES),
                    hint="mend that row",
                )
            severities[table.stem(record.values.get(name, "")).casefold()] = known[stated]
    return severities


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline()
    return ";" if len(next(csv.reader([line], delimiter=";"), [])) > 1 else ","


def _column(header: list[str], names: tuple[str, ...]) -> str | None:
    return next((column for column in header if _plain(column) in names), None)


def _plain(text: str, keep: str = "") -> str:
    """Letters and digits alone, lower case, and the signs in `keep`."""
    return "".join(letter for letter in text.casefold() if letter.isalnum() or letter in keep)
