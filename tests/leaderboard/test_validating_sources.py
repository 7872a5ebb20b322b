"""Result files against the real sets and against the release that they name."""

from __future__ import annotations

import json

import pytest

from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.benchmark.suite import load_suite
from covid_synth_data.leaderboard import classification
from tests.leaderboard import made
from tests.leaderboard.edits import edit, put
from tests.support import fake_subset, write_weights


@pytest.fixture(scope="module")
def split():
    """The films of the suite quickstart, as it splits them."""
    from covid_synth_data import tasks

    data = load_suite("quickstart").data
    plan = tasks.plan_task("normal-vs-covid", None, "clean", sources=data.sources, phantom=data.phantom)
    return plan.used


@pytest.fixture
def planned(split, monkeypatch):
    """The same without splitting again; `test_split_again` does."""
    monkeypatch.setattr(classification, "_split", lambda _result, _root: split)
    return split


def rows_of(used, part):
    chosen = used[used["split"] == part]
    labels = [("normal", "covid-19").index(name) for name in chosen["class"]]
    return list(zip(chosen["image_id"], chosen["patient_id"], labels, strict=True))


def submit(folder, used, rows, **changes):
    held = used[used["split"] == "validation"]
    counts = {name: int((held["class"] == name).sum()) for name in ("normal", "covid-19")}
    validation = results.FilmCounts(
        negatives=counts["normal"],
        positives=counts["covid-19"],
        patients=held["patient_id"].nunique(),
        classes=counts,
    )
    found = [made.made("quickstart", "real", seed, rows=rows, validation=validation) for seed in range(3)]
    return made.write(folder, *(one.model_copy(update=changes) for one in found))


def test_split_again(split, tmp_path, shell):
    files = submit(tmp_path / "sound", split, rows_of(split, "test"))
    done = shell("leaderboard", "validate", *files, "--root", tmp_path)
    assert done.code == 0, done
    assert "checked      test set, training counts and leaks against the real sets" in done.out


def test_patients_of_the_training_films(planned, tmp_path, shell):
    image, patient, label = rows_of(planned, "train")[0]
    rows = rows_of(planned, "test")
    for leaked in ((image, patient, label), ("phantom/new", patient, label)):
        files = submit(tmp_path / leaked[0].replace("/", "-"), planned, [*rows, leaked])
        assert shell("leaderboard", "validate", *files).code == 0
        shell("leaderboard", "validate", *files, "--root", tmp_path).error(
            "leaks: it tests on patients of its"
        )


def test_films_that_are_not_tested_on(planned, tmp_path, shell):
    files = submit(tmp_path / "fewer", planned, rows_of(planned, "test")[1:])
    shell("leaderboard", "validate", *files, "--root", tmp_path).error(
        "has the wrong test set", "1 films are missing"
    )


def test_more_real_films_than_there_are(planned, tmp_path, shell):
    result = made.made("quickstart", "real")
    many = result.composition.model_copy(
        update={
            "real_negatives": 900,
            "negatives": 900,
            "skew": 90.0,
            "classes": {"normal": 900, "covid-19": 10},
        }
    )
    files = submit(tmp_path / "many", planned, rows_of(planned, "test"), composition=many)
    shell("leaderboard", "validate", *files, "--root", tmp_path).error(
        "states real training negatives", "found 900"
    )
    other = submit(tmp_path / "held", planned, rows_of(planned, "test"), validation=result.validation)
    shell("leaderboard", "validate", *other, "--root", tmp_path).error("states validation")


def release_of(folder, films=(), patients=()):
    """A release that has nothing but its manifest and the card of its weights."""
    learned_from = {"films": list(films), "patients": list(patients)}
    folder.mkdir()
    subset = fake_subset(learned_from)
    content = {
        "format": 1,
        "name": "covid-synth-cxr",
        "version": "1.0.0",
        "files": write_weights(folder, learned_from),
        "subsets": {"gnc": subset},
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def digest(folder):
    import hashlib

    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("learned", "leaks"),
    [
        ({"films": ["phantom/elsewhere"], "patients": ["phantom:elsewhere"]}, False),
        ({"films": ["phantom/p3-1"]}, True),
        ({"patients": ["phantom:p3"]}, True),
    ],
)
def test_whom_the_generator_learned_from(files, tmp_path, shell, learned, leaks):
    release = release_of(tmp_path / "release", **learned)
    for path in files:
        edit(path, put(digest(release), "dataset", "manifest_sha256"))
    done = shell("leaderboard", "validate", *files, "--release", release)
    if leaks:
        done.error("a generator of the release learned from", "phantom/p3")
    else:
        assert "checked      the training patients of the generators" in done.out


def test_another_release(files, tmp_path, shell):
    release = release_of(tmp_path / "release")
    shell("leaderboard", "validate", *files, "--release", release).error("was trained on another release")
