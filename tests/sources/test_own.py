"""Films of the user: declared in TOML or by the convention of ImageFolder, checked, split, benchmarked."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.sources import list_sources, own, read_source, source_status, table
from covid_synth_data.tasks import list_tasks, plan_task
from tests.support import film, tree

TOML = """
name = "my-hospital"
folder = "films"
table = "list.csv"
title = "Films of a hospital"
licence = "CC BY 4.0"

[columns]
file = "path"
label = "finding"
patient = "person"
view = "projection"

[labels]
"COVID" = "covid-19"
"No Finding" = "normal"

[task]
name = "my-task"
"""


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def hospital_rows(folder: Path, count: int = 60) -> list[dict[str, str]]:
    """Films of 30 patients, two each, every third patient with COVID-19."""
    rows = []
    for number in range(count):
        film(folder / f"films/a/{number}.png", 7000 + number)
        patient = number // 2
        finding = "COVID" if patient % 3 == 0 else "No Finding"
        rows.append(
            {"path": f"a/{number}.png", "finding": finding, "person": f"P{patient}", "projection": "PA"}
        )
    return rows


@pytest.fixture
def hospital(tmp_path) -> Path:
    rows = hospital_rows(tmp_path)
    film(tmp_path / "outside.png", 1)
    rows += [
        {"path": "a/none.png", "finding": "COVID", "person": "P1", "projection": "PA"},
        {"path": "../outside.png", "finding": "COVID", "person": "P1", "projection": "PA"},
        {"path": "a/0.png", "finding": "COVID", "person": "P1", "projection": "PA"},
        {"path": "a/1.PNG", "finding": "Fracture", "person": "P1", "projection": "PA"},
    ]
    rows[4]["projection"] = "lateral"
    write_rows(tmp_path / "films/list.csv", rows)
    path = tmp_path / "my-hospital.toml"
    path.write_text(TOML)
    return path


def test_a_declared_source_is_a_source(shell, hospital) -> None:
    done = shell("source", "add", hospital)
    assert "59 usable films of 30 patients" in done.out
    assert "covid-synth tasks my-task" in done.out
    frame = read_source("my-hospital")
    assert frame["excluded"].value_counts().to_dict() == {
        "": 59,
        table.MISSING: 1,
        table.UNSAFE: 1,
        table.DUPLICATE: 1,
        table.NO_LABEL: 1,
        table.LATERAL: 1,
    }
    assert frame["image_id"][0] == "my-hospital/a-0"
    assert set(frame["source_license"]) == {"CC BY 4.0"}
    assert frame["patient_known"].sum() == 64
    rows = csd.load_source("my-hospital")
    assert len(rows) == 59
    assert np.asarray(rows[0]["image"]).shape == (64, 64)
    assert list_sources()[-1].classes == ("normal", "covid-19")
    assert source_status("my-hospital").summary.startswith("60 of 64 images, 59 usable; left out: ")
    assert "my-hospital: Films of a hospital" in shell("sources").out
    assert shell("source", "add", hospital).code == 0  # the same once more
    assert "forgotten" in shell("source", "remove", "my-hospital").out
    shell("source", "remove", "my-hospital").error("unknown source of your own")
    assert "my-hospital" not in [info.name for info in list_sources()]


def test_the_licence_is_that_of_the_film_where_a_column_states_it(shell, hospital, tmp_path) -> None:
    assert shell("source", "add", hospital).code == 0
    assert "licence  CC BY 4.0. Stated by you." in shell("sources").out
    assert shell("source", "remove", "my-hospital").code == 0
    hospital.write_text(TOML.replace('licence = "CC BY 4.0"', ""))
    assert shell("source", "add", hospital).code == 0
    assert "licence  unknown. State it in a column licence" in shell("sources").out
    assert shell("source", "remove", "my-hospital").code == 0
    hospital.write_text(TOML.replace('view = "projection"', 'view = "projection"\nlicence = "person"'))
    assert shell("source", "add", hospital).code == 0
    assert "licence  per image. Stated by you in the column person." in shell("sources").out


def test_films_without_a_usable_label_are_here(shell, hospital, tmp_path) -> None:
    """A film that no task takes is on the disk all the same, and so is one of another view."""
    rows = read_rows(tmp_path / "films/list.csv")
    rows[1]["finding"] = rows[2]["finding"] = "Fracture"
    write_rows(tmp_path / "films/list.csv", rows[:60])
    shell("source", "add", hospital)
    status = source_status("my-hospital")
    assert (status.images, status.expected, status.missing) == (60, 60, 0)
    assert status.summary == "60 of 60 images, 57 usable; left out: 2 no usable label, 1 lateral view"
    assert status.summary in shell("sources").out
    assert read_source("my-hospital").loc[1, "path"].endswith("films/a/1.png")
    # Gone from the disk, it is not here.
    (tmp_path / "films/a/1.png").unlink()
    status = source_status("my-hospital")
    assert (status.images, status.expected, status.missing) == (59, 60, 1)


def test_its_task_is_split_by_patient(shell, hospital) -> None:
    shell("source", "add", hospital)
    assert list_tasks()[-1].name == "my-task"
    splits = csd.load_task("my-task")
    assert sum(splits.num_rows.values()) == 59
    assert not csd.find_leaks(splits)
    parts = [set(rows["patient_id"]) for rows in splits.values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30
    assert plan_task("my-task", seed=1).used["split"].tolist() != plan_task("my-task").used["split"].tolist()
    assert "my-task" in shell("tasks").out
    assert "my-hospital" in shell("tasks", "my-task").out
    shell("mix", "my-task", "--skew", 1, "--synthetic", "nothing").error("unknown config")


def test_stated_parts_are_kept_and_checked(shell, tmp_path) -> None:
    rows = [
        {**row, "part": ("train", "train", "val", "test")[number // 2 % 4]}
        for number, row in enumerate(hospital_rows(tmp_path))
    ]
    toml = TOML.replace('view = "projection"', 'split = "part"')
    (tmp_path / "mine.toml").write_text(toml)
    write_rows(tmp_path / "films/list.csv", rows)
    assert shell("source", "add", tmp_path / "mine.toml").code == 0
    assert csd.load_task("my-task").num_rows == {"train": 32, "validation": 14, "test": 14}
    rows[0]["part"] = "test"  # the other film of this patient stays in train
    write_rows(tmp_path / "films/list.csv", rows)
    shell("tasks", "my-task").error("1 patients are in several of the stated parts")
    rows[0]["part"] = "trian"
    write_rows(tmp_path / "films/list.csv", rows)
    shell("tasks", "my-task").error("unknown part", "did you mean 'train'")


def test_the_same_film_under_two_names_counts_once(shell, hospital, tmp_path) -> None:
    copy = tmp_path / "films/a/7.png"
    copy.write_bytes((tmp_path / "films/a/12.png").read_bytes())
    shell("source", "add", hospital)
    plan = plan_task("my-task")
    assert len(plan.used) == 58
    both = plan.frame[
        plan.frame["source_id"].isin(["a-6", "a-7", "a-12", "a-13"]) & (plan.frame["split"] != "")
    ]
    assert both["split"].nunique() == 1  # the patients are joined


def test_an_image_folder_needs_no_toml(shell, hospital, tmp_path) -> None:
    shell("source", "add", hospital)
    csd.write_image_folder(csd.load_task("my-task"), tmp_path / "Exported Films")
    assert shell("source", "remove", "my-hospital").code == 0
    done = shell("source", "add", tmp_path / "Exported Films")
    assert "source exported-films: 59 usable films of 30 patients" in done.out
    splits = csd.load_task("exported-films-normal-vs-covid")
    assert sum(splits.num_rows.values()) == 59
    frame = read_source("exported-films")
    assert set(frame["stated_split"]) == {"train", "validation", "test"}
    assert set(frame["source_license"]) == {"CC BY 4.0"}


def test_copies_of_own_films_are_refused_in_import(shell, hospital, tmp_path) -> None:
    shell("source", "add", hospital)
    (tmp_path / "made").mkdir()
    (tmp_path / "made/x.png").write_bytes((tmp_path / "films/a/3.png").read_bytes())
    (tmp_path / "root").mkdir()
    where = ("-o", tmp_path / "rel", "--root", tmp_path / "root")
    done = shell("import", tmp_path / "made", *where, "--config", "mine", "--label", "covid-19")
    done.error("copies of real films", "my-hospital/a-3")


def test_a_copy_of_an_own_film_without_a_usable_label_is_one_too(shell, hospital, tmp_path) -> None:
    rows = read_rows(tmp_path / "films/list.csv")
    rows[3]["finding"] = "Fracture"
    write_rows(tmp_path / "films/list.csv", rows)
    assert "no usable label" in shell("source", "add", hospital).out
    (tmp_path / "made").mkdir()
    (tmp_path / "made/x.png").write_bytes((tmp_path / "films/a/3.png").read_bytes())
    (tmp_path / "root").mkdir()
    where = ("-o", tmp_path / "rel", "--root", tmp_path / "root")
    done = shell("import", tmp_path / "made", *where, "--config", "mine", "--label", "covid-19")
    done.error("copies of real films", "my-hospital/a-3")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('name = "my-hospital"', 'name = "rsna"'), ("'rsna' is taken",)),
        (('name = "my-task"', 'name = "normal-vs-covid"'), ("'normal-vs-covid' is taken",)),
        (('name = "my-hospital"', 'name = "../x"'), ("wrong value for 'name'",)),
        (('"covid-19"', '"covid19"'), ("unknown label", "did you mean 'covid-19'")),
        (('file = "path"', 'file = "file"'), ("0 columns named 'file'", "leave out the columns")),
        (('folder = "films"', 'folder = "fims"'), ("no folder",)),
        (("licence =", "license ="), ("did you mean 'licence'",)),
        (('"COVID"', '"Corona"'), ()),
    ],
)
def test_mistakes_declare_nothing(shell, hospital, change, words, tmp_path) -> None:
    hospital.write_text(TOML.replace(*change))
    before = tree(tmp_path)
    done = shell("source", "add", hospital)
    if not words:  # a label that no film has is no mistake
        assert done.code == 0
        return
    done.error(*words)
    assert own.declared() == {}
    assert tree(tmp_path) == before


def test_labels_of_a_folder_must_be_known(shell, tmp_path) -> None:
    film(tmp_path / "f/1.png", 1)
    write_rows(tmp_path / "f/metadata.csv", [{"file_name": "1.png", "label": "covid-91"}])
    shell("source", "add", tmp_path / "f").error("unknown label", "did you mean 'covid-19'")
    film(tmp_path / "g/1.png", 1)
    shell("source", "add", tmp_path / "g").error("metadata.csv")


def test_another_declaration_of_a_name_is_refused(shell, hospital) -> None:
    shell("source", "add", hospital)
    hospital.write_text(TOML.replace("Films of a hospital", "Others"))
    shell("source", "add", hospital).error("declared already, in another way")


def test_a_folder_that_is_gone(shell, hospital, tmp_path) -> None:
    shell("source", "add", hospital)
    (tmp_path / "films").rename(tmp_path / "elsewhere")
    assert "unreadable" in source_status("my-hospital").summary
    shell("tasks", "my-task").error("no folder")


def test_the_suite_of_the_page_takes_the_task(shell, hospital, tmp_path) -> None:
    """The suite that the page shows runs, made small."""
    pytest.importorskip("torch")
    from covid_synth_data.benchmark import results

    shell("source", "add", hospital)
    page = (Path(__file__).parents[2] / "docs/how-to/your-own-films.md").read_text(encoding="utf-8")
    (suite,) = re.findall(r"```toml\n(# my-suite.toml\n.*?)```", page, re.DOTALL)
    for old, new in (
        ("image_size = 224", "image_size = 64"),
        ("max_epochs = 200", "max_epochs = 1"),
        ("[models.lite0-frozen]", '[models.small-cnn]\nweights = "none"'),
        ('models = ["lite0-frozen"]', 'models = ["small-cnn"]'),
    ):
        assert old in suite
        suite = suite.replace(old, new)
    (tmp_path / "mine.toml").write_text(suite)
    out = tmp_path / "results"
    arguments = ("--regime", "real", "--seeds", 1, "--out", out)
    done = shell("benchmark", "run", tmp_path / "mine.toml", *arguments)
    assert "1 result files" in done.out
    (path,) = out.rglob("*.json")
    result = results.validate_result(path)
    assert {row.image_id.partition("/")[0] for row in result.predictions} == {"my-hospital"}
    assert (result.task, result.protocol) == ("my-task", "own")


def test_patients_that_look_alike_are_told_of(shell, hospital) -> None:
    """Four of them count as one, so that their films move together."""
    assert shell("source", "add", hospital).code == 0
    assert not any("look alike" in note for note in plan_task("my-task", None).notes)
    for number in range(0, 10, 2):
        film(hospital.parent / f"films/a/{number}.png", 1, side=64 + number)
    note = next(note for note in plan_task("my-task", None).notes if "look alike" in note)
    assert note == (
        "films of several of the 30 patients look alike: they count as 27 patients, the largest with 4 films"
    )


def test_an_empty_view_is_not_taken_for_frontal_and_add_says_so(shell, hospital, tmp_path) -> None:
    rows = read_rows(tmp_path / "films/list.csv")[:60]
    rows[0]["projection"] = ""
    write_rows(tmp_path / "films/list.csv", rows)
    done = shell("source", "add", hospital)
    assert "1 left out: view not stated" in done.out
    assert "or leave the column out" in done.out
    assert shell("source", "remove", "my-hospital").code == 0
    write_rows(tmp_path / "films/list.csv", [{**row, "projection": ""} for row in rows])
    shell("source", "add", hospital).error("60 view not stated", "or leave the column out")
    hospital.write_text(TOML.replace('view = "projection"', ""))
    assert "60 usable films" in shell("source", "add", hospital).out


def test_a_folder_without_a_table(shell, tmp_path) -> None:
    film(tmp_path / "films/a.png", 1)
    shell("source", "add", tmp_path / "films").error(
        "metadata.csv", "name the table and its columns in a TOML"
    )
