"""The runner: compositions, reproducibility, what is skipped, what is refused, and the unseen test set."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

import covid_synth_data
from covid_synth_data.benchmark import report, results, run
from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.suite.classification import Data
from covid_synth_data.benchmark.training import reader
from covid_synth_data.errors import BadImage, ConfigError, LeakError, ReleaseError, ResultError, UnknownName
from covid_synth_data.files import pixels
from covid_synth_data.files.store import Store
from covid_synth_data.preprocessing import films
from tests.benchmark.conftest import real, synthetic
from tests.benchmark.running.single import one


def test_a_classifier_learns_what_is_easy(bench, suite):
    bench.suite = suite.model_copy(update={"training": suite.training.model_copy(update={"max_epochs": 25})})
    result = one(bench, "real+gnc")
    assert result.metrics.auc.value > 0.9
    assert result.fitting.best_epoch <= result.fitting.epochs <= 25


def test_frozen_features_are_computed_once(bench, monkeypatch):
    first = one(bench, "augmented", models=["lite0-frozen"], out=bench.arguments["out"] / "a")
    monkeypatch.setattr(reader.FilmReader, "_variant", lambda *_: pytest.fail("a feature was computed again"))
    again = one(bench, "augmented", models=["lite0-frozen"], out=bench.arguments["out"] / "b")
    assert again.predictions == first.predictions
    assert (first.weights.name, first.weights.file) == ("imagenet", "efficientnet-lite0-57934424.pth")


def test_a_film_is_decoded_once(bench, monkeypatch):
    one(bench, "real+gnc")
    monkeypatch.setattr(reader, "load_grey", lambda *_: pytest.fail("a film was decoded again"))
    one(bench, "balanced", seeds=[3])


def test_a_result_is_a_pure_function_of_its_inputs(bench):
    """The same file from another folder, another order of runs and an empty cache."""
    out = bench.arguments["out"]
    first = one(bench, "augmented", seeds=[1])
    paths = run(
        bench.suite,
        **{**bench.arguments, "out": out / "again", "cache_dir": out / "cache"},
        regimes=["real+gnc", "augmented"],
        seeds=[0, 1],
    )
    again = next(
        results.read_result(path) for path in paths if path.parts[-2:] == ("augmented", "seed-1.json")
    )
    same = {"seconds", "code", "hardware"}
    assert again.model_dump(exclude=same) == first.model_dump(exclude=same)
    other = one(bench, "augmented", seeds=[2])
    assert other.predictions != first.predictions


def test_finished_files_stay_and_missing_ones_are_added(bench):
    (first,) = run(bench.suite, **bench.arguments, regimes=["real"])
    before = first.stat().st_mtime_ns, first.read_bytes()
    first_and_second = run(bench.suite, **bench.arguments, regimes=["real"], seeds=2)
    assert first_and_second[0] == first
    assert len(first_and_second) == 2
    assert (first.stat().st_mtime_ns, first.read_bytes()) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.benchmark.conftest import prepare
from covid_synth_data.benchmark import run

def kill(done, total, what):
    if what.startswith("2/4") and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

bench = prepare(Path(sys.argv[1]), setattr)
run(bench.suite, **bench.arguments, regimes=["real", "balanced"], seeds=2, progress=kill)
"""


