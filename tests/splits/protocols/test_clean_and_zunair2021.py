"""protocols: who is trained and tested on, what is left out, and the counts of zunair2021."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from covid_synth_data import find_leaks
from covid_synth_data.errors import (
    ConfigError,
    EmptySplit,
    MissingExtra,
    MissingSource,
    SourceError,
    UnknownName,
)
from covid_synth_data.sources import rsna
from covid_synth_data.splits import copies, duplicates
from covid_synth_data.tasks import load_task, near_duplicates, plan_task, to_splits
from tests.splits.protocols.plans import TASK, needs_labels, plan, reasons
from tests.support import thinned
from tests.trees import (
    HANNOVER,
    chestxray,
    film,
    kermany,
    radiography,
    repository,
    retouched,
    save,
    usual,
    xray,
)

# clean


@pytest.mark.usefixtures("few_rsna")
def test_patients_are_on_one_side_whatever_the_seed(root: Path) -> None:
    splits = []
    for seed in range(4):
        frame = plan(root, seed=seed)
        used = frame[frame["split"] != ""]
        assert (used["reason"] == "").all()
        assert set(used.groupby("patient_id")["split"].nunique()) == {1}
        assert set(used["view"]) <= {"PA", "AP", ""}
        parts = Counter(zip(used["label"], used["split"], strict=True))
        assert set(parts) == {(a, b) for a in ("normal", "covid-19") for b in ("train", "validation", "test")}
        patients = used.drop_duplicates("patient_id")
        shares = pd.crosstab(patients["source_dataset"], patients["split"], normalize="index")
        # Strata with fewer than 100 patients are cut by rank; the 100 normals fall as they may.
        for part, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
            assert (abs(shares[part] - share)[:2] < 0.03).all()
            assert abs(shares.loc["radiography", part] - share) < 4 * (share * (1 - share) / 100) ** 0.5
        splits.append(tuple(frame["split"]))
        assert tuple(plan(root, seed=seed)["split"]) == splits[-1]
    assert len(set(splits)) == 4


@pytest.mark.usefixtures("few_rsna")
def test_what_is_left_out_says_why(root: Path) -> None:
    found = plan_task(TASK, root)
    assert reasons(found.frame.set_index("image_id")) == {
        "covid-chestxray/side": "lateral view",
        "covid-chestxray/slice": "CT, not a radiograph",
        "covid-chestxray/where": "view not stated",
        "covid-chestxray/gone": "image file missing",
        **{f"rsna/r{n}": "image file missing" for n in range(6)},
    }
    assert set(found.left_out["image_id"]).isdisjoint(found.used["image_id"])
    assert len(found.used) == 210
    assert "kermany is not in the root" in found.notes
    assert any("age" not in note and "RSNA part of radiography" in note for note in found.notes)


@pytest.mark.parametrize("change", ["", "smaller", "brighter", "contrast", "colour"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_the_same_film_in_two_sources_is_kept_once(tmp_path: Path, change: str, suffix: str) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(12)])
    chestxray(tmp_path, [(100 + n, xray(f"c{n}.{suffix}", n)) for n in range(12)])
    images = tmp_path / "covid-chestxray-dataset" / "images"
    retouched(film(5), change).save(images / f"c7.{suffix}")
    frame = plan(tmp_path, sources=["covid-19-image-repository", "covid-chestxray"])
    assert reasons(frame) == {"covid-chestxray/c7": "same film as one kept from covid-19-image-repository"}


def test_an_exact_copy_in_one_source_is_kept_once(tmp_path: Path) -> None:
    chestxray(tmp_path, [(n % 10, xray(f"c{n}.png", n)) for n in range(12)])
    frame = plan(tmp_path, sources=["covid-chestxray"])
    assert reasons(frame) == {
        f"covid-chestxray/c{n}": "same film as one kept from covid-chestxray" for n in (10, 11)
    }


def test_patients_of_one_film_are_one_patient(tmp_path: Path) -> None:
    # Film 5 stands in both sets, so chestxray's patient "p" is the repository's patient 5.
    repository(tmp_path, [(n, f"h{n}", n) for n in range(40)])
    others = [(100 + n, xray(f"c{n}.png", n)) for n in range(12)]
    twin = [(5, xray("twin.png", "p")), (201, xray("second.png", "p")), (202, xray("third.png", "p"))]
    chestxray(tmp_path, [*others, *twin])
    sides = set()
    for seed in range(6):
        frame = plan(tmp_path, seed=seed, sources=["covid-19-image-repository", "covid-chestxray"])
        assert frame.loc["covid-chestxray/twin", "split"] == ""
        mine = {frame.loc[f"covid-chestxray/{name}", "split"] for name in ("second", "third")}
        assert mine == {frame.loc["covid-19-image-repository/h5", "split"]}
        sides |= mine
    assert len(sides) > 1


def test_the_same_film_under_two_classes_is_left_out(tmp_path: Path) -> None:
    rows = [(n, xray(f"c{n}.png", n)) for n in range(12)]
    rows += [(100 + n, xray(f"n{n}.png", 50 + n, finding="No Finding")) for n in range(12)]
    chestxray(tmp_path, [*rows, (3, xray("again.png", 99, finding="No Finding"))])
    frame = plan(tmp_path, sources=["covid-chestxray"])
    assert reasons(frame) == {
        f"covid-chestxray/{name}": "same film under two classes" for name in ("c3", "again")
    }


def test_what_a_source_says_is_one_film_is(tmp_path: Path) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(12)])
    stated = xray("h4.png", 9, url=f"{HANNOVER}/blob/master/png/h4.png")
    chestxray(tmp_path, [(300, stated), (301, xray("c.png", 9)), (302, xray("h5.png", 10))])
    for seed in range(4):
        frame = plan(tmp_path, seed=seed, sources=["covid-19-image-repository", "covid-chestxray"])
        assert reasons(frame) == {
            "covid-chestxray/h4": "same film as one kept from covid-19-image-repository"
        }
        here = frame["split"]
        assert here["covid-chestxray/c"] == here["covid-19-image-repository/h4"]


@pytest.mark.usefixtures("few_rsna")
def test_permissive_films_stay_on_their_side(root: Path) -> None:
    for seed in range(3):
        every, some = plan(root, seed=seed), plan(root, seed=seed, licences="permissive")
        kept = some[some["split"] != ""]
        assert set(kept["source_license"]) == {"CC BY 3.0", "CC BY 4.0", "CC0 1.0", "public domain (NIH)"}
        assert (kept["split"] == every.loc[kept.index, "split"]).all()
        refused = some[some["reason"] == "licence is not permissive"]
        assert len(refused) == 24
        assert set(refused["source_license"]) == {"CC BY-NC-SA 4.0", "unknown"}
        assert (every.loc[refused.index, "reason"] == "").all()


def header_only(path: Path, side: int) -> None:
    """A PNG that claims side x side pixels and has none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + b"\0\0\0\0IEND\xaeB`\x82")


