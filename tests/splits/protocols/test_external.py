"""The protocol external: trained on one collection, tested on another, nothing of the one in the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource
from covid_synth_data.sources import rsna
from covid_synth_data.splits import duplicates
from covid_synth_data.splits.protocols.external import SHARED
from covid_synth_data.tasks import check_leaks, load_task, near_duplicates, plan_task, to_splits
from tests.support import thinned
from tests.trees import chestxray, film, kermany, radiography, repository, retouched, save, usual, xray

TASK = "covid-external"
FIRST = 2000
PHANTOM: dict[str, Any] = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 9}}


@pytest.fixture(autouse=True)
def _forty_rsna(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_data" not in request.keywords:
        names = pd.DataFrame({"patientId": [f"r{n}" for n in range(40)], "Target": [0] * 30 + [1] * 10})
        monkeypatch.setattr(rsna, "label_rows", lambda: names)
        headers = {f"r{n}": {"PatientAge": "50", "ViewPosition": "PA"} for n in range(40)}
        monkeypatch.setattr(rsna, "_headers", lambda: headers)


def covid(root: Path, number: int) -> Path:
    return root / "COVID-19_Radiography_Dataset" / "COVID" / "images" / f"COVID-{number}.png"


def filled(root: Path) -> Path:
    """The usual tree, and 30 COVID-19 films of radiography, some of which are in use elsewhere."""
    usual(root)
    radiography(root, range(7000, 7030), "COVID", first=FIRST)
    images = {
        FIRST + 1: film(1005),  # a COVID-19 film of covid-chestxray
        FIRST + 2: film(2000),  # its lateral film
        FIRST + 3: film(10),  # of covid-19-image-repository
        FIRST + 4: film(5003),  # a normal of radiography
        FIRST + 5: film(7006),  # a twin of the next
    }
    for number, image in images.items():
        retouched(image.resize((64, 64)), "brighter").save(covid(root, number))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that tests only read."""
    return filled(tmp_path_factory.mktemp("external"))


def frame_of(root: Path | None, task: str = TASK, **options: Any) -> pd.DataFrame:
    return plan_task(task, root, **options).frame.set_index("image_id", drop=False)


def test_who_is_trained_and_tested_on(root: Path) -> None:
    splits = load_task(TASK, root)
    check_leaks(splits)
    sources = {
        (name, label): set(rows["source_dataset"])
        for name, part in splits.items()
        for label, rows in part.remove_columns("image").to_pandas().groupby("label")
    }
    assert sources == {
        ("train", 0): {"radiography"},
        ("train", 1): {"covid-chestxray"},
        ("validation", 0): {"radiography"},
        ("validation", 1): {"covid-chestxray"},
        ("test", 0): {"radiography"},
        ("test", 1): {"radiography"},
    }
    assert all(part.features["label"].names == ["normal", "covid-19"] for part in splits.values())
    assert all(
        "COVID" in name
        for name, label in zip(splits["test"]["image_id"], splits["test"]["label"], strict=True)
        if label == 1
    )


def test_tested_films_are_in_use_nowhere_else(root: Path) -> None:
    frame = frame_of(root)
    tested = frame[(frame["split"] == "test") & (frame["class"] == "covid-19")]
    assert set(tested["source_dataset"]) == {"radiography"}
    assert len(tested) == 25
    reasons = frame["reason"]
    assert {n: reasons[f"radiography/COVID-{FIRST + n}"] for n in range(1, 7)} == {
        1: "looks like a film of covid-chestxray",
        2: "looks like a film of covid-chestxray",
        3: "looks like a film of covid-19-image-repository",
        4: "looks like a film of radiography",
        5: "",
        6: "same film as one kept from radiography",
    }
    everywhere = near_duplicates(*(to_splits(plan_task(TASK, root))[name] for name in ("train", "test")))
    assert everywhere == []


@pytest.mark.parametrize("seed", [0, 3])
def test_normals_are_in_the_part_they_have_in_clean(root: Path, seed: int) -> None:
    mine, clean = frame_of(root, seed=seed), frame_of(root, "normal-vs-covid", seed=seed)
    normals = mine[(mine["class"] == "normal") & (mine["split"] != "")]
    assert (normals["split"] == clean.loc[normals.index, "split"]).all()
    adults = clean[(clean["label"] == "normal") & (clean["source_dataset"] == "radiography")]
    assert len(normals) == (adults["split"] != "").sum() == 100
    # Who validates here was not learned from by a generator that was trained on the training films of clean.
    validates = mine[(mine["class"] == "covid-19") & (mine["split"] == "validation")].index
    assert set(clean.loc[validates, "split"]) == {"validation"}
    trained = mine[(mine["class"] == "covid-19") & (mine["split"] == "train")]
    assert len(trained) + len(validates) == 50
    assert set(mine[mine["split"] != ""].groupby("patient_id")["split"].nunique()) == {1}


def test_films_of_covid_chestxray_that_clean_keeps_from_elsewhere_are_trained_on(tmp_path: Path) -> None:
    filled(tmp_path)
    images = tmp_path / "covid-chestxray-dataset" / "images"
    for name in ("c006.png", "c010.png"):  # of patients 3 and 5
        film(20).save(images / name)  # which is also in covid-19-image-repository
    frame, clean = frame_of(tmp_path), frame_of(tmp_path, "normal-vs-covid")
    gone = "same film as one kept from covid-19-image-repository"
    assert set(clean.loc[["covid-chestxray/c006", "covid-chestxray/c010"], "reason"]) == {gone}
    assert frame.loc["covid-chestxray/c006", "reason"] == ""
    assert frame.loc["covid-chestxray/c010", "reason"] == "same film as one kept from covid-chestxray"
    rows = [f"covid-chestxray/c{n:03d}" for n in (6, 7, 11)]
    assert frame.loc[rows, "split"].nunique() == 1
    other = frame.loc["covid-19-image-repository/h020"]
    assert (other["split"], other["reason"]) == ("", "external trains on covid-chestxray alone")