def test_a_killed_run_goes_on(bench, tmp_path):
    """SIGKILL in the middle of the second of four trainings; the same call then completes the rest."""
    arguments = {**bench.arguments, "regimes": ["real", "balanced"], "seeds": 2}
    whole = {**arguments, "out": tmp_path / "whole", "cache_dir": tmp_path / "other-cache"}
    expected = run(bench.suite, **whole)
    roots = [Path(covid_synth_data.__file__).parents[1], Path(__file__).parents[3]]
    path = os.pathsep.join([*map(str, roots), os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert [file.name for file in (tmp_path / "out").rglob("*.json")] == ["seed-0.json"]
    paths = run(bench.suite, **arguments)
    assert [file.relative_to(tmp_path / "out") for file in paths] == [
        file.relative_to(tmp_path / "whole") for file in expected
    ]
    for ours, theirs in zip(paths, expected, strict=True):
        assert results.validate_result(ours).predictions == results.read_result(theirs).predictions
    assert not [file for file in tmp_path.rglob(".*") if file.is_file()]


def test_the_test_set_chooses_nothing(bench):
    """With every test label turned round, the training is the same to the last digit and so are the
    probabilities; with the films of the test set replaced, the training is still the same."""
    first = one(bench, "real+gnc")
    test = bench.splits["test"]
    turned = [2 - label for label in test["label"][:]]
    bench.splits["test"] = test.remove_columns("label").add_column("label", turned).cast(test.features)
    second = one(bench, "real+gnc", out=bench.arguments["out"] / "turned")
    assert second.fitting == first.fitting
    assert [row.probabilities for row in second.predictions] == [
        row.probabilities for row in first.predictions
    ]
    assert second.metrics.auc.value == pytest.approx(1 - first.metrics.auc.value)
    bench.splits["test"] = real("test", 12, 6, 77)
    third = one(bench, "real+gnc", out=bench.arguments["out"] / "other")
    assert third.fitting == first.fitting
    assert [row.probabilities for row in third.predictions] != [
        row.probabilities for row in first.predictions
    ]


def test_validation_does_choose_the_epoch(bench):
    first = one(bench, "real")
    bench.splits["validation"] = real("validation", 8, 4, 99)
    second = one(bench, "real", out=bench.arguments["out"] / "other")
    assert second.fitting.validation_loss != first.fitting.validation_loss


def test_a_leak_stops_everything(bench):
    leaking = bench.splits["test"].select([0])
    bench.splits["train"] = datasets.concatenate_datasets([bench.splits["train"], leaking])
    with pytest.raises(LeakError):
        run(bench.suite, **bench.arguments, regimes=["real"])
    assert not bench.arguments["out"].exists()


def test_missing_configs_are_named_with_their_regimes(bench, caplog):
    asked = ["real", "real+gnc", "real+gnc+gpc"]
    with pytest.raises(
        ReleaseError, match=r"regimes real\+gnc\+gpc of suite miniature cannot run without gpc"
    ):
        run(bench.suite, **bench.arguments, regimes=asked)
    assert not bench.arguments["out"].exists()
    with caplog.at_level(logging.WARNING):
        paths = run(bench.suite, **bench.arguments, regimes=asked, skip_missing=True)
    assert [path.parent.name for path in paths] == ["real", "real+gnc"]
    assert "regime real+gnc+gpc is left out" in caplog.text
    with pytest.raises(ReleaseError, match="cannot run without gpc"):
        run(bench.suite, **bench.arguments, regimes=["real+gnc+gpc"], skip_missing=True)
    bench.configs["gpc"] = synthetic("gpc", 5, 9)
    assert one(bench, "real+gnc+gpc").composition.synthetic == {"gnc": 12, "gpc": 5}


def test_real_regimes_need_no_release(bench):
    assert one(bench, "real", release=None).dataset is None


def test_configs_that_overlap_are_refused(bench):
    same = synthetic("gnc", 5, 4)
    bench.configs["gpc"] = same.map(lambda _: {"subset": "gpc"}, desc=None)
    with pytest.raises(LeakError, match="twice"):
        run(bench.suite, **bench.arguments, regimes=["real+gnc+gpc"])


def test_results_of_other_data_are_not_taken_for_done(bench):
    one(bench, "real")
    with pytest.raises(ResultError, match="other data or settings.*another folder"):
        one(bench, "real", limit=7)
    training = bench.suite.training.model_copy(update={"batch_size": 8})
    bench.suite = bench.suite.model_copy(update={"training": training})
    with pytest.raises(ResultError, match="other data or settings"):
        one(bench, "real")


def test_predictions_of_unknown_films_are_not_taken_for_done(bench):
    """The file agrees with itself and says the right inputs; only the run knows its test films."""
    (path,) = run(bench.suite, **bench.arguments, regimes=["real"])
    content = json.loads(path.read_text())
    content["predictions"][0]["image_id"] = "elsewhere/1"
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=r"does not predict the films.*2 unknown or missing.*'elsewhere/1'"):
        run(bench.suite, **bench.arguments, regimes=["real"])
    assert json.loads(path.read_text()) == content


def test_a_broken_result_stops_the_run_and_stays(bench):
    (path,) = run(bench.suite, **bench.arguments, regimes=["real"])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ResultError, match="is not a result file"):
        run(bench.suite, **bench.arguments, regimes=["real"], seeds=2)
    assert len(path.read_bytes()) == 500


