"""The sets that are folders of images: covid-19-image-repository, kermany, radiography."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from covid_synth_data.errors import MissingSource, SourceError
from covid_synth_data.sources import load_source, read_source, table
from tests.sources.conftest import grey, write_csv

HANNOVER_HEADER = ["patient_id", "image_id", "sex", "age", "admission_offset", "modality", "projection"]


def hannover(root: Path, rows: list[dict[str, str]], files: list[str]) -> Path:
    folder = root / "covid-19-image-repository"
    usual = {"patient_id": "p1", "modality": "CR", "projection": "ap", "sex": "f", "age": "180"}
    write_csv(folder / "data.csv", HANNOVER_HEADER, [usual | row for row in rows])
    for number, file in enumerate(files):
        grey(folder / "png" / file, number)
    return root


def test_hannover(tmp_path: Path) -> None:
    rows = [
        {"image_id": "aa", "projection": "pa", "admission_offset": "3.0"},
        {"image_id": "bb"},
        {"image_id": "../../x"},
        {"image_id": "aa"},
        {"image_id": ""},
    ]
    root = hannover(tmp_path, rows, ["aa.png"])
    frame = read_source("covid-19-image-repository", root)
    assert frame["excluded"].tolist() == ["", table.MISSING, table.UNSAFE, table.DUPLICATE, table.MALFORMED]
    first = frame.iloc[0]
    assert (first["view"], first["label"], first["source_license"]) == ("PA", "covid-19", "CC BY 3.0")
    assert (first["sex"], first["offset"]) == ("F", 3.0)
    assert frame["age"].isna().all()
    assert first["patient_id"] == "covid-19-image-repository:p1"
    assert load_source("covid-19-image-repository", root / "covid-19-image-repository").num_rows == 1


def test_hannover_png_that_is_a_jpeg(tmp_path: Path) -> None:
    root = hannover(tmp_path, [{"image_id": "aa"}], [])
    path = root / "covid-19-image-repository" / "png" / "aa.png"
    path.parent.mkdir()
    Image.new("L", (5, 4), 80).save(path, "JPEG")
    assert load_source("covid-19-image-repository", root)[0]["image"].size == (5, 4)


KERMANY = [
    "train/NORMAL/IM-0115-0001.jpeg",
    "test/NORMAL/NORMAL2-IM-0115-0001-0002.JPG",
    "train/NORMAL/odd name.png",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "val/PNEUMONIA/person1_virus_7.jpeg",
    "test/PNEUMONIA/person10_virus_8_1.jpeg",
]


def test_kermany(tmp_path: Path) -> None:
    for number, name in enumerate(KERMANY):
        grey(tmp_path / "chest_xray" / name, number)
    (tmp_path / "chest_xray" / "train" / "NORMAL" / ".DS_Store").write_text("x")
    frame = read_source("kermany", tmp_path).set_index("source_id")
    assert len(frame) == 6
    assert frame["label"].value_counts().to_dict() == {"normal": 3, "pneumonia": 3}
    patients = frame["patient_id"]
    assert patients["IM-0115-0001"] == patients["NORMAL2-IM-0115-0001-0002"] == "kermany:im-115"
    assert frame.loc[frame["excluded"] != "", "excluded"].to_dict() == {"odd name": table.UNKNOWN_NAME}
    assert patients["person1_bacteria_2"] == patients["person1_virus_7"] == "kermany:person1"
    assert patients["odd name"] == "kermany:film-odd name"
    assert frame["patient_known"].sum() == 5
    assert frame["source_class"]["person10_virus_8_1"] == "PNEUMONIA-virus"
    assert frame["source_class"]["person1_bacteria_2"] == "PNEUMONIA-bacteria"
    assert frame["split"].value_counts().to_dict() == {"train": 3, "test": 2, "val": 1}
    assert set(frame["view"]) == {"AP"}
    assert set(frame["source_license"]) == {"CC BY 4.0"}


def test_kermany_same_name_twice(tmp_path: Path) -> None:
    for name in ("train/NORMAL/IM-1-1.jpeg", "train/NORMAL/IM-1-1.png", "test/NORMAL/IM-1-1.png"):
        grey(tmp_path / "chest_xray" / name)
    assert read_source("kermany", tmp_path)["source_id"].tolist() == [
        "IM-1-1.jpeg",
        "IM-1-1.png",
        "IM-1-1.png#2",
    ]


RADIOGRAPHY = [
    "COVID/images/COVID-1.png",
    "COVID/masks/COVID-1.png",
    "Normal/images/Normal-62.png",
    "Normal/images/Normal-63.PNG",
    "Normal/images/Normal-1403.jpg",
    "Normal/images/Normal-1404.jpeg",
    "Lung_Opacity/Lung_Opacity-1.png",
    "Viral Pneumonia/Viral Pneumonia-1.png",
]


def test_radiography(tmp_path: Path) -> None:
    for number, name in enumerate(RADIOGRAPHY):
        grey(tmp_path / "COVID-19_Radiography_Dataset" / name, number)
    frame = read_source("radiography", tmp_path).set_index("source_id")
    assert len(frame) == 7
    assert frame["origin"].to_dict() == {
        "COVID-1": "mixed",
        "Normal-62": "rsna",
        "Normal-63": "kermany",
        "Normal-1403": "kermany",
        "Normal-1404": "rsna",
        "Lung_Opacity-1": "rsna",
        "Viral Pneumonia-1": "kermany",
    }
    assert frame["source_license"]["COVID-1"] == "unknown"
    assert frame["source_license"]["Normal-62"] == "public domain (NIH)"
    assert frame["source_license"]["Viral Pneumonia-1"] == "CC BY 4.0"
    assert frame["label"]["Lung_Opacity-1"] == "pneumonia"
    assert not frame["patient_known"].any()
    assert frame["patient_id"].is_unique
    assert (frame["excluded"] == "").all()
    assert load_source("radiography", tmp_path).num_rows == 7


def test_radiography_first_release_does_not_say_where_normals_came_from(tmp_path: Path) -> None:
    for name in ("NORMAL/NORMAL (63).png", "COVID-19/COVID-19 (1).png"):
        grey(tmp_path / "COVID-19_Radiography_Database" / name)
    frame = read_source("radiography", tmp_path)
    assert frame["origin"].tolist() == ["mixed", "mixed"]
    assert set(frame["source_license"]) == {"unknown"}


@pytest.mark.parametrize(("name", "folder"), [("kermany", "chest_xray"), ("radiography", "radiography")])
def test_empty_folders(tmp_path: Path, name: str, folder: str) -> None:
    (tmp_path / folder).mkdir()
    with pytest.raises(MissingSource, match="no images below"):
        read_source(name, tmp_path)


@pytest.mark.real_data
def test_real_hannover(real_root: Path) -> None:
    frame = read_source("covid-19-image-repository", real_root)
    assert (len(frame), frame["patient_id"].nunique()) == (243, 71)
    assert (frame["excluded"] == "").all()
    assert frame["view"].value_counts().to_dict() == {"AP": 194, "PA": 49}
    other = read_source("covid-chestxray", real_root)["same_film"]
    assert set(other[other != ""]) <= set(frame["image_id"])


@pytest.mark.real_data
def test_real_kermany(real_root: Path) -> None:
    frame = read_source("kermany", real_root)
    assert frame.groupby(["split", "label"]).size().to_dict() == {
        ("train", "normal"): 1341,
        ("train", "pneumonia"): 3875,
        ("val", "normal"): 8,
        ("val", "pneumonia"): 8,
        ("test", "normal"): 234,
        ("test", "pneumonia"): 390,
    }
    assert frame["patient_known"].all()


@pytest.mark.real_data
def test_real_radiography(real_root: Path) -> None:
    frame = read_source("radiography", real_root)
    assert frame.groupby(["source_class", "origin"]).size().to_dict() == {
        ("COVID", "mixed"): 3616,
        ("Normal", "kermany"): 1341,
        ("Normal", "rsna"): 8851,
        ("Viral Pneumonia", "kermany"): 1338,
    }


THIRD = [
    "train/PNEUMONIA/VIRUS-9564688-0001.jpeg",
    "test/PNEUMONIA/BACTERIA-9564688-0002.jpeg",
    "train/NORMAL/NORMAL-28501-0001.jpeg",
    "test/NORMAL/NORMAL-28501-0002.jpeg",
]


def test_kermany_version_3_says_who_the_child_is(tmp_path: Path) -> None:
    for number, name in enumerate(THIRD):
        grey(tmp_path / "ChestXRay2017" / "chest_xray" / name, number)
    frame = read_source("kermany", tmp_path)
    assert dict(zip(frame["source_id"], frame["patient_id"], strict=True)) == {
        "VIRUS-9564688-0001": "kermany:child9564688",
        "BACTERIA-9564688-0002": "kermany:child9564688",
        "NORMAL-28501-0001": "kermany:child28501",
        "NORMAL-28501-0002": "kermany:child28501",
    }
    assert set(frame["source_class"]) == {"NORMAL", "PNEUMONIA-virus", "PNEUMONIA-bacteria"}
    assert frame["patient_known"].all()
    assert (frame["excluded"] == "").all()


@pytest.mark.parametrize(
    ("name", "file"),
    [("kermany", "chest_xray/train/NORMAL/a.png"), ("radiography", "radiography/COVID/images/a.png")],
)
def test_a_layout_that_is_not_known_is_an_error(tmp_path: Path, name: str, file: str) -> None:
    grey(tmp_path / file)
    with pytest.raises(SourceError, match="the layout of .* is not known; found 1 files, e.g. a.png"):
        read_source(name, tmp_path)


@pytest.mark.parametrize("root", ["COVID-19 Radiography Database", "COVID-19_Radiography_Dataset", "other"])
def test_radiography_in_other_writings(tmp_path: Path, root: str) -> None:
    names = [
        "COVID-19/COVID-19 (1).png",
        "NORMAL/NORMAL (1).png",
        "NORMAL/notes.png",
        "Viral_Pneumonia/images/Viral Pneumonia (1).png",
        "Viral_Pneumonia/masks/Viral Pneumonia (1).png",
        "lung opacity/images/Lung_Opacity-3.png",
    ]
    for number, name in enumerate(names):
        grey(tmp_path / root / name, number)
    frame = read_source("radiography", tmp_path / root).set_index("source_id")
    assert frame["label"].to_dict() == {
        "COVID-19 (1)": "covid-19",
        "NORMAL (1)": "normal",
        "notes": "normal",
        "Viral Pneumonia (1)": "pneumonia",
        "Lung_Opacity-3": "pneumonia",
    }
    assert frame.loc[frame["excluded"] != "", "excluded"].to_dict() == {"notes": table.UNKNOWN_NAME}
