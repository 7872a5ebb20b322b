"""COVID-19 Image Repository (Winther et al. 2020): 243 COVID-19 films of 71 patients from Hannover."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.sources import disk, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="covid-19-image-repository",
    title="COVID-19 Image Repository, Hannover Medical School",
    classes=("covid-19",),
    licence="CC BY 3.0",
    licence_note="The readme puts images and data under Creative Commons Attribution 3.0 Unported and asks"
    " for attribution of the authors.",
    citation="Winther, Laser, Gerbel, Maschke, Hinrichs, Vogel-Claussen, Wacker, Hoeper, Meyer 2020, COVID-19"
    " Image Repository, doi:10.6084/m9.figshare.12275009",
    homepage="https://github.com/ml-workgroup/covid-19-image-repository",
    how_to_obtain="clone or unpack the repository as covid-19-image-repository/ (data.csv and png/)",
    folders=("covid-19-image-repository", "covid-19-image-repository-master"),
    expected_images=243,
    markers=("data.csv", "png"),
    columns=("patient_id", "image_id"),
)

EXTRA: Final = ("modality", "sex", "age", "offset")
"""Further columns. `age` in years, `offset` in days since admission, null where absent or implausible."""

_REQUIRED: Final = ("patient_id", "image_id", "modality", "projection")


def read(root: Path) -> pd.DataFrame:
    """All rows of data.csv in file order. Raises `MissingSource`, `BadMetadata`.

    The set gives no finding per image: all patients have COVID-19, so `source_class` is "COVID-19".
    """
    folder = disk.locate(INFO, root)
    records = disk.read_table(folder / "data.csv", _REQUIRED)
    names = [record.values.get("image_id", "") for record in records]
    names = [f"{name}.png" if name and disk.safe_name(name) else "" for name in names]
    files = disk.match(names, disk.list_images(folder / "png"))
    ids = table.unique_ids([name or f"row-{record.row}" for name, record in zip(names, records, strict=True)])
    rows = []
    seen: set[str] = set()
    for record, identity, name, file in zip(records, ids, names, files, strict=True):
        row = _row(record, identity, str(folder / "png" / file) if file else "")
        rows.append(row | {"excluded": _excluded(record, row, repeated=bool(name) and name in seen)})
        seen.add(name)
    return table.build(INFO.name, rows, EXTRA)


def _row(record: disk.Record, identity: str, path: str) -> dict[str, Any]:
    cell = record.values.get
    return {
        "source_id": identity,
        "label": "covid-19",
        "patient": cell("patient_id", ""),
        "view": cell("projection", "").upper(),
        "source_class": "COVID-19",
        "source_license": INFO.licence,
        "path": path,
        "modality": cell("modality", ""),
        "sex": cell("sex", "").upper(),
        "age": record.number("age", 0, 120),
        "offset": record.number("admission_offset", -3650, 3650),
    }


def _excluded(record: disk.Record, row: dict[str, Any], *, repeated: bool) -> str:
    """The first of `table.EXCLUSIONS` that applies, in their order."""
    name = record.values.get("image_id", "")
    reasons = (
        (table.MALFORMED, record.broken or not name),
        (table.UNSAFE, not disk.safe_name(name)),
        (table.DUPLICATE, repeated),
        (table.CT, row["modality"].upper() == "CT"),
        (table.MISSING, not row["path"]),
    )
    return next((reason for reason, applies in reasons if applies), "") or table.view_reason(row["view"])
