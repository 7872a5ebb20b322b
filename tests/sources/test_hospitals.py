"""Sets with both classes from the same hospitals, and RICORD: phantoms in the layouts that are published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import BadMetadata, MissingSource, SourceError
from covid_synth_data.sources import load_source, read_source, source_status, table
from tests.inputs import dicom_file
from tests.trees import bimcv, save, siim

from .conftest import write_csv

pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")

SIIM = [(1, 1, 0), (2, 1, 1), (3, 2, 2), (4, 3, 3)]


def test_siim(tmp_path: Path) -> None:
    siim(tmp_path, SIIM)
    frame = read_source("siim-covid19", tmp_path)
    assert frame["label"].tolist() == ["normal", "covid-19", "pneumonia", "pneumonia"]
    assert frame["source_class"].tolist()[2:] == ["Indeterminate Appearance", "Atypical Appearance"]
    assert frame["patient_id"].tolist() == [f"siim-covid19:p{n}" for n in (1, 1, 2, 3)]
    assert frame["boxes"].tolist() == [0, 2, 2, 2]
    assert frame["image_id"].iat[0] == "siim-covid19/image00001"
    assert set(frame["excluded"]) == {""}
    rows = load_source("siim-covid19", tmp_path)
    assert np.asarray(rows[0]["image"]).shape == (96, 96)
    status = source_status("siim-covid19", tmp_path)
    assert status.summary == "4 of 6,334 images, 4 usable"


def test_siim_rows_that_cannot_be_used(tmp_path: Path) -> None:
    folder = siim(tmp_path, SIIM)
    (folder / "train/study00004/series/image00004.dcm").unlink()
    table_ = folder / "train_image_level.csv"
    # A film without a box in a study with an appearance, one of an unknown study, a film twice, half a row.
    more = [
        "image00009_image,,none 1 0 0 1 1,study00002",
        "image00010_image,,none 1 0 0 1 1,study00099",
        "image00001_image,,none 1 0 0 1 1,study00001",
        "image00011_image",
    ]
    table_.write_text(table_.read_text() + "\n".join([*more, ""]))
    frame = read_source("siim-covid19", tmp_path)
    expected = [table.MISSING, table.NO_LABEL, table.NO_LABEL, table.DUPLICATE, table.MALFORMED]
    assert frame["excluded"].tolist() == ["", "", "", *expected]


def test_siim_without_headers_keeps_studies_apart(tmp_path: Path) -> None:
    folder = siim(tmp_path, SIIM[:2])
    for path in folder.rglob("*.dcm"):
        save(path.with_suffix(".png"), 1)
        path.unlink()
    frame = read_source("siim-covid19", tmp_path)
    assert frame["patient_id"].tolist() == ["siim-covid19:study1", "siim-covid19:study2"]


def test_siim_of_another_layout(tmp_path: Path) -> None:
    folder = siim(tmp_path, SIIM)
    (folder / "train_image_level.csv").write_text("image,label\n1,none\n")
    with pytest.raises(BadMetadata, match=r"train_image_level\.csv.*'id'"):
        read_source("siim-covid19", tmp_path)
    study = folder / "train_study_level.csv"
    study.write_text(study.read_text().replace("_study,1,", "_study,yes,"))
    with pytest.raises(BadMetadata, match=r"is no flag; found 'yes'"):
        read_source("siim-covid19", tmp_path)


POSITIVE = [
    (1, 1, "ap", "['normal']"),
    (2, 1, "pa", "['COVID 19', 'alveolar pattern']"),
    (3, 2, "lateral", "['COVID 19']"),
]
NEGATIVE = [(4, 3, "pa", "['normal']"), (5, 4, "ap", "['pneumonia']"), (6, 5, "ap", "['cardiomegaly']")]


def test_bimcv(tmp_path: Path) -> None:
    bimcv(tmp_path, "covid19_posi", POSITIVE)
    part = bimcv(tmp_path, "covid19_neg", NEGATIVE)
    (part / "sub-S00003/ses-E00004/mod-ct").mkdir()
    (part / "sub-S00003/ses-E00004/mod-ct/sub-S00003_ses-E00004_run-1_ct.nii.gz").write_bytes(b"")
    frame = read_source("bimcv-covid19", tmp_path).set_index("session")
    films = frame[frame["excluded"] != table.CT]
    assert films["label"].tolist() == ["covid-19"] * 3 + ["normal", "pneumonia", ""]
    assert films["no_finding"].tolist() == [True, False, False, False, False, False]
    assert films["excluded"].tolist() == ["", "", table.LATERAL, "", "", table.NO_LABEL]
    assert films["patient_id"].iat[0] == films["patient_id"].iat[1] == "bimcv-covid19:s1"
    assert films["findings"].iat[1] == "COVID 19; alveolar pattern"
    assert (frame["excluded"] == table.CT).sum() == 1
    assert load_source("bimcv-covid19", tmp_path).num_rows == 4


def test_bimcv_films_that_are_stored_inverted_are_not_used(tmp_path: Path) -> None:
    part = bimcv(tmp_path, "covid19_posi", POSITIVE[:2])
    header = next(part.rglob("*E00002*.json"))
    header.write_text(json.dumps({"00280004": {"Value": ["MONOCHROME1"]}}))
    assert read_source("bimcv-covid19", tmp_path)["excluded"].tolist() == ["", table.INVERTED]


def test_bimcv_of_another_layout(tmp_path: Path) -> None:
    part = bimcv(tmp_path, "covid19_posi", POSITIVE)
    for path in list(part.rglob("*.png")):
        path.rename(path.with_name(f"film-{path.stem[-30:]}.png"))
    with pytest.raises(SourceError, match="the layout of bimcv-covid19"):
        read_source("bimcv-covid19", tmp_path)
    (part / "derivatives/labels/labels.tsv").unlink()
    with pytest.raises(BadMetadata, match="no findings in"):
        read_source("bimcv-covid19", tmp_path)


def covidgr(root: Path) -> Path:
    folder = root / "COVIDGR_1.0"
    for number, name in enumerate(("P/a", "P/b", "N/a", "N/c")):
        save(folder / f"{name}.jpg", number)
    return folder


@pytest.mark.parametrize("header", ["Filename;Severity", "image,severity"])
def test_covidgr(tmp_path: Path, header: str) -> None:
    sign = ";" if ";" in header else ","
    lines = [header, f"a.jpg{sign}NORMAL-PCR+", f"b.jpg{sign}Moderate", ""]
    (covidgr(tmp_path) / "severity.csv").write_text("\n".join(lines))
    frame = read_source("covidgr", tmp_path)
    assert frame["image_id"].tolist() == ["covidgr/P-a", "covidgr/P-b", "covidgr/N-a", "covidgr/N-c"]
    assert frame["label"].tolist() == ["covid-19", "covid-19", "normal", "normal"]
    assert frame["severity"].tolist() == ["normal-pcr+", "moderate", "", ""]
    assert frame["no_finding"].tolist() == [True, False, False, False]
    assert not frame["patient_known"].any()
    assert load_source("covidgr", tmp_path).num_rows == 4


def test_covidgr_of_another_layout(tmp_path: Path) -> None:
    folder = covidgr(tmp_path)
    assert read_source("covidgr", tmp_path)["severity"].tolist() == ["", "", "", ""]
    write_csv(folder / "severity.csv", ["film", "stage"], [{"film": "a.jpg", "stage": "mild"}])
    with pytest.raises(BadMetadata, match="no table of severity.*columns film, stage"):
        read_source("covidgr", tmp_path)
    write_csv(folder / "severity.csv", ["file", "severity"], [{"file": "a.jpg", "severity": "awful"}])
    with pytest.raises(BadMetadata, match=r"row 2: no such severity.*awful"):
        read_source("covidgr", tmp_path)


def ricord(root: Path, patient: str = "MIDRC-RICORD-1C-SITE2-000{}") -> Path:
    folder = root / "MIDRC-RICORD-1C"
    for number, view in enumerate(("AP", "PA", "LATERAL", "")):
        place = folder / patient.format(number // 2) / f"study-{number}" / "series"
        dicom_file(place / "1-1.dcm", np.full((64, 64), 9), ViewPosition=view, Modality="CR")
    return folder


def test_ricord(tmp_path: Path) -> None:
    ricord(tmp_path)
    frame = read_source("ricord-1c", tmp_path)
    assert frame["excluded"].tolist() == ["", "", table.LATERAL, table.VIEW_UNKNOWN]
    assert frame["patient_id"].nunique() == 2
    assert frame["patient_known"].all()
    assert set(frame["label"]) == {"covid-19"}
    assert frame["study"].tolist()[0] == "study-0"
    (tmp_path / "empty/MIDRC-RICORD-1C").mkdir(parents=True)
    with pytest.raises(MissingSource, match="no DICOM file"):
        read_source("ricord-1c", tmp_path / "empty")


def test_ricord_of_another_layout(tmp_path: Path) -> None:
    ricord(tmp_path, "patient-{}")
    with pytest.raises(SourceError, match="the layout of ricord-1c"):
        read_source("ricord-1c", tmp_path)
