"""tasks: what a user gets, the report, and the check for leaks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_synth_data import find_leaks, list_tasks, load_task, mix, schema
from covid_synth_data.errors import BadImage, ConfigError, LeakError
from covid_synth_data.sources import rsna
from covid_synth_data.tasks import check_leaks, near_duplicates, plan_task, to_splits
from tests.trees import film, radiography, repository, retouched, usual

TASK = "normal-vs-covid"
SOURCES = ["covid-19-image-repository", "covid-chestxray", "radiography"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual tree; tests only read it."""
    return usual(tmp_path_factory.mktemp("usual"))


@pytest.fixture
def splits(root: Path) -> datasets.DatasetDict:
    return load_task(TASK, root, sources=SOURCES)


def synthetic(real: datasets.Dataset, count: int = 3) -> datasets.Dataset:
    """Rows as a release has them, made from the first films of `real`."""
    rows: dict[str, list[Any]] = {name: [] for name in schema.SYNTHETIC_COLUMNS}
    for n, source in enumerate(real.select(range(count)).remove_columns("image")):
        buffer = io.BytesIO()
        film(90_000 + n).save(buffer, "PNG")
        mine = {"image": {"bytes": buffer.getvalue(), "path": None}, "image_id": f"gnc-{n}", "seed": n}
        mine |= {"label": schema.COVID, "subset": "gnc", "generator": "cyclegan-unet.nc", "variant": "full"}
        for name in schema.SYNTHETIC_COLUMNS:
            rows[name].append(mine.get(name, source.get(name)))
    return datasets.Dataset.from_dict(rows, features=schema.features(schema.SYNTHETIC_COLUMNS))


def test_the_tasks() -> None:
    tasks = {task.name: task for task in list_tasks()}
    assert {name: task.classes for name, task in tasks.items()} == {
        "normal-vs-covid": ("normal", "covid-19"),
        "pneumonia-vs-covid": ("pneumonia", "covid-19"),
        "four-class-menon": ("normal", "bacterial-pneumonia", "viral-pneumonia", "covid-19"),
        "four-class-hussain": ("normal", "lung-opacity", "viral-pneumonia", "covid-19"),
        "covid-external": ("normal", "covid-19"),
        "covid-vs-other": ("other-finding", "covid-19"),
        "opacity-vs-normal": ("normal", "opacity"),
    }
    assert {task.positive for task in tasks.values()} == {"covid-19", "opacity"}
    assert tasks[TASK].negative == "normal"
    assert tasks[TASK].protocols == ("clean", "zunair2021", "menon2020")
    assert tasks["four-class-hussain"].negatives == ("normal", "lung-opacity", "viral-pneumonia")
    with pytest.raises(ConfigError, match="four-class-menon has several negative classes"):
        _ = tasks["four-class-menon"].negative


PHANTOM: dict[str, Any] = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 8}}


def test_every_task_runs_on_phantoms_by_each_of_its_protocols() -> None:
    for task in list_tasks():
        for protocol in task.protocols:
            if protocol == "zunair2021":
                continue  # which takes no phantoms
            plan = plan_task(task.name, protocol=protocol, **PHANTOM)
            assert plan.classes == task.classes
            assert set(plan.frame["class"]) == set(task.classes)
            splits = to_splits(plan)
            check_leaks(splits, pixels=False)
            for name, part in splits.items():
                names = part.features["label"].names
                assert names == list(task.classes)
                assert set(part["label"]) == set(range(len(names)))
                rows = plan.used[plan.used["split"] == name]
                assert [names[code] for code in part["label"]] == rows["class"].tolist()
                assert set(rows["class"]) == set(task.classes)
    report = plan_task("four-class-menon", **PHANTOM).report()
    assert "train       bacterial-pneumonia  phantom " in report