def test_unreadable_images_are_counted_and_do_not_stop(tmp_path: Path) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(16)])
    folder = tmp_path / "covid-19-image-repository" / "png"
    (folder / "h3.png").write_bytes((folder / "h3.png").read_bytes()[:300])
    (folder / "h4.png").write_text("<html>not found</html>")
    (folder / "h5.png").write_bytes(b"")
    header_only(folder / "h6.png", 40_000)
    found = plan_task(TASK, tmp_path, sources=["covid-19-image-repository"])
    assert set(found.left_out["image_id"]) == {f"covid-19-image-repository/h{n}" for n in (3, 4, 5, 6)}
    assert set(found.left_out["reason"]) == {"unreadable image"}
    assert "4  covid-19-image-repository: unreadable image" in found.report()
    assert [note for note in found.notes if "h3.png" in note]
    assert all("\n" not in note for note in found.notes)
    assert len(found.used) == 12


# which pools are used


@pytest.mark.usefixtures("few_rsna")
def test_children_stand_in_where_there_are_no_adults(tmp_path: Path) -> None:
    chestxray(tmp_path, [(n, xray(f"c{n}.png", n)) for n in range(10)])
    kermany(tmp_path, range(100, 110), pneumonia=range(200, 210))
    found = plan_task(TASK, tmp_path)
    assert set(found.used.loc[found.used["label"] == "normal", "source_dataset"]) == {"kermany"}
    assert "radiography is not in the root" in found.notes
    assert [note for note in found.notes if "children (kermany)" in note and "age is a shortcut" in note]
    radiography(tmp_path, range(300, 310))
    adults = plan_task(TASK, tmp_path)
    assert set(adults.used.loc[adults.used["label"] == "normal", "source_dataset"]) == {"radiography"}
    passed = adults.frame[adults.frame["source_dataset"] == "kermany"]
    assert set(passed["reason"]) == {"radiography is used for normal instead"}
    pneumonia = plan_task("pneumonia-vs-covid", tmp_path)
    assert set(pneumonia.used["source_dataset"]) == {"covid-chestxray", "kermany"}
    assert [note for note in pneumonia.notes if "children's (kermany)" in note]


