"""COVID-19 Image Data Collection (Cohen et al. 2020): films from publications, with metadata per image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.errors import ConfigError
from covid_synth_data.sources import disk, licences, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="covid-chestxray",
    title="COVID-19 Image Data Collection",
    classes=("normal", "pneumonia", "covid-19"),
    licence="per image",
    licence_note="Each row of the metadata states the licence of its image or none: CC BY, CC0 and Apache 2.0"
    " beside non-commercial and share-alike ones. Rows that state none are 'unknown'.",
    citation="Cohen, Morrison, Dao, Roth, Duong, Ghassemi 2020, COVID-19 Image Data Collection: Prospective"
    " Predictions Are the Future, arXiv:2006.11988",
    homepage="https://github.com/ieee8023/covid-chestxray-dataset",
    how_to_obtain="clone or unpack the repository as covid-chestxray-dataset/ (metadata.csv and images/)",
    folders=("covid-chestxray-dataset", "covid-chestxray-dataset-master", "covid-chestxray"),
    expected_images=930,
    markers=("metadata.csv", "images"),
    columns=("patientid", "finding", "filename"),
)

EXTRA: Final = ("modality", "sex", "age", "offset", "date", "url", "folder", "same_film")
"""Further columns. `age` in years and `offset` in days since the onset of symptoms, null where absent or
implausible; `same_film` is the `image_id` of the same film in another source, or ""."""

METADATA: Final = {"current": "metadata.csv", "2020-04-19": "metadata-2020-04-19.csv"}
"""Value of the option `metadata` to file. The second is the state that zunair2021 used (345 rows)."""

_REQUIRED: Final = ("patientid", "finding", "view", "modality", "folder", "filename", "license")
_HANNOVER: Final = "ml-workgroup/covid-19-image-repository"
_INFECTIONS: Final = frozenset(
    (
        *("pneumonia", "bacterial", "viral", "fungal", "aspiration", "mycoplasma bacterial pneumonia"),
        *("sars", "mers-cov", "influenza", "h1n1", "varicella", "herpes"),
        *("streptococcus", "klebsiella", "legionella", "mycoplasma", "chlamydophila", "nocardia"),
        *("staphylococcus", "mrsa", "e.coli", "pneumocystis", "aspergillosis"),
    )
)
_VOLUMES: Final = (".nii", ".nii.gz")


def read(root: Path, *, metadata: str = "current") -> pd.DataFrame:
    """All rows of the metadata in file order. `metadata` is "current" or "2020-04-19".

    `source_class` is the finding as written. Raises `MissingSource`, `BadMetadata`, `ConfigError`.
    """
    if metadata not in METADATA:
        raise ConfigError(
            "unknown metadata version of covid-chestxray",
            found=repr(metadata),
            expected="one of " + ", ".join(METADATA),
        )
    folder = disk.locate(INFO, root)
    records = disk.read_table(folder / METADATA[metadata], _REQUIRED)
    names = [record.values.get("filename", "") for record in records]
    names = [name if disk.safe_name(name) else "" for name in names]
    files = disk.match(names, disk.list_images(folder / "images"))
    ids = table.unique_ids([name or f"row-{record.row}" for name, record in zip(names, records, strict=True)])
    repeated = _repeated(names)
    rows = [
        _row(record, identity, str(folder / "images" / file) if file else "", again)
        for record, identity, file, again in zip(records, ids, files, repeated, strict=True)
    ]
    return table.build(INFO.name, rows, EXTRA)


def label(finding: str) -> str:
    """The label of a finding of any version of the metadata, or "" where none of ours applies.

    Findings are names ("Streptococcus"), lists ("COVID-19, ARDS") or paths ("Pneumonia/Viral/SARS").
    COVID-19 decides where it is named; lipoid pneumonia is no infection; tuberculosis is a class of its own.
    """
    parts = [part.strip().lower() for part in finding.replace(",", "/").split("/")]
    if "covid-19" in parts:
        return "covid-19"
    if parts == ["no finding"]:
        return "normal"
    return "pneumonia" if set(parts) <= _INFECTIONS else ""


def _row(record: disk.Record, identity: str, path: str, repeated: bool) -> dict[str, Any]:
    cell = record.values.get
    finding, url = cell("finding", ""), cell("url", "")
    view = cell("view", "")
    row = {
        "source_id": identity,
        "label": label(finding),
        "patient": cell("patientid", ""),
        "view": "" if view == "?" else view,
        "source_class": finding,
        "source_license": licences.normalise(cell("license")),
        "path": path,
        "modality": cell("modality", ""),
        "sex": cell("sex", ""),
        "age": record.number("age", 0, 120),
        "offset": record.number("offset", -365, 3650),
        "date": cell("date", ""),
        "url": url,
        "folder": cell("folder", ""),
        "same_film": f"covid-19-image-repository/{identity}" if _HANNOVER in url else "",
    }
    return row | {"excluded": _excluded(record, row, repeated)}


def _excluded(record: disk.Record, row: dict[str, Any], repeated: bool) -> str:
    """The first of `table.EXCLUSIONS` that applies, in their order."""
    name = record.values.get("filename", "")
    volume = row["folder"] == "volumes" or name.lower().endswith(_VOLUMES)
    reasons = (
        (table.MALFORMED, record.broken or not name),
        (table.UNSAFE, not disk.safe_name(name)),
        (table.DUPLICATE, repeated),
        (
            table.CT,
            volume or row["modality"].upper() == "CT" or row["view"] in ("Axial", "Coronal", "Sagittal"),
        ),
        (table.NO_LABEL, not row["label"]),
        (table.MISSING, not row["path"]),
    )
    return next((reason for reason, applies in reasons if applies), "") or table.view_reason(row["view"])


def _repeated(names: Sequence[str]) -> list[bool]:
    """For each name whether an earlier one is the same, whatever its case; "" repeats nothing."""
    seen: set[str] = set()
    flags = []
    for name in map(str.casefold, names):
        flags.append(bool(name) and name in seen)
        seen.add(name)
    return flags