def test_a_task_is_split_by_its_own_protocols_the_first_by_default() -> None:
    for task in list_tasks():
        assert plan_task(task.name, **PHANTOM).protocol == task.protocols[0]
    with pytest.raises(
        ConfigError, match="four-class-menon is not split that way; found protocol clean; expected menon2020"
    ):
        plan_task("four-class-menon", protocol="clean", **PHANTOM)
    with pytest.raises(ConfigError, match="expected clean or zunair2021 or menon2020"):
        load_task(TASK, protocol="external", **PHANTOM)


def test_load_task(splits: datasets.DatasetDict, root: Path) -> None:
    assert list(splits) == ["train", "validation", "test"]
    assert sum(map(len, splits.values())) == 210
    for part in splits.values():
        label = datasets.ClassLabel(names=["normal", "covid-19"])
        assert part.features == {**schema.features(schema.REAL_COLUMNS), "label": label}
        assert set(part["label"]) == {0, 1}
    row = splits["train"][0]
    assert isinstance(row["image"], Image.Image)
    cell = splits["train"].cast_column("image", datasets.Image(decode=False))[0]["image"]
    assert cell["bytes"] is None
    assert Path(cell["path"]).is_relative_to(root)
    with Image.open(cell["path"]) as direct:
        assert np.array_equal(np.asarray(row["image"]), np.asarray(direct))
    found = plan_task(TASK, root, sources=SOURCES)
    for name, part in to_splits(found).items():
        assert part["image_id"][:] == splits[name]["image_id"][:]


def test_files_that_go_after_the_split_are_noticed_when_read(tmp_path: Path) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(12)])
    radiography(tmp_path, range(100, 112))
    splits = load_task(TASK, tmp_path, sources=SOURCES)
    for path in (tmp_path / "covid-19-image-repository" / "png").iterdir():
        path.unlink()
    with pytest.raises(BadImage, match=r"cannot read .*h\d+\.png; found no such file"):
        find_leaks(splits)
    assert not find_leaks(splits, pixels=False)


def test_report(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsna, "label_rows", lambda: pd.DataFrame({"patientId": ["a", "b"], "Target": [0, 1]}))
    monkeypatch.setattr(rsna, "_headers", dict)
    found = plan_task(TASK, root)
    text = found.report()
    lines = text.splitlines()
    assert lines[0] == "normal-vs-covid, protocol clean, seed 0"
    train = next(line.split() for line in lines if line.startswith("train") and "repository" in line)
    assert train == ["train", "covid-19", "covid-19-image-repository", "42", "21"]
    for line in (
        "1  covid-chestxray: lateral view",
        "1  covid-chestxray: CT, not a radiograph",
        "1  rsna: image file missing",
        "note: kermany is not in the root",
    ):
        assert line in text
    assert max(map(len, (line for line in lines if not line.startswith("note")))) < 100
    films = sum(
        int(line.split()[-2].replace(",", ""))
        for line in lines
        if line.startswith(("train", "valid", "test"))
    )
    assert films == len(found.used) == sum(sum(labels.values()) for labels in found.counts().values())
    alone = plan_task(TASK, root, sources=["covid-19-image-repository", "radiography"])
    assert "left out:\n  nothing" in alone.report()


# leaks


def test_a_clean_split_has_no_leak(splits: datasets.DatasetDict) -> None:
    leaks = find_leaks(splits)
    assert not leaks
    assert leaks.found == {}
    assert leaks.summary() == ""
    check_leaks(splits)


def test_a_patient_on_both_sides(splits: datasets.DatasetDict) -> None:
    test = splits["test"].to_list()
    patient = splits["train"]["patient_id"][0]
    test[0]["patient_id"] = patient
    changed = datasets.Dataset.from_list(test, features=splits["test"].features)
    leaks = find_leaks({"train": splits["train"], "test": changed})
    assert leaks.found == {("train", "test"): {"patients": [patient]}}
    assert leaks.summary() == f"train and test share 1 patients (e.g. {patient})"
    with pytest.raises(LeakError, match=f"found train and test share 1 patients .*{patient}") as caught:
        check_leaks({"train": splits["train"], "test": changed})
    assert "\n" not in str(caught.value)