@pytest.mark.usefixtures("few_rsna")
def test_rsna_comes_first(tmp_path: Path) -> None:
    chestxray(tmp_path, [(n, xray(f"c{n}.png", n)) for n in range(10)])
    radiography(tmp_path, range(300, 303))
    for n in range(10):
        save(tmp_path / "rsna" / "stage_2_train_images" / f"r{n}.png", 400 + n)
    for task, count in ((TASK, 6), ("pneumonia-vs-covid", 4)):
        found = plan_task(task, tmp_path)
        assert Counter(found.used["source_dataset"]) == {"covid-chestxray": 10, "rsna": count}
    assert set(plan_task(TASK, tmp_path).left_out["reason"]) == {"rsna is used for normal instead"}


@pytest.mark.usefixtures("few_rsna")
def test_radiography_covid_films_and_its_children_are_never_used(tmp_path: Path) -> None:
    chestxray(tmp_path, [(n, xray(f"c{n}.png", n)) for n in range(10)])
    radiography(tmp_path, range(100, 110), "COVID", first=1)
    radiography(tmp_path, range(200, 210), first=100)  # numbers of Kermany's children
    radiography(tmp_path, range(300, 310))
    found = plan_task(TASK, tmp_path)
    from_radiography = found.used[found.used["source_dataset"] == "radiography"]
    assert set(from_radiography["label"]) == {"normal"}
    assert set(from_radiography["source_id"]) <= {f"Normal-{n}" for n in range(2000, 2010)}
    reasons = found.left_out[found.left_out["source_dataset"] == "radiography"].groupby("reason").size()
    assert reasons[reasons.index.str.startswith("no patient ids")].sum() == 10
    assert reasons["radiography is used for normal instead"] == 10


@pytest.mark.usefixtures("few_rsna")
def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {
        f"{tmp_path} without any of them": lambda: plan_task(TASK, tmp_path),
        "no root, and COVID_SYNTH_SOURCES is not set": lambda: plan_task(TASK),
        "none of the sources asked for (kermany)": lambda: plan_task(TASK, tmp_path, sources=["kermany"]),
        "(an empty list)": lambda: plan_task(TASK, tmp_path, sources=[]),
    }
    for text, run in cases.items():
        with pytest.raises(MissingSource) as caught:
            run()
        assert text in str(caught.value)
        assert "covid-synth sources" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingSource, match="no folder .*absent"):
        plan_task(TASK, tmp_path / "absent")
    usual(tmp_path / "sets")
    monkeypatch.setenv("COVID_SYNTH_SOURCES", str(tmp_path / "sets"))
    assert len(plan_task(TASK).used) == 210


@pytest.mark.usefixtures("few_rsna")
def test_half_a_download_is_an_error_and_not_a_note(tmp_path: Path) -> None:
    usual(tmp_path)
    (tmp_path / "covid-chestxray-dataset" / "metadata.csv").unlink()
    with pytest.raises(SourceError, match=r"metadata\.csv"):
        plan_task(TASK, tmp_path)
    shutil.rmtree(tmp_path / "covid-chestxray-dataset")
    assert "covid-chestxray is not in the root" in plan_task(TASK, tmp_path).notes


def test_without_the_extra_rsna_is_passed_over_unless_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> pd.DataFrame:
        raise MissingExtra("torchxrayvision", "rsna")

    monkeypatch.setattr(rsna, "label_rows", absent)
    usual(tmp_path)
    found = plan_task(TASK, tmp_path)
    assert len(found.used) == 210
    assert [note for note in found.notes if note.startswith("rsna is not in the root") and "[rsna]" in note]
    save(tmp_path / "rsna" / "stage_2_train_images" / "r1.png", 1)
    with pytest.raises(MissingExtra):
        plan_task(TASK, tmp_path)


def test_an_empty_part_says_why(tmp_path: Path) -> None:
    repository(tmp_path, [(n, f"h{n}", n) for n in range(12)], view="L")
    kermany(tmp_path, range(100, 110))
    sources = ["covid-19-image-repository", "kermany"]
    with pytest.raises(
        EmptySplit, match=r"the train part of normal-vs-covid \(clean\) has no covid-19 film"
    ) as at:
        load_task(TASK, tmp_path, sources=sources)
    assert "found 12 lateral view" in str(at.value)
    with pytest.raises(EmptySplit, match="no normal film; found no such film"):
        load_task(TASK, usual(tmp_path / "b"), sources=["covid-19-image-repository"])


