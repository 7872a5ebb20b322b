"""Every way of getting onto the leaderboard that is not honest work, or is a slip: one line, exit code 2."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covid_synth_data import leaderboard
from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.errors import CovidSynthError, ResultError
from tests.leaderboard import made
from tests.leaderboard.edits import edit, put


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accepted")
    made.regimes(folder, "quickstart", {"real": 1.0})
    return folder


def drop(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def again(path: Path, change) -> None:
    """Change the predictions, and make everything that follows from them follow: a careful forger."""
    content = json.loads(path.read_text())
    change(content["predictions"])
    rows = [results.Prediction(**row) for row in content["predictions"]]
    classes, positive = content["classes"], content["positive"]
    content["metrics"] = results.measure(rows, classes, positive).model_dump()
    content["test"] = results.film_counts(rows, classes, positive).model_dump()
    path.write_text(json.dumps(content))


def test_what_is_sound_passes(files, accepted, shell):
    done = shell("leaderboard", "validate", *files, "--against", accepted)
    assert done.code == 0, done
    assert "3 files of 1 regimes with 3 seeds are sound" in done.out
    assert "checked      the test set against accepted results" in done.out
    assert "not checked  the training patients of the generators: give --release" in done.out
    done = shell("leaderboard", "validate", files[0].parent, "--json")
    assert json.loads(done.out)["seeds"] == [3]


def test_a_folder_with_everything(everything):
    folder = everything / "menon2020-four-class"
    report = leaderboard.validate([folder], against=everything)
    assert (report.files, report.regimes) == (9, 3)
    assert set(report.seeds) == {3}


NUMBERS = [
    ("metrics", "auc", "value"),
    ("metrics", "auc", "low"),
    ("metrics", "auc", "high"),
    ("metrics", "sensitivity", "value"),
    ("metrics", "sensitivity", "low"),
    ("metrics", "specificity", "high"),
    ("metrics", "accuracy", "value"),
    ("metrics", "sensitivity_at", 0, "threshold"),
    ("metrics", "sensitivity_at", 1, "sensitivity", "value"),
    ("metrics", "calibration", "error"),
    ("metrics", "calibration", "positive_error"),
    ("metrics", "calibration", "brier"),
    ("metrics", "calibration", "reliability", 0, "confidence"),
    ("metrics", "calibration", "positive_reliability", 0, "accuracy", "value"),
]


@pytest.mark.parametrize("keys", NUMBERS, ids=lambda keys: ".".join(map(str, keys)))
@pytest.mark.parametrize("step", [1e-6, -1e-6, math.nan])
def test_every_number_is_recomputed(files, shell, keys, step):
    edit(files[1], put(lambda old: abs(old - abs(step)) if step < 0 or old == 1 else old + step, *keys))
    line = shell("leaderboard", "validate", *files).error("seed-1.json", "Next:")
    assert ".".join(map(str, keys)) in line or "Input should be" in line


COUNTS = [
    ("metrics", "confusion", "tp"),
    ("metrics", "confusion", "fn"),
    ("metrics", "confusion", "fp"),
    ("metrics", "confusion", "tn"),
    ("metrics", "sensitivity", "count"),
    ("metrics", "patients"),
    ("test", "positives"),
    ("test", "negatives"),
    ("test", "patients"),
    ("test", "classes", "normal"),
    ("composition", "real_negatives"),
    ("composition", "real_positives"),
    ("composition", "synthetic", "gnc"),
    ("composition", "negatives"),
    ("composition", "positives"),
    ("composition", "classes", "covid-19"),
]


@pytest.mark.parametrize("keys", COUNTS, ids=lambda keys: ".".join(map(str, keys)))
def test_every_count_adds_up(files, shell, keys):
    edit(files[2], put(lambda old: old + 1, *keys))
    shell("leaderboard", "validate", *files).error("seed-2.json", "contradicts itself")


BAD = {
    "a probability": (put([0.4, 0.6], "predictions", 3, "probabilities"), "is stated as"),
    "a sum": (put([0.5, 0.6], "predictions", 3, "probabilities"), "sum to 1.1"),
    "nan": (put([math.nan, 0.5], "predictions", 3, "probabilities"), "predictions.3.probabilities.0"),
    "inf": (put([math.inf, 0.5], "predictions", 3, "probabilities"), "predictions.3.probabilities.0"),
    "negative": (put([-0.1, 1.1], "predictions", 3, "probabilities"), "predictions.3.probabilities.0"),
    "text": (put(["0.5", 0.5], "predictions", 3, "probabilities"), "predictions.3.probabilities.0"),
    "three": (put([0.2, 0.3, 0.5], "predictions", 3, "probabilities"), "do not fit the classes"),
    "a label": (put(lambda old: 1 - old, "predictions", 3, "label"), "contradicts itself"),
    "a third class": (put(2, "predictions", 3, "label"), "contradicts itself"),
    "a film twice": (lambda c: c["predictions"].append(c["predictions"][0]), "more than once"),
    "a film left out": (lambda c: c["predictions"].pop(), "the test set is stated as"),
    "no films": (put([], "predictions"), "predictions"),
    "no image": (put(" ", "predictions", 3, "image_id"), "without a name or a patient"),
    "an unknown field": (put(1, "comment"), "unknown key 'comment'"),
    "an unknown field inside": (put(1, "metrics", "comment"), "unknown key 'metrics.comment'"),
    "a missing field": (drop("hardware"), "the key 'hardware' is missing"),
    "a missing metric": (drop("metrics", "calibration"), "the key 'metrics.calibration' is missing"),
    "format 1": (put(1, "format"), "wrong value for 'format'"),
    "a seed that is text": (put("1", "seed"), "wrong value for 'seed'"),
    "a seed below 0": (put(-1, "seed"), "seed"),
    "infinite time": (put(math.inf, "seconds"), "seconds"),
    "the skew": (put(0.5, "composition", "skew"), "a skew of 0.5"),
    "an unknown suite": (put("quickstrat", "suite"), "did you mean 'quickstart'"),
    "an older suite": (put("1.0.0", "suite_version"), "another version of its suite; found quickstart 1.0.0"),
    "another rule": (put("class-balanced", "regime_rule", "sampling"), "no such regime as 'mixed'"),
    "an unknown regime": (put("mixt", "regime"), "no such regime as 'mixt'"),
    "an unknown model": (put("resnet50", "model"), "has no model 'resnet50'"),
    "another task": (put("pneumonia-vs-covid", "task"), "another task"),
    "another protocol": (put("zunair2021", "protocol"), "another task"),
    "another size": (put(128, "image_size"), "another task"),
    "another training": (put(500, "training", "max_epochs"), "was not trained as its suite says"),
    "another preprocessing": (put("sharpened", "preprocessing"), "wrong value for 'preprocessing'"),
    "another positive class": (put("normal", "positive"), "contradicts itself"),
    "classes the other way round": (put(["covid-19", "normal"], "classes"), "contradicts itself"),
    "a fold of a suite without": (put(0, "fold"), "no fold 0 of 1"),
    "folds of a suite without": (put(5, "folds"), "no fold None of 5"),
    "no dataset": (put(None, "dataset"), "does not say what its synthetic films were"),
    "another config": (put({"gpc": 20}, "composition", "synthetic"), "does not say what its synthetic films"),
    "an epoch too far": (put(99, "fitting", "best_epoch"), "epoch 99"),
    "no digest": (put("x", "inputs"), "wrong value for 'inputs'"),
}


@pytest.mark.parametrize(("change", "text"), BAD.values(), ids=BAD.keys())
def test_tampering(files, shell, change, text):
    edit(files[1], change)
    shell("leaderboard", "validate", *files).error(text, "seed-1.json", "Next:")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "\x00", '{"format": 2}'])
def test_files_that_are_something_else(files, shell, text):
    files[1].write_text(text)
    shell("leaderboard", "validate", *files).error("is not a result file")


def test_a_file_that_is_not_there(files, shell):
    shell("leaderboard", "validate", *files, files[0].parent / "seed-9.json").error("cannot read")
    (files[0].parent / "empty").mkdir()
    shell("leaderboard", "validate", files[0].parent / "empty").error("no results")


# A careful forger makes the file agree with itself; others have to disagree.


FORGED = {
    "hard films left out": (lambda rows: rows.__delitem__(slice(0, 4)), "4 films are missing"),
    "easy films added": (
        lambda rows: rows.append(rows[0] | {"image_id": "phantom/easy", "patient_id": "phantom:easy"}),
        "1 films do not belong to it, e.g. phantom/easy",
    ),
    "labels turned": (
        lambda rows: [row.update(label=1 - row["label"]) for row in rows[:2]],
        "2 films have another class",
    ),
    "other films": (
        lambda rows: [row.update(image_id="other/" + row["image_id"]) for row in rows],
        "48 films are missing",
    ),
    "patients split": (lambda rows: rows[0].update(patient_id="phantom:new"), "1 films have another patient"),
}


@pytest.mark.parametrize(("change", "text"), FORGED.values(), ids=FORGED.keys())
def test_a_wrong_test_set(files, accepted, shell, change, text):
    for path in files:
        again(path, change)
    assert shell("leaderboard", "validate", *files).code == 0
    shell("leaderboard", "validate", *files, "--against", accepted).error("has the wrong test set", text)


def test_perfect_probabilities_are_not_found_out_by_numbers_alone(files, accepted, shell):
    """What the gate cannot see: made-up predictions on the right films. The page says what was checked."""

    def perfect(rows):
        for row in rows:
            row["probabilities"] = [1.0 - row["label"], float(row["label"])]

    for path in files:
        again(path, perfect)
    assert shell("leaderboard", "validate", *files, "--against", accepted).code == 0


def test_a_task_without_accepted_results(files, tmp_path, shell):
    other = tmp_path / "other"
    made.regimes(other, "zunair2021", {"real": 1.0}, seeds=1)
    shell("leaderboard", "validate", *files, "--against", other).error("has no results of", "--root")
    shell("leaderboard", "validate", *files, "--against", tmp_path / "nowhere").error("no results in")


def test_accepted_results_that_disagree(files, accepted, tmp_path, shell):
    folder = tmp_path / "accepted"
    made.regimes(folder, "quickstart", {"real": 1.0}, seeds=2)
    edit(next(folder.rglob("seed-1.json")), lambda c: c["predictions"].pop())
    shell("leaderboard", "validate", *files, "--against", folder).error("disagree about the test set")


# Seeds and folds.


@pytest.mark.parametrize(
    ("keep", "found"), [((0,), "0"), ((0, 1), "0, 1"), ((1, 2), "1, 2"), ((0, 2), "0, 2")]
)
def test_missing_seeds(files, shell, keep, found):
    shell("leaderboard", "validate", *(files[seed] for seed in keep)).error("lacks seeds", f"found {found};")


def test_a_seed_twice(files, shell, tmp_path):
    copy_of = files[0].parent / "copy.json"
    copy_of.write_text(files[0].read_text())
    shell("leaderboard", "validate", *files, copy_of).error("is the same run as")
    assert shell("leaderboard", "validate", *files, files[0]).code == 0  # the same file named twice


def test_a_regime_of_another_task(tmp_path, shell):
    files = made.regimes(tmp_path, "zunair2021", {"real+gpc": 1.0})
    shell("leaderboard", "validate", *files).error("a regime that its task does not have", "real+gpc")


def test_a_seed_passed_off_as_another(files, shell):
    files[2].write_text(files[0].read_text())
    edit(files[2], put(2, "seed"))
    shell("leaderboard", "validate", *files).error("has the inputs of", "seed-0.json")


def test_seeds_of_different_datasets(files, shell):
    edit(files[2], put("2.0.0", "dataset", "version"))
    shell("leaderboard", "validate", *files).error("do not belong together")


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    return made.regimes(tmp_path_factory.mktemp("folded"), "source-matched", {"real": 0.5})


def test_folds(folded, shell):
    done = shell("leaderboard", "validate", *folded)
    assert "15 files of 1 regimes with 3 seeds are sound" in done.out
    shell("leaderboard", "validate", *folded[:-1]).error(
        "seed 2 lacks folds", "found 0, 1, 2, 3; expected 0 to 4"
    )


def test_a_patient_in_two_folds(folded, tmp_path, shell):
    paths = []
    for path in folded:
        paths.append(tmp_path / f"{path.name}-{len(paths)}.json")
        paths[-1].write_text(path.read_text())
    again(paths[1], lambda rows: rows[0].update(patient_id="phantom:f0-p3"))
    shell("leaderboard", "validate", *paths).error("leaks: 'phantom:f0-p3' is tested in two folds")


# Whatever one changes, the file is refused or says the same.


def leaves(content, path=()):
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    elif isinstance(content, list):
        for index, value in enumerate(content[:2]):
            yield from leaves(value, (*path, index))
    else:
        yield path


STATED = {
    "seconds",
    "hardware",
    "code",
    "notes",
    "left_out",
    "validation",
    "limit",
    "fitting",
    "weights",
    "inputs",
    "dataset",
}
"""What a file tells of itself and nothing in it contradicts; --root and --release check some of it."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_leaf_is_refused(sound, tmp_path, data):
    content = json.loads(sound["seed-0.json"])
    paths = [path for path in leaves(content) if path[0] not in STATED]
    path = data.draw(st.sampled_from(paths))
    value = data.draw(st.sampled_from([-1, 0, 1, 2, 0.123, "x", None, True, 1e9, [], {}]))
    changed = copy.deepcopy(content)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    if old == value or path[-1] in ("image_id", "patient_id", "title", "preprocessing", "seed"):
        return  # other names make another test set, which is for --against to find
    holder[path[-1]] = value
    file = tmp_path / "seed-0.json"
    file.write_text(json.dumps(changed))
    with pytest.raises(CovidSynthError) as problem:
        leaderboard.validate([file, *_others(sound, tmp_path)])
    assert "\n" not in str(problem.value)


def _others(sound, folder):
    for name in ("seed-1.json", "seed-2.json"):
        (folder / name).write_text(sound[name])
        yield folder / name


def test_nothing_to_validate():
    with pytest.raises(ResultError, match="nothing to validate"):
        leaderboard.validate([])
