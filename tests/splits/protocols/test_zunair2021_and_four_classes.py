"""The protocol zunair2021, and the tasks of four classes: hussain2022 and menon2020."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from covid_synth_data import find_leaks
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, TaskError
from covid_synth_data.sources import rsna
from covid_synth_data.tasks import plan_task, to_splits
from tests.splits.protocols.plans import TASK, needs_labels, plan, reasons
from tests.trees import CHESTXRAY, chestxray, film, radiography, retouched, save, write_csv, xray

# zunair2021


def paper_tree(root: Path, files: int = 0) -> Path:
    """A covid-chestxray of 2020-04-19 with 226 X-rays between other rows; patient 166 on both sides."""
    rows = []
    for n in range(226):
        patient = 166 if n in (175, 190) else 1000 + n
        rows.append(xray(f"c{n:03d}.png", patient, view="L" if n % 11 == 10 else "PA"))
        if n % 3 == 0:
            rows.append(xray(f"ct{n}.png", 3000 + n, modality="CT", view="Axial"))
            rows.append(xray(f"o{n}.png", 4000 + n, finding="SARS"))
            rows.append(xray(f"a{n}.png", 5000 + n, finding="COVID-19, ARDS"))
    folder = root / "covid-chestxray-dataset"
    write_csv(folder / "metadata-2020-04-19.csv", CHESTXRAY, rows)
    (folder / "images").mkdir()
    for n in range(files):
        save(folder / "images" / f"c{n:03d}.png", n, 16)
    return root


@needs_labels
@pytest.mark.parametrize(
    ("task", "label", "train", "test"),
    [(TASK, "normal", 16_537, 4_135), ("pneumonia-vs-covid", "pneumonia", 4_758, 1_254)],
)
def test_the_counts_of_the_paper_from_metadata_alone(
    tmp_path: Path, task: str, label: str, train: int, test: int
) -> None:
    found = plan_task(task, paper_tree(tmp_path), "zunair2021")
    assert found.counts() == {"train": {label: train, "covid-19": 180}, "test": {label: test, "covid-19": 46}}
    covid = found.frame[found.frame["label"] == "covid-19"]
    assert covid["source_id"].tolist() == [f"c{n:03d}" for n in range(226)]
    assert covid["published"].tolist() == ["train"] * 180 + ["test"] * 46
    assert int((covid["view"] == "L").sum()) == 20
    assert "laterals of the original kept: 20 of 226 COVID-19 films" in found.notes
    assert "leak of the original kept: covid-chestxray patient 166 is in train and in test" in found.notes
    assert len(found.used) == 0
    assert set(found.left_out["reason"]) == {"image file missing"}
    negatives = found.frame[found.frame["label"] == label]
    assert not negatives["image_id"].duplicated().any()
    assert f"train     180 covid-19, {train:,} {label}" in found.report()
    with pytest.raises(EmptySplit, match="image file missing"):
        to_splits(found)


@pytest.mark.usefixtures("few_rsna")
def test_zunair2021_keeps_its_leak_and_the_check_finds_it(tmp_path: Path) -> None:
    paper_tree(tmp_path, files=226)
    for n in range(6):
        save(tmp_path / "rsna" / "stage_2_train_images" / f"r{n}.png", 400 + n)
    found = plan_task(TASK, tmp_path, "zunair2021")
    covid = found.used[found.used["label"] == "covid-19"]
    assert len(covid) == 226
    assert set(covid["view"]) == {"L", "PA"}
    leaked = covid[covid["patient_id"] == "covid-chestxray:166"]
    assert leaked["split"].tolist() == ["train", "test"]
    assert covid["split"].value_counts().to_dict() == {"train": 162, "test": 46, "validation": 18}
    assert (covid.loc[covid["split"] == "validation", "published"] == "train").all()
    other = plan_task(TASK, tmp_path, "zunair2021", seed=1).used
    assert set(other.loc[other["split"] == "test", "image_id"]) == set(
        found.used.loc[found.used["split"] == "test", "image_id"]
    )
    assert set(other.loc[other["split"] == "validation", "image_id"]) != set(
        found.used.loc[found.used["split"] == "validation", "image_id"]
    )
    # Of six normals four are trained on, too few for one to be carved off for validation.
    with pytest.raises(EmptySplit, match="the validation part of normal-vs-covid"):
        to_splits(found)


def test_zunair2021_refuses_what_it_fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paper_tree(tmp_path)
    with pytest.raises(ConfigError, match="zunair2021 fixes its sources.*found kermany"):
        plan_task(TASK, tmp_path, "zunair2021", sources=["kermany"])
    with pytest.raises(ConfigError, match="films of any licence"):
        plan_task(TASK, tmp_path, "zunair2021", licences="permissive")
    with pytest.raises(MissingSource, match="covid-chestxray, rsna are not there"):
        plan_task(TASK, (tmp_path / "empty").mkdir() or tmp_path / "empty", "zunair2021")
    mixed = pd.DataFrame({"patientId": list("aabcba"), "Target": 1})
    monkeypatch.setattr(rsna, "label_rows", lambda: mixed)
    with pytest.raises(TaskError, match="not those of the paper"):
        plan_task("pneumonia-vs-covid", tmp_path, "zunair2021")


# four classes


def viral_and_opaque(root: Path, opaque: int = 24) -> Path:
    """radiography with 60 COVID, 40 Normal, 30 Viral Pneumonia and some Lung_Opacity films."""
    radiography(root, range(60), "COVID", first=1)
    radiography(root, range(100, 140))
    radiography(root, range(200, 230), "Viral Pneumonia", first=1)
    radiography(root, range(300, 300 + opaque), "Lung_Opacity", first=1)
    return root


def test_hussain2022_is_eighty_to_twenty_in_each_class(tmp_path: Path) -> None:
    found = plan_task("four-class-hussain", viral_and_opaque(tmp_path))
    assert found.protocol == "hussain2022"
    assert found.classes == found.task.classes
    assert found.counts() == {
        "train": {"normal": 29, "lung-opacity": 17, "viral-pneumonia": 22, "covid-19": 43},
        "validation": {"normal": 3, "lung-opacity": 2, "viral-pneumonia": 2, "covid-19": 5},
        "test": {"normal": 8, "lung-opacity": 5, "viral-pneumonia": 6, "covid-19": 12},
    }
    assert len(found.left_out) == 0
    splits = to_splits(found)
    assert splits["test"].features["label"].names == list(found.task.classes)
    assert not find_leaks(splits)
    other = plan_task("four-class-hussain", tmp_path, seed=1).frame
    assert tuple(other["split"]) != tuple(found.frame["split"])


def test_hussain2022_keeps_twins_on_one_side_and_under_one_name(tmp_path: Path) -> None:
    viral_and_opaque(tmp_path)
    folder = tmp_path / "COVID-19_Radiography_Dataset" / "COVID" / "images"
    for n in range(2, 12):
        retouched(film(0, 64), ("brighter", "contrast")[n % 2]).save(folder / f"COVID-{n}.png")
    for seed in range(4):
        frame = plan(tmp_path, "four-class-hussain", seed=seed)
        twins = frame.loc[[f"radiography/COVID-{n}" for n in range(1, 12)]]
        assert twins["split"].nunique() == 1
        assert (twins["reason"] == "").all()
        assert set(twins["patient_id"]) == {"radiography:film-COVID-1"}
        assert set(frame.groupby("patient_id")["split"].nunique()) == {1}


def test_hussain2022_leaves_out_films_under_two_classes(tmp_path: Path) -> None:
    viral_and_opaque(tmp_path)
    folder = tmp_path / "COVID-19_Radiography_Dataset"
    retouched(film(3, 64), "contrast").save(folder / "Lung_Opacity" / "images" / "Lung_Opacity-5.png")
    assert reasons(plan(tmp_path, "four-class-hussain")) == {
        f"radiography/{name}": "same film under two classes" for name in ("COVID-4", "Lung_Opacity-5")
    }


def test_hussain2022_does_without_a_class_that_is_missing_and_says_so(tmp_path: Path) -> None:
    found = plan_task("four-class-hussain", viral_and_opaque(tmp_path, opaque=0))
    assert found.classes == ("normal", "viral-pneumonia", "covid-19")
    assert len(found.task.classes) == 4
    (note,) = [note for note in found.notes if note.startswith("LEFT OUT")]
    assert "lung-opacity" in note
    assert "3 classes of 4" in note
    splits = to_splits(found)
    assert splits["train"].features["label"].names == list(found.classes)
    assert {code for part in splits.values() for code in part["label"]} == {0, 1, 2}
    shutil.rmtree(tmp_path / "COVID-19_Radiography_Dataset" / "COVID")
    with pytest.raises(
        MissingSource, match="no usable lung-opacity and no covid-19 film; found normal, viral"
    ):
        plan_task("four-class-hussain", tmp_path)
    with pytest.raises(ConfigError, match="hussain2022 fixes its sources; found rsna"):
        plan_task("four-class-hussain", tmp_path, sources=["rsna"])


def menon_tree(root: Path) -> Path:
    """24 COVID-19 films of 12 patients, 12 films of each kind of children; one film states no kind."""
    chestxray(root, [(n, xray(f"c{n:02d}.png", n // 2)) for n in range(24)])
    folder = root / "chest_xray" / "train"
    for n in range(12):
        save(folder / "NORMAL" / f"IM-{n:04d}-0001.jpeg", 1000 + n, 64)
        save(folder / "PNEUMONIA" / f"person{n}_bacteria_{n}.jpeg", 2000 + n, 64)
        save(folder / "PNEUMONIA" / f"person{n + 50}_virus_{n}.jpeg", 3000 + n, 64)
    save(folder / "PNEUMONIA" / "scan.jpeg", 4000, 64)
    return root


def test_four_classes_are_held_out_as_in_the_binary_tasks(tmp_path: Path) -> None:
    menon_tree(tmp_path)
    four = plan_task("four-class-menon", tmp_path)
    assert four.protocol == "menon2020"
    assert four.counts()["test"] == {
        "normal": 4,
        "bacterial-pneumonia": 4,
        "viral-pneumonia": 4,
        "covid-19": 8,
    }
    mine = four.frame.set_index("image_id")
    for task in (TASK, "pneumonia-vs-covid"):
        both = plan(tmp_path, task, protocol="menon2020")
        assert (both["split"] == mine.loc[both.index, "split"]).all()
    assert reasons(mine) == {"kermany/scan": "unknown file name"}
    assert not find_leaks(to_splits(four))


def test_a_film_of_two_kinds_of_pneumonia_is_left_out_of_the_task_with_kinds_alone(tmp_path: Path) -> None:
    folder = menon_tree(tmp_path) / "chest_xray" / "train" / "PNEUMONIA"
    shutil.copy(folder / "person4_bacteria_4.jpeg", folder / "person57_virus_7.jpeg")
    binary = plan(tmp_path, "pneumonia-vs-covid", protocol="menon2020")
    names = ["kermany/person4_bacteria_4", "kermany/person57_virus_7"]
    assert binary.loc[names, "reason"].tolist() == ["", "same film as one kept from kermany"]
    four = plan(tmp_path, "four-class-menon")
    assert set(four.loc[names, "reason"]) == {"same film under two classes"}
    assert set(four.loc[names, "split"]) == {""}
    others = binary.index.drop(names)
    assert (four.loc[others, "split"] == binary.loc[others, "split"]).all()
