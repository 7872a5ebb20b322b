"""The protocol menon2020: 68 films of each kind held out, the same ones whatever the task."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_synth_data import find_leaks
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource
from covid_synth_data.mixing import with_classes
from covid_synth_data.schema import LABELS
from covid_synth_data.splits.protocols import menon2020
from covid_synth_data.tasks import check_leaks, load_task, plan_task, to_splits
from tests.support import thinned
from tests.trees import chestxray, save, xray

TASKS = ("normal-vs-covid", "pneumonia-vs-covid")
PHANTOM = {"size": 32, "patients": 12, "seed": 3}


def plan(root: Path, task: str = TASKS[0], **options: Any) -> pd.DataFrame:
    """The frame of a plan by image_id."""
    return plan_task(task, root, "menon2020", **options).frame.set_index("image_id", drop=False)


def ids(frame: pd.DataFrame, *splits: str) -> set[str]:
    return set(frame.loc[frame["split"].isin(splits), "image_id"])


def covid_row(number: int, patient: object, **cells: object) -> tuple[int, dict[str, object]]:
    return number, xray(f"c{number:03d}.png", patient, **cells)


def child(root: Path, name: str, key: int) -> None:
    """A film of kermany; the name says of which class it is."""
    folder = "PNEUMONIA" if name.startswith("person") else "NORMAL"
    save(root / "chest_xray" / "train" / folder / f"{name}.jpeg", key, 64)


def children(root: Path, counts: Iterable[int] = (12, 12, 12)) -> None:
    """So many normal, bacterial and viral films, of a child each; bacterial child n is also viral child n."""
    for kind, count in enumerate(counts):
        for n in range(count):
            name = (f"IM-{n:04d}-0001", f"person{n}_bacteria_{n}", f"person{n}_virus_{n}")[kind]
            child(root, name, 10_000 * (kind + 1) + n)


def small(root: Path) -> Path:
    """24 COVID-19 films of 12 patients, 12 films of each kind of children."""
    chestxray(root, [covid_row(n, n // 2) for n in range(24)])
    children(root)
    return root


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many films as the paper's hold-out needs: 240 COVID-19 ones, 210 of each kind of children."""
    root = tmp_path_factory.mktemp("paper")
    rows: list[tuple[int | None, dict[str, object]]] = []
    for n in range(240):
        rows.append(covid_row(n, n // 2 if n < 200 else 500))  # the last patient has forty films
        if n % 40 == 0:
            rows += [covid_row(600 + n, 800 + n, view="L"), covid_row(700 + n, 800 + n, finding="SARS")]
    gone = xray("gone.png", 900)
    chestxray(root, [(None, gone), *rows])
    children(root, (210, 210, 210))
    return root


def test_sixty_eight_of_each_kind_the_same_ones_in_both_tasks(paper: Path) -> None:
    held = set()
    for seed in range(3):
        frames = [plan(paper, task, seed=seed) for task in TASKS]
        tests = [frame[frame["split"] == "test"] for frame in frames]
        assert Counter(tests[0]["source_class"]) == {"COVID-19": 68, "NORMAL": 68}
        assert Counter(tests[1]["source_class"]) == {
            "COVID-19": 68,
            "PNEUMONIA-bacteria": 68,
            "PNEUMONIA-virus": 68,
        }
        covid = [ids(test[test["label"] == "covid-19"], "test") for test in tests]
        assert covid[0] == covid[1]
        held.add(frozenset(covid[0]))
        together = pd.concat(frames)
        used = together[together["split"] != ""]
        assert (used["reason"] == "").all()
        assert set(used.groupby("patient_id")["split"].nunique()) == {1}
        assert tuple(plan(paper, seed=seed)["split"]) == tuple(frames[0]["split"])
        patients = used[used["split"] != "test"].drop_duplicates("patient_id")
        deviation = (0.3 * 0.7 / len(patients)) ** 0.5
        assert abs((patients["split"] == "validation").mean() - 0.3) < 4 * deviation
        assert plan_task(TASKS[0], paper, "menon2020", seed=seed).notes == (
            "normal films are children's, the COVID-19 films adults': age is a shortcut",
        )
    assert len(held) == 3


def test_the_films_are_the_first_227_frontal_rows(paper: Path) -> None:
    frame = plan(paper)
    covid = frame[frame["label"] == "covid-19"]
    after = covid.loc[covid["reason"] == "after the 227 COVID-19 films of the paper", "source_id"]
    # The film that is not there is the first of the 227, so 226 are left of those that are.
    assert after.tolist() == [f"c{n:03d}" for n in range(226, 240)]
    assert covid.loc["covid-chestxray/gone", "reason"] == "image file missing"
    assert (covid["reason"] == "lateral view").sum() == 6
    assert (covid["split"] != "").sum() == 226
    assert "SARS" not in set(frame["source_class"])


@pytest.mark.parametrize("seed", range(3))
def test_no_film_that_is_tested_on_is_trained_on_in_any_task(tmp_path: Path, seed: int) -> None:
    """What a generator learns from is train and validation, of either task; the benchmark tests on test."""
    for root, options in ((small(tmp_path), {}), (None, {"sources": "phantom", "phantom": PHANTOM})):
        parts = [load_task(task, root, "menon2020", seed=seed, **options) for task in TASKS]
        # Code 0 is normal in the first task and pneumonia in the second.
        shared = [{name: with_classes(rows, LABELS) for name, rows in part.items()} for part in parts]
        learned = [part[name] for part in shared for name in ("train", "validation")]
        tested = [part["test"] for part in shared]
        both = {
            "train": datasets.concatenate_datasets(learned),
            "test": datasets.concatenate_datasets(tested),
        }
        assert set(both["test"]["label"]) == {0, 1, 2}
        check_leaks(both)
        assert not any(find_leaks(part) for part in parts)
        assert set(tested[0]["image_id"]) & set(tested[1]["image_id"])


def test_phantoms_give_a_third_of_each_class_to_the_test(tmp_path: Path) -> None:
    frames = [plan(tmp_path, task, sources=["phantom"], phantom=PHANTOM) for task in TASKS]
    for frame in frames:
        films = Counter(frame["label"])
        tested = Counter(frame.loc[frame["split"] == "test", "label"])
        assert tested == {label: count // 3 for label, count in films.items()}
        assert (frame["split"] != "").all()
    covid = [frame[frame["label"] == "covid-19"] for frame in frames]
    assert covid[0]["split"].equals(covid[1]["split"])
    notes = plan_task(TASKS[0], None, "menon2020", sources=["phantom"], phantom=PHANTOM).notes
    assert notes == ()


def test_a_child_with_two_infections_is_on_one_side(tmp_path: Path) -> None:
    small(tmp_path)
    for seed in range(4):
        used = plan(tmp_path, TASKS[1], seed=seed)
        used = used[used["label"] == "pneumonia"]
        assert used.groupby("patient_id")["source_class"].nunique().eq(2).all()
        assert used.groupby("patient_id")["split"].nunique().eq(1).all()


def test_a_repeated_film_is_kept_once_and_joins_its_patients(tmp_path: Path) -> None:
    small(tmp_path)
    images = tmp_path / "covid-chestxray-dataset" / "images"
    shutil.copy(images / "c002.png", images / "c020.png")  # of patients 1 and 10
    folder = tmp_path / "chest_xray" / "train" / "NORMAL"
    shutil.copy(folder / "IM-0003-0001.jpeg", folder / "IM-0005-0001.jpeg")
    sides = set()
    for seed in range(8):
        frame = plan(tmp_path, seed=seed)
        assert {name: reason for name, reason in frame["reason"].items() if reason} == {
            "covid-chestxray/c020": "same film as one kept from covid-chestxray",
            "kermany/IM-0005-0001": "same film as one kept from kermany",
        }
        mine = {frame.loc[f"covid-chestxray/{name}", "split"] for name in ("c002", "c003", "c021")}
        assert len(mine) == 1
        sides |= mine
    assert len(sides) > 1


def test_a_film_under_two_classes_is_left_out_of_both_tasks(tmp_path: Path) -> None:
    small(tmp_path)
    folder = tmp_path / "chest_xray" / "train"
    shutil.copy(folder / "NORMAL" / "IM-0003-0001.jpeg", folder / "PNEUMONIA" / "person5_virus_5.jpeg")
    frames = [plan(tmp_path, task) for task in TASKS]
    assert frames[0].loc["kermany/IM-0003-0001", "reason"] == "same film under two classes"
    assert frames[1].loc["kermany/person5_virus_5", "reason"] == "same film under two classes"


def test_permissive_films_stay_on_their_side(tmp_path: Path) -> None:
    licences = ("CC BY 4.0", "CC BY-NC-SA 4.0")
    chestxray(tmp_path, [covid_row(n, n // 2, license=licences[n // 2 % 2]) for n in range(24)])
    children(tmp_path)
    every, some = plan(tmp_path), plan(tmp_path, licences="permissive")
    kept = some[some["split"] != ""]
    assert set(kept["source_license"]) == {"CC BY 4.0"}
    assert (kept["split"] == every.loc[kept.index, "split"]).all()
    assert (some["reason"] == "licence is not permissive").sum() == 12
    chestxray(tmp_path, [covid_row(n, n // 2, license="") for n in range(24)])
    with pytest.raises(EmptySplit, match="no covid-19 film; found 24 licence is not permissive"):
        load_task(TASKS[0], tmp_path, "menon2020", licences="permissive")


def test_sources_are_fixed_but_for_phantoms(tmp_path: Path) -> None:
    small(tmp_path)
    for sources, found in ((["kermany"], "kermany"), ([], "an empty list")):
        with pytest.raises(ConfigError, match=f"menon2020 fixes its sources; found {found}"):
            plan_task(TASKS[0], tmp_path, "menon2020", sources=sources)


def test_both_sources_must_be_there_for_either_task(tmp_path: Path) -> None:
    children(tmp_path)
    for task in TASKS:
        with pytest.raises(MissingSource, match="covid-chestxray"):
            plan_task(task, tmp_path, "menon2020")
    shutil.rmtree(tmp_path / "chest_xray")
    chestxray(tmp_path, [covid_row(n, n) for n in range(6)])
    for task in TASKS:
        with pytest.raises(MissingSource, match="kermany"):
            plan_task(task, tmp_path, "menon2020")


def test_pneumonia_of_no_stated_kind_and_unreadable_films_are_left_out(tmp_path: Path) -> None:
    small(tmp_path)
    save(tmp_path / "chest_xray" / "train" / "PNEUMONIA" / "scan.jpeg", 77, 64)
    (tmp_path / "chest_xray" / "train" / "PNEUMONIA" / "person3_virus_3.jpeg").write_bytes(b"cut")
    found = plan_task(TASKS[1], tmp_path, "menon2020")
    assert dict(found.left_out[["image_id", "reason"]].to_numpy().tolist()) == {
        "kermany/scan": "unknown file name",
        "kermany/person3_virus_3": "unreadable image",
    }
    assert any("person3_virus_3" in note for note in found.notes)
    assert to_splits(found)


films = st.lists(
    st.tuples(st.integers(0, 25), st.sampled_from(["covid-19", "normal", "viral"])), min_size=1, max_size=120
)


@settings(max_examples=80, deadline=None)
@given(films, st.integers(0, 9), st.integers(1, 20))
def test_whole_patients_never_more_than_wanted(rows, seed, singles) -> None:
    """And exactly as many as wanted as soon as enough patients have one film."""
    extra = [
        (100 + 100 * code + n, kind)
        for code, kind in enumerate(("covid-19", "normal", "viral"))
        for n in range(singles)
    ]
    table = pd.DataFrame([*rows, *extra], columns=["patient", "kind"]).astype({"patient": str})
    notes: list[str] = []
    chosen = menon2020._held_out(table, seed, notes)
    wanted = (table.groupby("kind").size() // 3).clip(upper=menon2020.TEST_FILMS)
    held = table[table["patient"].isin(chosen)].groupby("kind").size().reindex(wanted.index, fill_value=0)
    assert (held <= wanted).all()
    short = held.index[held < wanted].tolist()
    assert [note.split()[1] for note in notes] == short
    if (wanted <= singles).all():
        assert not short
    assert chosen == menon2020._held_out(table, seed, [])


def test_a_number_that_whole_patients_cannot_make_is_said(tmp_path: Path) -> None:
    chestxray(tmp_path, [covid_row(n, n // 2) for n in range(22)])
    children(tmp_path)
    found = plan_task(TASKS[0], tmp_path, "menon2020")
    assert "6 covid-19 films are tested on, not 7: no whole patient fits" in found.notes
    assert found.counts()["test"] == {"normal": 4, "covid-19": 6}


@pytest.mark.real_data
@pytest.mark.slow
def test_menon2020_on_the_real_sets(real_root: Path) -> None:
    plans = [plan_task(task, real_root, "menon2020") for task in TASKS]
    tests = [one.used[one.used["split"] == "test"] for one in plans]
    assert [one.counts()["test"] for one in plans] == [
        {"normal": 68, "covid-19": 68},
        {"pneumonia": 136, "covid-19": 68},
    ]
    assert Counter(tests[1]["source_class"])["PNEUMONIA-virus"] == 68
    covid = plans[0].frame[plans[0].frame["label"] == "covid-19"]
    later = covid["reason"].str.startswith("after the 227")
    assert later.sum() > 100
    assert 200 < (covid["split"] != "").sum() <= 227
    children_used = sum(len(one.used[one.used["source_dataset"] == "kermany"]) for one in plans)
    assert 5_800 < children_used <= 5_856
    together = pd.concat([one.used for one in plans])
    assert set(together.groupby("patient_id")["split"].nunique()) == {1}
    assert not any(find_leaks(thinned(to_splits(one))) for one in plans)
