"""The protocol source-matched: one collection, folds of whole patients, each film tested on once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource
from covid_synth_data.sources import licences
from covid_synth_data.splits.protocols.source_matched import folds_of
from covid_synth_data.tasks import check_leaks, load_task, plan_task, to_splits
from tests.trees import chestxray, film, retouched, xray

TASK = "covid-vs-other"
FOLDS = 4


def unlicensed(filename: str, patient: object, **cells: object) -> dict[str, object]:
    """A row that states no licence, so that no release can have used its film."""
    return xray(filename, patient, license="", **cells)


def rows() -> list[tuple[int | None, dict[str, object]]]:
    """60 COVID-19 films of 30 patients, 24 of other findings of 12, and of patient 7 two of each."""
    findings = ("No Finding", "Klebsiella", "ARDS", "Lipoid", "Tuberculosis", "Pneumonia/Viral/SARS")
    films = [(n, unlicensed(f"c{n:02d}.png", n // 2)) for n in range(60)]
    films += [(100 + n, unlicensed(f"o{n:02d}.png", 50 + n // 2, finding=findings[n % 6])) for n in range(24)]
    films += [(200 + n, unlicensed(f"both{n}.png", 7, finding="Pneumonia")) for n in range(2)]
    return [
        *films,
        (300, xray("side.png", 90, finding="ARDS", view="L")),
        (301, xray("todo.png", 91, finding="todo")),
        (302, xray("unknown.png", 92, finding="Unknown")),
        (303, xray("slice.png", 93, modality="CT", view="Axial")),
        (None, xray("gone.png", 94, finding="Lipoid")),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree that tests only read; two of its films look like one."""
    folder = tmp_path_factory.mktemp("matched")
    films = [*rows(), (5, unlicensed("twin.png", 80))]
    chestxray(folder, films)
    retouched(film(5), "brighter").save(folder / "covid-chestxray-dataset" / "images" / "twin.png")
    return folder


def frames(root: Path | None, folds: int = FOLDS, **options: Any) -> list[pd.DataFrame]:
    """The used films of each fold by image_id."""
    return [
        plan_task(TASK, root, folds=folds, fold=k, **options).used.set_index("image_id", drop=False)
        for k in range(folds)
    ]


PHANTOM = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 8}}


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("real", [True, False])
def test_each_film_is_tested_on_once_and_no_patient_straddles(root: Path, real: bool, seed: int) -> None:
    given_root, options = (root, {}) if real else (None, PHANTOM)
    parts = frames(given_root, seed=seed, **options)
    films = set(parts[0].index)
    tested = Counter(name for one in parts for name in one.index[one["split"] == "test"])
    assert tested == dict.fromkeys(films, 1)
    assert {one["fold"] for one in [{"fold": frozenset(p.index)} for p in parts]} == {frozenset(films)}
    for one in parts:
        assert set(one.groupby("patient_id")["split"].nunique()) == {1}
        found = Counter(zip(one["split"], one["class"], strict=True))
        assert set(found) == {
            (a, b) for a in ("train", "validation", "test") for b in ("other-finding", "covid-19")
        }
    by_patient = pd.concat([p[p["split"] == "test"].assign(fold=k) for k, p in enumerate(parts)])
    assert set(by_patient.groupby("patient_id")["fold"].nunique()) == {1}


def test_folds_and_validation_are_even(root: Path) -> None:
    for one in frames(root):
        found = one.groupby(["class", "split"]).size()
        assert abs(found["covid-19", "test"] - 15) <= 2
        assert abs(found["other-finding", "test"] - 6.5) <= 2
        assert 4 <= found["covid-19", "validation"] <= 8
        assert 2 <= found["other-finding", "validation"] <= 4


def test_a_patient_with_both_classes_and_one_film_twice(root: Path) -> None:
    for fold in range(FOLDS):
        plan = plan_task(TASK, root, folds=FOLDS, fold=fold)
        frame = plan.frame.set_index("image_id")
        mine = [f"covid-chestxray/{name}" for name in ("both0", "both1", "c14", "c15")]
        assert frame.loc[mine, "split"].nunique() == 1
        assert set(frame.loc[mine, "class"]) == {"other-finding", "covid-19"}
        assert frame.loc["covid-chestxray/twin", "reason"] == "same film as one kept from covid-chestxray"


def test_what_is_left_out_says_why(root: Path) -> None:
    frame = plan_task(TASK, root).frame.set_index("source_id")
    left = frame.loc[frame["reason"] != "", "reason"].to_dict()
    assert left == {
        "side": "lateral view",
        "todo": "no usable label",
        "unknown": "no usable label",
        "slice": "CT, not a radiograph",
        "gone": "image file missing",
        "twin": "same film as one kept from covid-chestxray",
    }
    assert frame.loc["o03", "class"] == "other-finding"  # Lipoid pneumonia has no label of ours
    assert frame.loc["o03", "label"] == ""
    assert frame.loc["o00", "class"] == "other-finding"  # No Finding


def test_splits_are_labelled_with_the_classes_of_the_task(root: Path) -> None:
    splits = load_task(TASK, root, folds=FOLDS, fold=2)
    check_leaks(splits)
    for part in splits.values():
        assert part.features["label"].names == ["other-finding", "covid-19"]
        assert set(part["label"]) == {0, 1}
        for label, stated in zip(part["label"], part["source_class"], strict=True):
            assert (label == 1) == (stated == "COVID-19")
    other = load_task(TASK, root, folds=FOLDS, fold=1)
    assert set(other["test"]["image_id"]).isdisjoint(splits["test"]["image_id"])