def test_a_damaged_film_is_named(bench):
    broken = [{"bytes": b"no film", "path": "ward/film-7.png"}] * 20 + [
        {"bytes": cell["bytes"], "path": None}
        for cell in bench.splits["train"].cast_column("image", datasets.Image(decode=False))[20:]["image"]
    ]
    train = bench.splits["train"].remove_columns("image").add_column("image", broken)
    bench.splits["train"] = train.cast_column("image", datasets.Image()).select_columns(
        bench.splits["test"].column_names
    )
    with pytest.raises(BadImage, match="film-7"):
        run(bench.suite, **bench.arguments, regimes=["real"])


def test_progress_reaches_its_end_in_each_stage(bench):
    seen = {}
    run(
        bench.suite,
        **bench.arguments,
        regimes=["real"],
        progress=lambda *step: seen.update({step[2]: step[:2]}),
    )
    assert seen["read"] == (56, 56)
    assert seen["decode"] == (56, 56)
    assert any(what.startswith("1/1 small-cnn real seed 0") for what in seen)


def test_the_pixels_of_the_store_are_those_of_the_film(bench):
    run(bench.suite, **bench.arguments, regimes=["real"])
    store = Store(bench.arguments["cache_dir"] / f"pixels-24-{films.version('plain')}", (24, 24), np.uint8)
    cell = bench.splits["test"].cast_column("image", datasets.Image(decode=False))[3]["image"]
    from covid_synth_data.files.store import content_key

    assert (store.rows([content_key(cell)])[0] == pixels.load_grey(cell)).all()


def test_phantoms_through_the_real_task(tmp_path, suite):
    """Nothing faked: phantoms are drawn, split by patient, trained on, and the table is printed."""
    data = Data(sources=["phantom"], phantom={"size": 32, "patients": 16}, max_positives=8)
    phantoms = suite.model_copy(update={"data": data, "image_size": 32})
    (path,) = run(
        phantoms, out=tmp_path / "out", cache_dir=tmp_path / "cache", regimes=["real"], device="cpu"
    )
    result = results.validate_result(path)
    assert result.composition.real_positives == 8
    assert result.test.positives > 0
    assert "small-cnn (none)" in report(tmp_path / "out")


def test_unknown_names_and_impossible_choices(suite, bench):
    for kind, name in (("models", "smal-cnn"), ("regimes", "reel"), ("tasks", "normal"), ("profile", "quik")):
        with pytest.raises(UnknownName):
            make_request(suite, out="x", **{kind: name if kind == "profile" else [name]})
    with pytest.raises(ConfigError, match="no such seeds"):
        make_request(suite, out="x", seeds=0)
    with pytest.raises(ConfigError, match="no such seeds"):
        make_request(suite, out="x", seeds=[-1])
    with pytest.raises(ConfigError, match="cannot start from weights 'imagenet'"):
        run(suite, **bench.arguments, regimes=["real"], weights="imagenet")
    with pytest.raises(ConfigError, match="no device 'tpu'"):
        run(suite, **{**bench.arguments, "device": "tpu"}, regimes=["real"])


def test_a_regime_of_another_task_is_nothing_to_run(suite):
    other = suite.regimes["real"].model_copy(update={"tasks": []})
    narrow = suite.model_copy(update={"regimes": {"real": other}})
    with pytest.raises(ConfigError, match="nothing to run"):
        make_request(narrow, out="x", regimes=["real"])


def test_a_result_holds_everything(bench):
    (path,) = run(bench.suite, **bench.arguments, regimes=["real"])
    content = json.loads(path.read_text())
    assert path.relative_to(bench.arguments["out"]).parts == (
        "miniature",
        "normal-vs-covid",
        "plain",
        "small-cnn",
        "real",
        "seed-0.json",
    )
    assert content["code"]["libraries"].keys() >= {"python", "torch", "numpy", "datasets"}
    assert content["hardware"]["device"] == "cpu"
    assert content["weights"] == {"name": "none", "file": None, "sha256": None}
    assert content["training"]["max_epochs"] == 3
    assert content["seconds"] > 0
    assert content["left_out"] == [
        {"source": "phantom", "reason": "lateral", "films": 2},
        {"source": "phantom", "reason": "unreadable image", "films": 1},
    ]
    assert content["notes"] == ["phantoms are drawn"]