def test_the_same_file_under_another_name(splits: datasets.DatasetDict) -> None:
    raw = splits["test"].cast_column("image", datasets.Image(decode=False)).to_list()
    source = splits["train"].cast_column("image", datasets.Image(decode=False))[0]
    raw[0]["image"] = {"bytes": Path(source["image"]["path"]).read_bytes(), "path": "another.png"}
    parts = {
        "train": splits["train"],
        "test": datasets.Dataset.from_list(raw, features=splits["test"].features),
    }
    names = f"{source['image_id']} = {raw[0]['image_id']}"
    assert find_leaks(parts).found == {("train", "test"): {"equal files": [names]}}
    assert not find_leaks(parts, pixels=False)


def test_the_same_row_in_two_parts(splits: datasets.DatasetDict) -> None:
    both = datasets.concatenate_datasets([splits["train"], splits["test"].select([0])])
    found = find_leaks({"train": both, "validation": splits["validation"], "test": splits["test"]}).found
    assert set(found) == {("train", "test")}
    assert set(found["train", "test"]) == {"rows", "patients", "source films", "equal files"}
    assert find_leaks({"train": both}).found == {}


@pytest.mark.parametrize("mixed", [False, True])
def test_a_synthetic_row_counts_for_the_film_it_was_made_from(
    splits: datasets.DatasetDict, mixed: bool
) -> None:
    for part, leaks in (("train", False), ("test", True)):
        made = synthetic(splits[part])
        train = mix(splits["train"], made, synthetic_count=len(made)) if mixed else made
        report = find_leaks({"train": train, "test": splits["test"]})
        assert bool(report) == leaks
        if leaks:
            films = sorted(splits["test"]["image_id"][:3])
            assert report.found == {("train", "test"): {"source films": films}}


def test_sets_without_images_or_ids(splits: datasets.DatasetDict) -> None:
    bare = splits["test"].remove_columns("image")
    assert not find_leaks({"train": splits["train"], "test": bare})
    assert not find_leaks({"test": bare, "train": splits["train"]})
    with pytest.raises(ConfigError, match="rows without image_id; found image, label"):
        find_leaks({"train": splits["train"].select_columns(["image", "label"])})


def test_near_duplicates(splits: datasets.DatasetDict) -> None:
    train = splits["train"].select(range(20))
    raw = splits["test"].select(range(10)).cast_column("image", datasets.Image(decode=False)).to_list()
    buffer = io.BytesIO()
    retouched(train[7]["image"], "smaller").save(buffer, "JPEG")
    raw[4]["image"] = {"bytes": buffer.getvalue(), "path": "x.jpg"}
    test = datasets.Dataset.from_list(raw, features=splits["test"].features)
    pair = (train["image_id"][7], raw[4]["image_id"])
    assert near_duplicates(train, test) == [pair]
    assert near_duplicates(test, train) == [pair[::-1]]
    assert near_duplicates(train, splits["test"]) == []
    with pytest.raises(ConfigError, match="threshold"):
        near_duplicates(train, test, threshold=-1.0)
    assert near_duplicates(train.select([]), test) == []
    pair_of_names = f"{pair[0]} = {pair[1]}"
    assert find_leaks({"train": train, "test": test}).found == {
        ("train", "test"): {"films that look the same": [pair_of_names]}
    }


def test_progress_counts_the_films_that_are_read_and_compared(root: Path) -> None:
    said: list[tuple[int, int, str]] = []
    plan_task(TASK, root, sources=SOURCES, progress=lambda *tick: said.append(tick))
    read = [tick[:2] for tick in said if tick[2] == "films read"]
    compared = [tick[:2] for tick in said if tick[2] == "films compared"]
    assert len(read) + len(compared) == len(said)
    assert read == [(done, len(read)) for done in range(1, len(read) + 1)]
    assert len(read) > 20
    assert compared[-1][0] == compared[-1][1] > 20
    said.clear()
    load_task(TASK, root, sources=SOURCES, progress=lambda *tick: said.append(tick))
    assert said == []  # what was read and compared is remembered
