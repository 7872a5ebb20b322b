"""The protocol same-source: one source is tested on, none of its opacities is learned from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from covid_synth_data.errors import ConfigError, MissingSource
from covid_synth_data.sources import rsna
from covid_synth_data.tasks import check_leaks, plan_task, to_splits
from tests.trees import film, radiography, retouched, save, usual

TASK = "opacity-vs-normal"
PHANTOM: dict[str, Any] = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 12}}
OPACITIES, NORMALS, TWINS = 30, 30, 12


def image(root: Path, kind: str, number: int) -> Path:
    stems = {"Normal": "Normal", "Non-COVID": "non_COVID", "COVID-19": "covid"}
    folder = root / "COVID-QU-Ex" / "Infection Segmentation Data" / "Train" / kind / "images"
    return folder / f"{stems[kind]} ({number}).png"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual tree, and covid-qu-ex: 30 opacities, 30 normals of which 12 stand in radiography, 2 COVID."""
    root = tmp_path_factory.mktemp("same")
    usual(root)
    radiography(root, range(9000, 9000 + TWINS), "Normal", first=2000)
    for number in range(OPACITIES):
        save(image(root, "Non-COVID", number), 20_000 + number)
    for number in range(NORMALS):
        save(image(root, "Normal", number), (9000 if number < TWINS else 30_000) + number)
    for number in range(2):
        save(image(root, "COVID-19", number), 40_000 + number)
    # An opacity that stands twice, one that is a film of covid-chestxray.
    retouched(film(20_001), "brighter").save(image(root, "Non-COVID", 0))
    retouched(film(1005), "brighter").save(image(root, "Non-COVID", 2))
    return root


@pytest.fixture(autouse=True)
def _four_rsna(monkeypatch: pytest.MonkeyPatch) -> None:
    names = pd.DataFrame({"patientId": [f"r{n}" for n in range(4)], "Target": [0] * 3 + [1]})
    monkeypatch.setattr(rsna, "label_rows", lambda: names)
    monkeypatch.setattr(
        rsna, "_headers", lambda: {f"r{n}": {"PatientAge": "50", "ViewPosition": "PA"} for n in range(4)}
    )


def test_the_tested_source_gives_normals_alone_to_learn_from(root: Path) -> None:
    frames = {}
    for fold in range(3):
        plan = plan_task(TASK, root, folds=3, fold=fold)
        check_leaks(to_splits(plan))
        frames[fold] = plan.frame
    used = {fold: frame[frame["split"] != ""] for fold, frame in frames.items()}
    for frame in used.values():
        held = frame[frame["split"] != "train"]
        assert set(held["source_dataset"]) == {"covid-qu-ex"}
        learned = frame[(frame["split"] == "train") & (frame["source_class"] != "Non-COVID")]
        assert set(learned["source_dataset"] + "/" + learned["class"]) == {
            "covid-chestxray/opacity",
            "covid-qu-ex/normal",
        }
    # Each tested film is tested on once; validation and what is learned from are the same in all folds.
    tested = Counter(name for frame in used.values() for name in frame[frame["split"] == "test"]["image_id"])
    assert set(tested.values()) == {1}
    for part in ("validation", "learned"):
        sets = [
            frozenset(frame.loc[(frame["split"] == part), "image_id"])
            if part == "validation"
            else frozenset(
                frame.loc[(frame["split"] == "train") & (frame["source_class"] != "Non-COVID"), "image_id"]
            )
            for frame in used.values()
        ]
        assert len(set(sets)) == 1
    # The ceiling may learn from the opacities of the other folds.
    one = used[0]
    others = set(one.loc[(one["split"] == "train") & (one["source_class"] == "Non-COVID"), "image_id"])
    opacities = {name for name in tested if "non_COVID" in name}
    assert others == opacities - set(one.loc[one["split"] == "test", "image_id"])


def test_what_is_left_out_and_why(root: Path) -> None:
    reasons = plan_task(TASK, root).frame.set_index("image_id")["reason"]
    assert reasons["covid-qu-ex/non_COVID (1)"] == "same film as one kept from covid-qu-ex"
    assert reasons["covid-qu-ex/non_COVID (2)"] == "looks like a film of covid-chestxray"
    assert reasons["covid-qu-ex/covid (0)"].startswith("COVID-19 films of covid-qu-ex")


def test_normals_go_where_clean_puts_them(root: Path) -> None:
    clean = plan_task("normal-vs-covid", root).frame
    normals = clean[(clean["source_dataset"] == "radiography") & (clean["class"] == "normal")]
    where = dict(zip(normals["path"].map(lambda path: Path(path).stem), normals["split"], strict=True))
    frame = plan_task(TASK, root).frame.set_index("image_id")
    found = 0
    for number in range(TWINS):
        row = frame.loc[f"covid-qu-ex/Normal ({number})"]
        expected = where.get(f"Normal-{2000 + number}")
        if expected:
            found += 1
            assert row["split"] in ({expected} | ({""} if expected == "test" else set()))
    assert found > TWINS // 2


def test_cross_validation_tests_every_film_once(root: Path) -> None:
    tested: Counter[str] = Counter()
    validated, placed_elsewhere = set(), 0
    clean = plan_task("normal-vs-covid", root).frame
    learned_by_clean = set(clean.loc[clean["split"] == "train", "path"].map(lambda path: Path(path).stem))
    for fold in range(3):
        plan = plan_task(TASK, root, "same-source-cv", folds=3, fold=fold)
        check_leaks(to_splits(plan))
        frame = plan.frame
        used = frame[frame["split"] != ""]
        tested.update(used.loc[used["split"] == "test", "image_id"])
        validated.add(frozenset(used.loc[used["split"] == "validation", "image_id"]))
        # Both classes of the source are in each part, and no other source is tested or validated on.
        for part in ("train", "validation", "test"):
            mine = used[(used["split"] == part) & (used["source_dataset"] == "covid-qu-ex")]
            assert set(mine["class"]) == {"normal", "opacity"}
        assert set(used.loc[used["split"] != "train", "source_dataset"]) == {"covid-qu-ex"}
        names = {
            f"covid-qu-ex/Normal ({n})" for n in range(TWINS) if f"Normal-{2000 + n}" in learned_by_clean
        }
        placed_elsewhere += len(names & set(used.loc[used["split"] == "test", "image_id"]))
    usable = frame[(frame["source_dataset"] == "covid-qu-ex") & (frame["reason"] == "")]
    assert tested == Counter(dict.fromkeys(usable["image_id"], 1))
    assert len(validated) == 3
    # A normal that `clean` trains on is tested on here: the part in another protocol does not matter.
    assert placed_elsewhere > 0


def test_phantoms_and_what_is_refused(root: Path) -> None:
    for protocol in ("same-source", "same-source-cv"):
        splits = to_splits(plan_task(TASK, protocol=protocol, folds=2, **PHANTOM))
        assert all(set(part["label"][:]) == {0, 1} for part in splits.values())
    with pytest.raises(ConfigError, match="no licence"):
        plan_task(TASK, root, licences="permissive")
    with pytest.raises(ConfigError, match="fix their sources"):
        plan_task(TASK, root, sources=["rsna"])


def test_without_the_source(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="covid-qu-ex"):
        plan_task(TASK, tmp_path)
