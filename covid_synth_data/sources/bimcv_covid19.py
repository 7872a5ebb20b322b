"""BIMCV-COVID19: tested patients of the Valencian region, positive and negative, from the same hospitals.

covid19_posi/ and covid19_neg/ as the archives unpack, each with films sub-S*/ses-E*/mod-rx/*_vp-ap_*.png, a
.json of the DICOM header beside each film, and derivatives/labels/*.tsv with the findings of each report.
The layout is read from the set's description and from public readers; this reader was not run on the
original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.errors import BadMetadata
from covid_synth_data.sources import disk, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="bimcv-covid19",
    title="BIMCV-COVID19, positive and negative patients of the Valencian region",
    classes=("normal", "pneumonia", "covid-19"),
    licence="BIMCV research use agreement",
    licence_note="Each user accepts the agreement of the BIMCV. Films of SIIM-FISABIO-RSNA are in part from"
    " this set: never train on one and test on the other unchecked. Films are stretched to 8 bits; the"
    " windows of the headers are not applied. Read from documentation, not run on the original.",
    citation="de la Iglesia Vaya et al. 2020, BIMCV COVID-19+: a large annotated dataset of RX and CT images"
    " from COVID-19 patients, arXiv:2006.01174",
    homepage="https://bimcv.cipf.es/bimcv-projects/bimcv-covid19/",
    how_to_obtain="accept the agreement, and unpack the archives as BIMCV-COVID19/covid19_posi/ and"
    " BIMCV-COVID19/covid19_neg/, each with participants.tsv, derivatives/ and the folders sub-S*",
    folders=("BIMCV-COVID19", "bimcv-covid19"),
    expected_images=56_171,  # CR and DX studies of both parts, as the set's page counts; not films
    markers=("covid19_posi",),
    other_markers=("covid19_neg",),
)

EXTRA: Final = ("session", "findings", "no_finding")
"""Further columns: the session (ses-E*), the findings of its report joined by "; ", and whether the report of
a positive patient states no finding."""

PARTS: Final = {
    "covid19_posi": ("positive", ("covid19_posi", "BIMCV-COVID19+", "bimcv_covid19_posi")),
    "covid19_neg": ("negative", ("covid19_neg", "covid19_nega", "BIMCV-COVID19-", "bimcv_covid19_neg")),
}
"""Part to the result of the test of its patients, and the names of its folder."""

PNEUMONIA: Final = ("pneumonia", "atypical pneumonia", "viral pneumonia")
"""Findings that make a film of a negative patient one of pneumonia."""

_FILE: Final = re.compile(r"^(sub-S\d+)_(ses-E\d+)_.*?(?:vp-([a-z]+)[_.].*)?$", re.ASCII)
_QUOTED: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PHOTOMETRIC: Final = "00280004"
_LISTED: Final = (".png", ".jpg", ".jpeg", ".nii.gz")


def read(root: Path) -> pd.DataFrame:
    """All films and volumes, by part and name in natural order. No pixel is read; .json files are.

    Films of positive patients are COVID-19, whatever the report says; `no_finding` says where it states
    none. Films of negative patients are normal where their report says so, pneumonia where it names one of
    `PNEUMONIA`, and have no usable label otherwise: a negative test is no normal film. Raises
    `MissingSource`, `BadMetadata`, and `SourceError` for names of another layout.
    """
    folder = disk.locate(INFO, root)
    rows: list[dict[str, Any]] = []
    unknown: list[bool] = []
    for result, part in _parts(folder):
        findings = _findings(part)
        for path in _listed(part):
            name = _FILE.match(path.name)
            unknown.append(name is None)
            rows.append(_row(result, path, name, findings))
    if not rows:
        raise disk.missing(INFO, f"no film below {folder}")
    disk.check_layout(INFO, folder, unknown, Path(rows[0]["source_id"]).name)
    ids = table.unique_ids([row["source_id"] for row in rows])
    return table.build(
        INFO.name, [row | {"source_id": identity} for row, identity in zip(rows, ids, strict=True)], EXTRA
    )


def _parts(folder: Path) -> Iterator[tuple[str, Path]]:
    for result, names in PARTS.values():
        for name in names:
            if (folder / name).is_dir():
                yield result, folder / name
                break


def _listed(part: Path) -> list[Path]:
    """Films and volumes below the folders of the patients, in natural order."""
    paths = [
        path
        for path in part.glob("sub-*/**/*")
        if path.name.lower().endswith(_LISTED) and not disk.is_hidden(path.name)
    ]
    return sorted(paths, key=lambda path: disk.natural(path.relative_to(part).as_posix()))


def _findings(part: Path) -> dict[str, tuple[str, ...]]:
    """Session to the findings of its report. Raises `BadMetadata` where no table of them is there."""
    tables = sorted((part / "derivatives" / "labels").glob("*.tsv"))
    findings: dict[str, tuple[str, ...]] = {}
    for path in tables:
        for record in disk.read_table(path, ("ReportID", "Labels"), "\t"):
            text = record.values.get("Labels", "")
            quoted = ["".join(pair).strip() for pair in _QUOTED.findall(text)]
            words = quoted or [word.strip() for word in text.strip("[]").split(",")]
            report = record.values.get("ReportID", "")
            findings[report.removeprefix("ses-")] = tuple(word for word in words if word)
    if not tables:
        raise BadMetadata(
            f"no findings in {part}",
            found="no derivatives/labels/*.tsv",
            expected="a table with the columns ReportID and Labels",
            hint="unpack the archive with the metadata into the same folder",
        )
    return findings


def _row(
    result: str, path: Path, name: re.Match[str] | None, findings: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    session = name[2] if name else ""
    view = (name[3] or "").upper() if name else ""
    stated = findings.get(session.removeprefix("ses-"), ())
    label = _label(result, stated)
    volume = path.name.endswith(".nii.gz")
    reasons = (
        (table.CT, volume or "mod-ct" in path.parts),
        (table.NO_LABEL, bool(name) and not label),
        (table.UNKNOWN_NAME, name is None),
        (table.INVERTED, not volume and _is_inverted(path)),
    )
    excluded = next((reason for reason, applies in reasons if applies), "") or table.view_reason(view)
    return {
        "source_id": path.name,
        "label": label,
        "patient": name[1].removeprefix("sub-") if name else "",
        "view": view,
        "source_class": result,
        "source_license": INFO.licence,
        "path": "" if excluded == table.CT else str(path),
        "session": session,
        "findings": "; ".join(stated),
        "no_finding": result == "positive" and (not stated or "normal" in stated),
        "excluded": excluded,
    }


def _label(result: str, findings: tuple[str, ...]) -> str:
    if result == "positive":
        return "covid-19"
    if any(finding in PNEUMONIA for finding in findings):
        return "pneumonia"
    return "normal" if "normal" in findings else ""


def _is_inverted(path: Path) -> bool:
    """Whether the .json beside a film says that it is MONOCHROME1."""
    try:
        header = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(header[_PHOTOMETRIC]["Value"][0] == "MONOCHROME1")
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return False
