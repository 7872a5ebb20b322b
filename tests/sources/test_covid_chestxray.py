"""covid-chestxray: findings, versions, partial downloads, absurd rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from covid_synth_data.errors import BadMetadata, ConfigError, MissingSource
from covid_synth_data.sources import covid_chestxray, load_source, read_source, table
from tests.sources.conftest import xray

Make = Callable[..., Path]
NAME = "covid-chestxray"


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        *(("COVID-19", "covid-19"), ("COVID-19, ARDS", "covid-19"), ("Pneumonia/Viral/COVID-19", "covid-19")),
        *(
            ("No Finding", "normal"),
            ("SARS", "pneumonia"),
            ("Pneumonia/Bacterial/Streptococcus", "pneumonia"),
        ),
        *(("Pneumonia/Viral/Herpes ", "pneumonia"), ("Pneumonia/Bacterial/Staphylococcus/MRSA", "pneumonia")),
        *(
            ("Mycoplasma Bacterial Pneumonia", "pneumonia"),
            ("E.Coli", "pneumonia"),
            ("Pneumonia", "pneumonia"),
        ),
        *(("todo", ""), ("Unknown", ""), ("ARDS", ""), ("", ""), ("Lipoid", ""), ("Pneumonia/Lipoid", "")),
        *(
            ("Tuberculosis", ""),
            ("No Finding, ARDS", ""),
            ("not COVID-19 at all", ""),
            ("Pneumonia/Viral/ARDS", ""),
        ),
    ],
)
def test_labels(finding: str, label: str) -> None:
    assert covid_chestxray.label(finding) == label


def test_rows_and_reasons(chestxray: Make) -> None:
    rows = [
        xray("a.jpg", patientid="2", age="65"),
        xray("b.jpg", view="L"),
        xray("c.jpg", view="Axial", modality="CT"),
        xray("d.nii.gz", view="Axial", modality="CT", folder="volumes"),
        xray("e.jpg", finding="todo"),
        xray("gone.jpg"),
        xray("f.jpg", view="?", license=""),
        xray("g.png", view="AP semi erect", patientid="", age="999"),
        xray("gone-lateral.jpg", view="L"),
    ]
    root = chestxray(rows, ["a.jpg", "b.jpg", "c.jpg", "e.jpg", "f.jpg", "g.png"])
    frame = read_source(NAME, root)
    assert frame["source_id"].tolist() == ["a", "b", "c", "d", "e", "gone", "f", "g", "gone-lateral"]
    assert frame["excluded"].tolist() == [
        *("", table.LATERAL, table.CT, table.CT, table.NO_LABEL),
        *(table.MISSING, table.VIEW_UNKNOWN, "", table.MISSING),
    ]
    assert frame["patient_id"].tolist()[::7] == ["covid-chestxray:2", "covid-chestxray:film-g"]
    assert frame["age"].fillna(-1).tolist()[::7] == [65, -1]
    assert frame["source_license"].tolist()[6] == "unknown"
    assert frame["view"].tolist()[6:8] == ["", "AP semi erect"]
    assert load_source(NAME, root)["image_id"][:] == ["covid-chestxray/a", "covid-chestxray/g"]
    everything = load_source(NAME, root, views="all")
    assert everything["source_id"][:] == ["a", "b", "f", "g"]


def test_files_match_by_stem_whatever_the_extension(chestxray: Make) -> None:
    rows = [xray("A.jpg"), xray("b.PNG"), xray("1.jpg"), xray("1.png")]
    root = chestxray(rows, ["a.JPEG", "b.png", "1.png"])
    frame = read_source(NAME, root)
    assert [Path(path).name for path in frame["path"]] == ["a.JPEG", "b.png", "", "1.png"]
    assert frame["source_id"].tolist() == ["A", "b", "1.jpg", "1.png"]


def test_absurd_rows_neither_crash_nor_leave_the_folder(chestxray: Make) -> None:
    rows = [
        xray("../secret.png"),
        xray("/etc/passwd"),
        xray("..\\secret.png"),
        xray(""),
        xray("a\0.png"),
        xray("a.png", patientid="9" * 5000, age="-3"),
        xray("a.png"),
        xray("A.PNG"),
    ]
    root = chestxray(rows, ["a.png"])
    (root / "covid-chestxray-dataset" / "secret.png").write_bytes(b"x")
    frame = read_source(NAME, root)
    assert frame["excluded"].tolist() == [
        *([table.UNSAFE] * 3),
        *([table.MALFORMED] * 2),
        "",
        *([table.DUPLICATE] * 2),
    ]
    assert frame["source_id"].tolist() == [
        "row-2",
        "row-3",
        "row-4",
        "row-5",
        "row-6",
        "a.png",
        "a.png#2",
        "A",
    ]
    images = root / "covid-chestxray-dataset" / "images"
    assert {str(Path(path).parent) for path in frame["path"] if path} == {str(images)}
    assert frame["image_id"].is_unique


def test_rows_of_a_wrong_length(chestxray: Make) -> None:
    root = chestxray([xray("a.png")], ["a.png", "b.png"])
    with (root / "covid-chestxray-dataset" / "metadata.csv").open("a") as file:
        file.write("2,50,COVID-19,PA,X-ray,images,b.png,,,,,,,,too many\n2,50,COVID-19,PA")
    assert read_source(NAME, root)["excluded"].tolist() == ["", table.MALFORMED, table.MALFORMED]


def test_missing_column_names_file_and_column(chestxray: Make) -> None:
    root = chestxray([xray("a.png")])
    (root / "covid-chestxray-dataset" / "metadata.csv").write_text("patientid,filename\n1,a.png\n")
    with pytest.raises(BadMetadata, match=r"metadata\.csv.*'finding'"):
        read_source(NAME, root)


def test_versions_of_the_metadata(chestxray: Make) -> None:
    root = chestxray([xray("a.png"), xray("b.png")], ["a.png"])
    chestxray([xray("b.png")], name="metadata-2020-04-19.csv")
    assert read_source(NAME, root)["source_id"].tolist() == ["a", "b"]
    assert read_source(NAME, root, metadata="2020-04-19")["source_id"].tolist() == ["b"]
    with pytest.raises(ConfigError, match="2020-04-19"):
        read_source(NAME, root, metadata="2021")


def test_the_second_version_is_not_always_there(chestxray: Make) -> None:
    root = chestxray([xray("a.png")], ["a.png"])
    with pytest.raises(MissingSource, match=r"metadata-2020-04-19\.csv"):
        read_source(NAME, root, metadata="2020-04-19")


def test_films_of_hannover_are_pointed_out(chestxray: Make) -> None:
    url = "https://github.com/ml-workgroup/covid-19-image-repository"
    frame = read_source(NAME, chestxray([xray("b343e657.jpg", url=url), xray("a.png")]))
    assert frame["same_film"].tolist() == ["covid-19-image-repository/b343e657", ""]


@pytest.mark.real_data
def test_real_counts(real_root: Path) -> None:
    frame = read_source(NAME, real_root)
    usable = frame[frame["excluded"] == ""]
    assert len(frame) == 758
    assert (frame["path"] != "").sum() == 707
    assert (usable["source_class"] == "COVID-19").sum() == 411
    assert usable["label"].value_counts().to_dict() == {"covid-19": 423, "pneumonia": 77, "normal": 12}
    assert (frame["same_film"] != "").sum() == 104


@pytest.mark.real_data
def test_real_counts_of_the_version_of_the_paper(real_root: Path) -> None:
    frame = read_source(NAME, real_root, metadata="2020-04-19")
    covid = frame[(frame["source_class"] == "COVID-19") & (frame["modality"] == "X-ray")]
    assert len(frame) == 345
    assert len(covid) == 226
    assert (covid["path"] != "").sum() == 222
    assert (covid["view"] == "L").sum() == 20
    split = covid["patient_id"]
    assert set(split[:180]) & set(split[180:]) == {"covid-chestxray:166"}