def test_numbers_among_which_copies_stand_are_not_tested_on(tmp_path: Path) -> None:
    filled(tmp_path)
    for n, number in enumerate((1, SHARED, SHARED + 1)):
        save(covid(tmp_path, number), 8000 + n, 64)
    save(covid(tmp_path, 1).with_name("COVID (7).png"), 8100, 64)
    frame = frame_of(tmp_path)
    numbered = "numbered up to 1,900, among copies of films of covid-chestxray and covid-19-image-repository"
    assert [frame.loc[f"radiography/COVID-{n}", "reason"] for n in (1, SHARED, SHARED + 1)] == [
        numbered,
        numbered,
        "",
    ]
    unnamed = frame.loc["radiography/COVID (7)", "reason"]
    assert unnamed == "file name does not tell where the film is from"


def test_films_that_look_like_one_patients_carry_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path)
    monkeypatch.setattr(duplicates, "SAME_FILM", 0.9999)
    monkeypatch.setattr(duplicates, "SAME_PATIENT", 0.9)
    frame = frame_of(tmp_path)
    pair = frame.loc[[f"radiography/COVID-{FIRST + n}" for n in (5, 6)]]
    assert set(pair["split"]) == {"test"}
    assert set(pair["patient_id"]) == {f"radiography:film-COVID-{FIRST + 5}"}


def test_rsna_films_take_the_place_of_those_in_radiography(tmp_path: Path) -> None:
    filled(tmp_path)
    for n in range(30):
        save(tmp_path / "rsna" / "stage_2_train_images" / f"r{n}.png", 400 + n)
    used = plan_task(TASK, tmp_path).used
    assert Counter(used.loc[used["class"] == "normal", "source_dataset"]) == {"rsna": 30}
    assert set(used.loc[used["class"] == "normal", "split"]) == {"train", "validation", "test"}


def test_normals_of_other_sets_are_left_out(tmp_path: Path) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(12)])
    healthy = [(50 + n, xray(f"n{n}.png", 60 + n, finding="No Finding")) for n in range(3)]
    chestxray(tmp_path, [*((100 + n, xray(f"c{n}.png", n)) for n in range(20)), *healthy])
    radiography(tmp_path, range(200, 230))
    radiography(tmp_path, range(300, 310), "COVID", first=FIRST)
    plan = plan_task(TASK, tmp_path)
    left = plan.left_out.groupby("reason").size().to_dict()
    assert left["external takes normals of the RSNA alone"] == 3
    assert left["external trains on covid-chestxray alone"] == 12
    assert [note for note in plan.notes if note.startswith("normals are the RSNA part of radiography")]
    assert [note for note in plan.notes if "no patient ids: those that look alike count as one's" in note]


def test_what_must_be_there(tmp_path: Path) -> None:
    def refused(text: str) -> None:
        with pytest.raises(MissingSource, match=text):
            plan_task(TASK, tmp_path)

    chestxray(tmp_path, [(n, xray(f"c{n}.png", n)) for n in range(12)])
    kermany(tmp_path, range(100, 110))
    refused("COVID-19 films of radiography, to test on")
    radiography(tmp_path, range(300, 310), "COVID", first=FIRST)
    refused("normals of the RSNA")
    radiography(tmp_path, range(400, 410))
    plan_task(TASK, tmp_path)
    chestxray(tmp_path, [(n, xray(f"c{n}.png", n, finding="SARS")) for n in range(12)])
    refused("frontal COVID-19 films of covid-chestxray, to train on")


def test_sources_and_licences(root: Path) -> None:
    with pytest.raises(ConfigError, match="external fixes its sources; found radiography"):
        plan_task(TASK, root, sources=["radiography"])
    with pytest.raises(EmptySplit, match="the test part .* has no covid-19 film; found .*licence"):
        load_task(TASK, root, licences="permissive")


def test_phantoms_are_split_as_by_clean() -> None:
    mine = plan_task(TASK, seed=2, **PHANTOM).frame
    clean = plan_task("normal-vs-covid", seed=2, **PHANTOM).frame
    assert mine.equals(clean)
    check_leaks(load_task(TASK, **PHANTOM))


@pytest.mark.real_data
@pytest.mark.slow
def test_external_on_the_real_sets(real_root: Path) -> None:
    plan = plan_task(TASK, real_root)
    found = plan.used.groupby(["split", "class"]).size()
    assert 1_500 < found["test", "covid-19"] < 1_716
    assert 1_700 < found["test", "normal"] < 1_800
    assert 400 < found["train", "covid-19"] + found["validation", "covid-19"] <= 423
    assert found["validation", "covid-19"] > 20
    clean = plan_task("normal-vs-covid", real_root).frame.set_index("image_id")["split"]
    normals = plan.used[plan.used["class"] == "normal"]
    assert (normals["split"] == clean[normals["image_id"]].to_numpy()).all()
    splits = to_splits(plan)
    check_leaks(thinned(splits))
    covid_test = splits["test"].filter(lambda n: n == 2, input_columns="label", load_from_cache_file=False)
    for name in ("train", "validation"):
        part = splits[name].filter(lambda n: n == 2, input_columns="label", load_from_cache_file=False)
        assert near_duplicates(part, covid_test, duplicates.SAME_PATIENT) == []
