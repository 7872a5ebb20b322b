"""COVID-QU-Ex in both of its layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import MissingSource
from covid_synth_data.sources import covid_qu_ex, load_source, read_source, source_status

from .conftest import grey

FILMS = [
    ("Train", "COVID-19", "covid_2"),
    ("Train", "COVID-19", "covid_10"),
    ("Val", "Normal", "Normal (1)"),
    ("Test", "Non-COVID", "non_COVID (3)"),
]
LABELS = ["covid-19", "covid-19", "normal", "pneumonia"]


def mask(path: Path, size: tuple[int, int] = (12, 10)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size, np.uint8)
    values[2:6, 2:6] = 255
    Image.fromarray(values).convert("1").save(path)


def make(root: Path, apart: bool) -> Path:
    """The set with lung masks of all films and infection masks of COVID-19; masks `apart` or beside."""
    top = root / "COVID-QU-Ex" / "Infection Segmentation Data"
    for number, (part, name, stem) in enumerate(FILMS):
        film = top / "Infection Segmentation Data" / part / name
        grey(film / "images" / f"{stem}.png", number)
        lungs = top / "Lung Masks" / part / name if apart else film
        mask(lungs / "lung masks" / f"{stem}.png")
        if name == "COVID-19":
            infection = top / "Infection Masks" / part / name if apart else film
            mask(infection / "infection masks" / f"{stem}.png")
    return root


@pytest.mark.parametrize("apart", [True, False])
def test_rows(tmp_path: Path, apart: bool) -> None:
    frame = read_source("covid-qu-ex", make(tmp_path, apart))
    assert frame["source_id"].tolist() == [stem for _, _, stem in FILMS]
    assert frame["part"].tolist() == [part for part, _, _ in FILMS]
    assert frame["label"].tolist() == LABELS
    assert set(frame["source_license"]) == {"unknown"}
    assert frame["lung_path"].map(lambda path: Path(path).is_file()).all()
    assert (frame["mask_path"] != "").tolist() == [True, True, False, False]
    assert source_status("covid-qu-ex", tmp_path).images == len(FILMS)


def test_dataset_has_the_masks(tmp_path: Path) -> None:
    rows = load_source("covid-qu-ex", make(tmp_path, apart=True))
    assert tuple(rows.column_names) == schema.MASKED_COLUMNS
    assert np.count_nonzero(np.asarray(rows[0]["mask"])) == 16
    assert rows[0]["lungs"].size == rows[0]["image"].size == (10, 12)
    assert rows[2]["mask"] is None
    assert rows[2]["lungs"] is not None


def test_the_outer_folder_alone_holds_films(tmp_path: Path) -> None:
    film = tmp_path / "COVID-QU-Ex" / "Infection Segmentation Data" / "Train" / "Normal"
    grey(film / "images" / "Normal (7).jpg")
    frame = read_source("covid-qu-ex", tmp_path)
    assert frame[["source_id", "lung_path"]].to_numpy().tolist() == [["Normal (7)", ""]]


def test_no_film(tmp_path: Path) -> None:
    (tmp_path / "COVID-QU-Ex" / "Infection Segmentation Data").mkdir(parents=True)
    with pytest.raises(MissingSource, match=r"covid-qu-ex.*no images"):
        read_source("covid-qu-ex", tmp_path)


@pytest.mark.real_data
def test_real_films_have_masks_of_their_size(real_root: Path) -> None:
    frame = read_source("covid-qu-ex", real_root)
    assert frame["source_class"].value_counts().to_dict() == {
        "COVID-19": 1000,
        "Normal": 936,
        "Non-COVID": 495,
    }
    covid = frame[frame["label"] == "covid-19"].iloc[::200]
    assert (frame["lung_path"] != "").all()
    assert (frame.loc[frame["label"] == "covid-19", "mask_path"] != "").all()
    for row in load_source("covid-qu-ex", real_root).select(covid.index.tolist()):
        assert row["image"].size == row["mask"].size == row["lungs"].size
    assert set(covid_qu_ex.LABELS) == set(frame["source_class"])