def test_phantoms_need_no_root() -> None:
    found = plan_task(TASK, sources=["phantom"], phantom={"size": 64, "patients": 10, "seed": 1})
    assert set(found.used["source_dataset"]) == {"phantom"}
    assert set(found.used["label"]) == {"normal", "covid-19"}
    assert found.used.drop_duplicates("patient_id")["split"].value_counts().to_dict() == {
        "train": 14,
        "test": 4,
        "validation": 2,
    }
    assert not find_leaks(to_splits(found))
    again = plan_task(TASK, sources="phantom", phantom={"size": 64, "patients": 10, "seed": 1})
    assert again.frame.equals(found.frame)


def test_unknown_names(root: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "normal-vs-covid19"}, "unknown task .* did you mean 'normal-vs-covid'"),
        ({"protocol": "zunair2020"}, "unknown protocol .* did you mean 'zunair2021'"),
        ({"sources": ["covid-chest-xray"]}, "unknown source .* did you mean 'covid-chestxray'"),
        ({"licences": "permisive"}, "unknown choice of licences .* did you mean 'permissive'"),
    ]
    for changes, text in cases:
        with pytest.raises(UnknownName, match=text):
            plan_task(**({"name": TASK, "root": root} | changes))
    with pytest.raises(ConfigError, match="phantoms do not mix with real films"):
        plan_task(TASK, root, sources=["phantom", "rsna"])
    with pytest.raises(ConfigError, match="options for phantoms without phantoms"):
        plan_task(TASK, root, phantom={"size": 64})
    for seed in (-1, True, 0.5, None):
        with pytest.raises(ConfigError, match="no such seed"):
            plan_task(TASK, root, seed=seed)  # type: ignore[arg-type]


# the real sets


@needs_labels
@pytest.mark.real_data
def test_zunair2021_on_the_real_metadata(real_root: Path) -> None:
    normal = plan_task(TASK, real_root, "zunair2021")
    assert normal.counts() == {
        "train": {"normal": 16_537, "covid-19": 180},
        "test": {"normal": 4_135, "covid-19": 46},
    }
    pneumonia = plan_task("pneumonia-vs-covid", real_root, "zunair2021").counts()
    assert (pneumonia["train"]["pneumonia"], pneumonia["test"]["pneumonia"]) == (4_758, 1_254)
    covid = normal.frame[normal.frame["label"] == "covid-19"]
    sides = covid.groupby("patient_id")["published"].agg(set)
    assert sides[sides.map(len) > 1].index.tolist() == ["covid-chestxray:166"]
    assert (covid["view"] == "L").sum() == 20
    assert [note for note in normal.notes if "patient 166 is in train and in test" in note]


@pytest.mark.real_data
@pytest.mark.slow
def test_clean_on_the_real_sets(real_root: Path) -> None:
    splits = load_task(TASK, real_root)
    assert not find_leaks(thinned(splits))
    films = {
        name: part.filter(lambda label: label == 1, input_columns="label", load_from_cache_file=False)
        for name, part in splits.items()
    }
    counts = {name: len(part) for name, part in films.items()}
    assert 400 < sum(counts.values()) < 654  # 243 and 411 frontal films, less those in both sets
    assert 0.1 < counts["test"] / sum(counts.values()) < 0.3
    assert min(len(part) - counts[name] for name, part in splits.items()) > 20
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert near_duplicates(films[a], films[b], duplicates.SAME_FILM) == []
        assert near_duplicates(films[a], films[b], duplicates.SAME_PATIENT) == []


@pytest.mark.real_data
@pytest.mark.slow
def test_a_covid_film_is_on_the_same_side_of_both_tasks(real_root: Path) -> None:
    frames = [plan_task(task, real_root).used.set_index("image_id") for task in (TASK, "pneumonia-vs-covid")]
    covid = [frame.loc[frame["label"] == "covid-19", "split"] for frame in frames]
    both = covid[0].index.intersection(covid[1].index)
    assert len(both) > 400
    assert (covid[0][both] == covid[1][both]).all()


def test_images_are_films_of_the_usual_tree(root: Path) -> None:
    """The tree is what the tests above take it for: films of different keys are not alike."""
    paths = sorted((root / "covid-19-image-repository" / "png").iterdir())
    found = duplicates.fingerprints([str(path) for path in paths], [None] * len(paths))
    assert len(duplicates.pairs(found, copies.FLOOR)) == 0