def test_the_seed_draws_the_folds(root: Path) -> None:
    tests = [tuple(frames(root, seed=seed)[0]["split"]) for seed in (0, 1, 0)]
    assert tests[0] == tests[2] != tests[1]


def test_no_fold_means_the_first_and_says_so(root: Path) -> None:
    plan = plan_task(TASK, root)
    assert (plan.fold, plan.folds) == (0, 5)
    assert plan.frame.equals(plan_task(TASK, root, fold=0, folds=5).frame)
    assert "fold 0 of 5, counted from 0; over all folds each tested film is tested on once" in plan.notes
    assert plan.report().startswith("covid-vs-other, protocol source-matched, seed 0, fold 0 of 5\n")


@pytest.mark.parametrize(
    ("folds", "fold"), [(5, 5), (5, -1), (1, 0), (0, 0), (5, True), (5, 1.0), (2.5, 0), (5, "0"), (True, 0)]
)
def test_folds_that_are_none(root: Path, folds: Any, fold: Any) -> None:
    with pytest.raises(ConfigError, match="no such fold"):
        plan_task(TASK, root, folds=folds, fold=fold)


def test_a_fold_of_a_protocol_without_folds() -> None:
    for task, protocol in (("normal-vs-covid", "clean"), ("covid-external", "external")):
        with pytest.raises(ConfigError, match=f"the protocol {protocol} has no folds; found fold 0"):
            plan_task(task, fold=0, **PHANTOM)
    plan = plan_task("normal-vs-covid", folds=3, **PHANTOM)
    assert (plan.fold, plan.folds) == (None, 1)


def test_more_folds_than_patients_leave_a_part_empty(tmp_path: Path) -> None:
    films = [(n, unlicensed(f"c{n}.png", n)) for n in range(20)]
    films += [(100 + n, unlicensed(f"o{n}.png", 50 + n, finding="SARS")) for n in range(3)]
    chestxray(tmp_path, films)
    with pytest.raises(EmptySplit, match="the test part of covid-vs-other .* has no other-finding film"):
        load_task(TASK, tmp_path, folds=5, fold=4)


def test_patients_of_whom_a_release_may_have_learned_are_always_trained_on(tmp_path: Path) -> None:
    """Every fifth film is permissively licensed; its patient has another film that is not."""
    kept = [(key, row | {"license": "CC0" if n % 10 == 0 else ""}) for n, (key, row) in enumerate(rows())]
    chestxray(tmp_path, kept)
    parts = frames(tmp_path)
    free = parts[0]["source_license"] == "CC0 1.0"
    released = set(parts[0].loc[free, "patient_id"])
    assert len(released) > 5
    tested = Counter()
    for one in parts:
        mine = one["patient_id"].isin(released)
        assert set(one.loc[mine, "split"]) == {"train"}
        tested.update(one.index[one["split"] == "test"])
    assert set(tested) == set(parts[0].index[~parts[0]["patient_id"].isin(released)])
    assert set(tested.values()) == {1}
    assert "are always trained on" in " ".join(plan_task(TASK, tmp_path, folds=FOLDS, fold=0).notes)
    with pytest.raises(ConfigError, match="not permissively licensed"):
        plan_task(TASK, tmp_path, licences="permissive")


def test_sources_are_fixed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source-matched fixes its sources; found rsna"):
        plan_task(TASK, tmp_path, sources=["rsna"])
    with pytest.raises(MissingSource, match="covid-chestxray"):
        plan_task(TASK, tmp_path)


films = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=1, max_size=150)


@settings(max_examples=80, deadline=None)
@given(films, st.integers(2, 8), st.integers(0, 5))
def test_patients_stay_together_and_folds_are_even(films, folds: int, seed: int) -> None:
    patients = [str(patient) for patient, _ in films]
    kinds = [kind for _, kind in films]
    rows = np.arange(len(films))
    found = folds_of(patients, kinds, rows, folds, seed, "")
    assert found.shape == rows.shape
    assert set(found) <= set(range(folds))
    places = pd.DataFrame({"patient": patients, "fold": found, "kind": kinds})
    assert set(places.groupby("patient")["fold"].nunique()) == {1}
    backwards = folds_of(patients, kinds, rows[::-1], folds, seed, "")[::-1]
    assert found.tolist() == backwards.tolist()
    # So few patients are dealt by rank: the folds of a kind differ by at most two patients.
    if len(set(kinds)) == 1:
        sizes = places.drop_duplicates("patient")["fold"].value_counts().reindex(range(folds), fill_value=0)
        assert sizes.max() - sizes.min() <= 2


@pytest.mark.real_data
def test_source_matched_on_the_real_set(real_root: Path) -> None:
    parts = frames(real_root, folds=5)
    tested = Counter(name for one in parts for name in one.index[one["split"] == "test"])
    may = parts[0]["source_license"].map(licences.is_permissive)
    released = set(parts[0].loc[may, "patient_id"])
    assert 40 < len(released) < 70
    assert tested == dict.fromkeys(parts[0].index[~parts[0]["patient_id"].isin(released)], 1)
    found = Counter(parts[0]["class"])
    assert found["other-finding"] <= 96
    assert 400 < found["covid-19"] <= 423
    for one in parts:
        assert set(one.groupby("patient_id")["split"].nunique()) == {1}
        check = one.groupby(["split", "class"]).size()
        assert check["test", "other-finding"] >= 15
        assert check["validation", "other-finding"] >= 6
    check_leaks(to_splits(plan_task(TASK, real_root, fold=3)))
