"""SIIM-FISABIO-RSNA COVID-19 Detection (Lakhani et al. 2021): both classes from the same hospitals, as DICOM.

train_study_level.csv, train_image_level.csv and train/STUDY/SERIES/IMAGE.dcm. The layout is read from the
description of the challenge and from public readers; this reader was not run on the original.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd

from covid_synth_data.errors import BadMetadata
from covid_synth_data.files import dicom
from covid_synth_data.sources import disk, table
from covid_synth_data.sources.info import SourceInfo

INFO: Final = SourceInfo(
    name="siim-covid19",
    title="SIIM-FISABIO-RSNA COVID-19 Detection (training films)",
    classes=("normal", "pneumonia", "covid-19"),
    licence="rules of the challenge",
    licence_note="Each user accepts the rules of the challenge. Films are from BIMCV-COVID19 and"
    " MIDRC-RICORD: never train on those and test on these unchecked. Labels are of the appearance, by"
    " readers; they are no result of a test. Read from documentation, not run on the original.",
    citation="Lakhani et al. 2023, The 2021 SIIM-FISABIO-RSNA Machine Learning COVID-19 Challenge:"
    " Annotation and Standard Exam Classification of COVID-19 Chest Radiographs, Journal of Digital Imaging"
    " 36:365-372",
    homepage="https://www.kaggle.com/c/siim-covid19-detection",
    how_to_obtain="accept the rules, download the challenge's data, and unpack it as siim-covid19-detection/"
    " (train_study_level.csv, train_image_level.csv, train/); DICOM needs the extra [rsna]",
    folders=("siim-covid19-detection", "siim-covid19"),
    expected_images=6_334,
    markers=("train_study_level.csv", "train_image_level.csv"),
    columns=("id", "Negative for Pneumonia", "Typical Appearance"),
)

CLASSES: Final = {
    "Negative for Pneumonia": "normal",
    "Typical Appearance": "covid-19",
    "Indeterminate Appearance": "pneumonia",
    "Atypical Appearance": "pneumonia",
}
"""Column of the study table to our label. The last two are opacities that need not be COVID-19."""

EXTRA: Final = ("study", "boxes")
"""Further columns: the study, and how many boxes the film has."""

_NO_BOX: Final = "none"
"""The first word of an image's label where no opacity is marked."""


def read(root: Path) -> pd.DataFrame:
    """The rows of train_image_level.csv in file order. Headers are read, no pixel is.

    The label is that of the study. A film without a box in a study with an appearance has no usable label:
    the study's opacity is on another of its films. A study of no or several appearances has none either.
    Patients are by PatientID of the DICOM header, else by the study. The set states no view; its films are
    frontal. Raises `MissingSource`, `BadMetadata`, and `MissingExtra` without pydicom.
    """
    folder = disk.locate(INFO, root)
    studies = _studies(folder / INFO.markers[0])
    records = disk.read_table(folder / INFO.markers[1], ("id", "label", "StudyInstanceUID"))
    names = [_without(record.values.get("id", ""), "_image") for record in records]
    files = _files(folder / "train")
    ids = table.unique_ids(
        [f"{name or f'row-{record.row}'}.dcm" for name, record in zip(names, records, strict=True)]
    )
    rows = []
    seen: set[str] = set()
    for record, name, identity in zip(records, names, ids, strict=True):
        study = record.values.get("StudyInstanceUID", "")
        path = files.get((study, name), "")
        label, stated = studies.get(study, ("", ""))
        boxed = record.values.get("label", "").split(" ", 1)[0] != _NO_BOX
        contradicts = bool(label) and boxed != (label != "normal")
        reasons = (
            (table.MALFORMED, record.broken or not name or not study),
            (table.UNSAFE, not disk.safe_name(name or "x") or not disk.safe_name(study or "x")),
            (table.DUPLICATE, name in seen),
            (table.NO_LABEL, not label or contradicts),
            (table.MISSING, not path),
        )
        excluded = next((reason for reason, applies in reasons if applies), "")
        rows.append(_row(identity, study, path, label, stated, excluded, record))
        seen.add(name)
    return table.build(INFO.name, rows, EXTRA)


def _row(
    identity: str, study: str, path: str, label: str, stated: str, excluded: str, record: disk.Record
) -> dict[str, Any]:
    header = dicom.header(path, ("PatientID",)) if path and dicom.is_dicom(path) else {}
    return {
        "source_id": identity,
        "label": label,
        # A study is of one patient. Where the header does not name the patient, its studies stay apart.
        "patient": header.get("PatientID") or study,
        "source_class": stated,
        "source_license": INFO.licence,
        "path": "" if excluded in (table.UNSAFE, table.DUPLICATE) else path,
        "study": study,
        "boxes": record.values.get("label", "").split(" ").count("opacity"),
        "excluded": excluded,
    }


def _studies(path: Path) -> dict[str, tuple[str, str]]:
    """Study to (label, the set's class); ("", "") where not exactly one appearance is stated."""
    studies: dict[str, tuple[str, str]] = {}
    for record in disk.read_table(path, ("id", *CLASSES)):
        stated = [name for name in CLASSES if record.values.get(name) == "1"]
        odd = [name for name in CLASSES if record.values.get(name) not in ("0", "1")]
        if odd and not record.broken:
            raise BadMetadata(
                f"{path}, row {record.row}: {odd[0]!r} is no flag",
                found=repr(record.values.get(odd[0]))[:40],
                expected="0 or 1",
                hint="download the file again",
            )
        appearance = (CLASSES[stated[0]], stated[0]) if len(stated) == 1 and not record.broken else ("", "")
        studies[_without(record.values.get("id", ""), "_study")] = appearance
    return studies


def _files(folder: Path) -> dict[tuple[str, str], str]:
    """(study, image) to the film, whatever the series and the ending."""
    if not folder.is_dir():
        return {}
    return {
        (path.relative_to(folder).parts[0], table.stem(path.name)): str(path)
        for path in reversed(disk.films_below(folder))
        if len(path.relative_to(folder).parts) > 1
    }


def _without(name: str, ending: str) -> str:
    return name.removesuffix(ending)
