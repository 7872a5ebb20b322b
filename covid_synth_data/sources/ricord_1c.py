"""MIDRC-RICORD-1c (Tsai et al. 2021): films of patients with a positive test, from four sites, as DICOM.

MIDRC-RICORD-1C/PATIENT/STUDY/SERIES/*.dcm as the TCIA's retriever writes them. The layout is read from the
TCIA's page and from public readers; this reader was not run on the original. The annotations (a JSON file of
MD.ai) and the clinical table (.xlsx) are not read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.files import dicom
from covid_synth_data.sources import disk, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="ricord-1c",
    title="MIDRC-RICORD-1c, films of patients with COVID-19",
    classes=("covid-19",),
    licence="CC BY-NC 4.0",
    licence_note="Every patient has COVID-19, also where the film shows nothing. Films of SIIM-FISABIO-RSNA"
    " are in part from this set. Read from documentation, not run on the original.",
    citation="Tsai et al. 2021, The RSNA International COVID-19 Open Radiology Database (RICORD), Radiology"
    " 299(1):E204-E213, doi:10.7937/91ah-v663",
    homepage="https://wiki.cancerimagingarchive.net/pages/viewpage.action?pageId=70230281",
    how_to_obtain="fetch the collection with the NBIA Data Retriever and put its folder MIDRC-RICORD-1C/ into"
    " the root; DICOM needs the extra [rsna]",
    folders=("MIDRC-RICORD-1C", "MIDRC-RICORD-1c", "ricord-1c"),
    expected_images=1_257,
)

EXTRA: Final = ("study",)
"""Further column: the folder of the study."""

_PATIENT: Final = re.compile(r"^MIDRC-RICORD-1C-(.+)$", re.IGNORECASE)


def read(root: Path) -> pd.DataFrame:
    """All DICOM files in natural order. Headers are read for the view, no pixel is.

    Patients are by their folder. A file outside a patient's folder has an unknown name. Raises
    `MissingSource`, `SourceError` for another layout, and `MissingExtra` without pydicom.
    """
    folder = disk.locate(INFO, root)
    films = [path for path in disk.films_below(folder) if dicom.is_dicom(str(path))]
    if not films:
        raise disk.missing(INFO, f"no DICOM file below {folder}")
    parts = [path.relative_to(folder).parts for path in films]
    patients = [_PATIENT.match(part[0]) if len(part) > 1 else None for part in parts]
    disk.check_layout(INFO, folder, [match is None for match in patients], "/".join(parts[0]))
    rows = [
        _row(path, part, match[1] if match else "")
        for path, part, match in zip(films, parts, patients, strict=True)
    ]
    return table.build(INFO.name, rows, EXTRA)


def _row(path: Path, parts: tuple[str, ...], patient: str) -> dict[str, Any]:
    header = dicom.header(path, ("ViewPosition", "Modality"))
    view = header.get("ViewPosition", "")
    reasons = ((table.CT, header.get("Modality") == "CT"), (table.UNKNOWN_NAME, not patient))
    excluded = next((reason for reason, applies in reasons if applies), "") or table.view_reason(view)
    return {
        "source_id": "/".join(parts).removesuffix(path.suffix),
        "label": "covid-19",
        "patient": patient,
        "view": view,
        "source_class": "COVID-19",
        "source_license": INFO.licence,
        "path": "" if excluded == table.CT else str(path),
        "study": parts[1] if len(parts) > 2 else "",
        "excluded": excluded,
    }
