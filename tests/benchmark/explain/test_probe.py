"""Probes of classifiers: a planted shortcut is found, a lesion is no shortcut, and the file is checked."""

from __future__ import annotations

import functools
import io
import json
import types

import datasets
import pandas as pd
import pytest
import tomlkit
from PIL import Image

from covid_synth_data import tasks
from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.explain.probe import LEAST, probe
from covid_synth_data.benchmark.explain.retraining import request_retraining
from covid_synth_data.benchmark.results.probes import ProbeResult
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import ConfigError, MetricError, ResultError
from covid_synth_data.metrics import crossed, detection, resampling
from covid_synth_data.preprocessing import lung_shapes, lungs
from covid_synth_data.schema import COVID, REAL_COLUMNS, features
from covid_synth_data.sources import phantom
from tests.benchmark.running.test_folds import suite_of

SIDE = 128

SUITE = {
    "name": "probed",
    "version": "1.0.0",
    "title": "Probed",
    "tasks": ["normal-vs-covid"],
    "image_size": SIDE,
    "training": {
        "optimizer": "adam",
        "learning_rate": 0.003,
        "batch_size": 16,
        "max_epochs": 30,
        "patience": 30,
    },
    "regimes": {
        "real": {"title": "Real", "mix": "real"},
        "balanced": {"title": "Balanced", "mix": "real", "sampling": "class-balanced"},
        "scores": {"title": "Scores", "mix": "add", "synthetic": ["gnc"], "join": "scores"},
    },
    "models": {"lite0-frozen": {}, "lite0-bgt": {}, "small-cnn": {"weights": "none"}},
    "profiles": {"quick": {"models": ["lite0-frozen"], "seeds": 2}},
}

SHORT = {
    **SUITE,
    "training": {**SUITE["training"], "max_epochs": 1},
    "profiles": {"quick": {"models": ["small-cnn"], "seeds": 1}},
}
"""For tests in which nothing need be learned."""


def encoded(pixels) -> dict[str, object]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


@functools.cache
def drawn(name: str, count: int, seed: int, shortcut: bool) -> datasets.Dataset:
    """As many films of each class. With `shortcut` the films called positive have a light border; without,
    the lower half of their lungs is lighter."""
    rows = {column: [""] * (2 * count) for column in REAL_COLUMNS}
    labels = [0] * count + [COVID] * count
    films = []
    for number, label in enumerate(labels):
        film = phantom.draw("normal", SIDE, seed, number, 1).copy()
        if label and shortcut:
            film[:5], film[-5:], film[:, :5], film[:, -5:] = 230, 230, 230, 230
        elif label:
            lower = phantom.lung_mask("normal", SIDE, seed, number, 1) > 0.5
            lower[: SIDE // 2] = False
            film[lower] = film[lower] // 2 + 90
        films.append(encoded(film))
    rows["image"], rows["label"] = films, labels
    rows["image_id"] = [f"phantom/{name}-{n}" for n in range(2 * count)]
    rows["patient_id"] = [f"phantom:{name}-{n}" for n in range(2 * count)]
    rows["source_dataset"] = ["phantom"] * (2 * count)
    rows["source_id"] = [f"{name}-{n}" for n in range(2 * count)]
    rows["view"] = [("PA" if n % count < LEAST else "AP") for n in range(2 * count)]
    return datasets.Dataset.from_dict(rows, features=features(REAL_COLUMNS))


def options_of(folder, patch, shortcut):
    parts = datasets.DatasetDict(
        {
            name: drawn(name, count, place, shortcut)
            for place, (name, count) in enumerate((("train", 20), ("validation", 6), ("test", 24)))
        }
    )
    left_out = pd.DataFrame({"source_dataset": [], "reason": []})
    plan = types.SimpleNamespace(left_out=left_out, notes=("drawn",), classes=("normal", "covid-19"))
    patch.setattr(tasks, "plan_task", lambda *_args, **_options: plan)
    patch.setattr(tasks, "to_splits", lambda _plan: datasets.DatasetDict(parts))
    return {"cache_dir": folder / "cache", "device": "cpu"}


@pytest.fixture(scope="module", params=[True, False], ids=["shortcut", "lesions"])
def probed(request, tmp_path_factory):
    """A probe of `real` and `balanced`, and the results of the same trainings by the suite."""
    folder = tmp_path_factory.mktemp("probed")
    suite = ClassificationSuite.model_validate(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        options = options_of(folder, patch, request.param)
        found = probe(
            request_retraining(suite, folder / "probe.json", regimes=["real", "balanced"], **options)
        )
        paths = run(suite, out=folder / "out", regimes=["real"], **options)
    return types.SimpleNamespace(
        shortcut=request.param,
        found=found,
        path=folder / "probe.json",
        ran=[results.validate_result(path) for path in paths],
    )


def test_a_shortcut_keeps_its_auc_where_the_lungs_are_gone_and_lesions_do_not(probed):
    auc = {change: probed.found.row("test", change, "real").auc for change in ("whole", "borders", "lungs")}
    outside = probed.found.row("test", "outside-lungs", "real").auc
    assert auc["whole"].value > 0.9
    if probed.shortcut:
        assert auc["borders"].value > 0.95
        assert outside.value > 0.95
        assert auc["lungs"].low < 0.5 < auc["lungs"].high
    else:
        assert auc["borders"].low < 0.5 < auc["borders"].high
        assert outside.value < auc["whole"].value - 0.15
        assert auc["lungs"].value > outside.value


def test_whole_films_give_the_auc_of_the_suites_own_results(probed):
    row = probed.found.row("test", "whole", "real")
    lost = probed.found.films["test"]
    assert lost.negatives_without_lungs == lost.positives_without_lungs == 0
    assert row.seeds == pytest.approx([result.metrics.auc.value for result in probed.ran], abs=1e-6)


def test_a_difference_is_the_crossed_one_of_the_scores(probed):
    """The film scores of the result files, by hand."""
    first = probed.ran[0].predictions
    draws = resampling.draw([row.label for row in first], [row.patient_id for row in first])
    scores = [[row.probabilities[1] for row in result.predictions] for result in probed.ran]
    by_hand = crossed.interval(resampling.evaluate(draws, scores)["auc"])
    stated = probed.found.row("test", "whole", "real").auc
    assert (stated.low, stated.high) == pytest.approx((by_hand.low, by_hand.high), abs=1e-6)
    assert probed.found.baselines == ["real", "balanced"]
    row = probed.found.row("test", "lungs", "balanced")
    assert set(row.over) == {"real"}
    difference = row.over["real"].difference
    assert difference == pytest.approx(row.auc.value - probed.found.row("test", "lungs", "real").auc.value)


def test_films_of_one_view_are_tested_alone_where_there_are_enough(probed):
    """Of each class 20 test films are PA and 4 are AP."""
    assert [(row.part, row.view, row.regime) for row in probed.found.views] == [
        ("test", "PA", "real"),
        ("test", "PA", "balanced"),
    ]
    row = probed.found.views[0]
    assert (row.negatives, row.positives) == (LEAST, LEAST)
    ids = {f"phantom/test-{n}" for n in range(48) if n % 24 < LEAST}
    for auc, result in zip(row.seeds, probed.ran, strict=True):
        shown = [one for one in result.predictions if one.image_id in ids]
        by_hand = detection.auc([one.label for one in shown], [one.probabilities[1] for one in shown])
        assert auc == pytest.approx(by_hand, abs=1e-6)


def test_the_file_is_read_again_and_a_changed_number_is_refused(probed, tmp_path):
    assert results.validate_as(probed.path, ProbeResult) == probed.found
    content = json.loads(probed.path.read_text())
    content["rows"][0]["auc"]["value"] -= 0.01
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="its seeds give"):
        results.validate_as(forged, ProbeResult)
    content = json.loads(probed.path.read_text())
    content["rows"][0]["over"]["balanced"]["difference"] += 0.01
    forged.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="the values give"):
        results.validate_as(forged, ProbeResult)
    content = json.loads(probed.path.read_text())
    content["rows"].append(content["rows"][0])
    forged.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="each of .* once"):
        results.validate_as(forged, ProbeResult)


def test_films_without_two_lungs_are_left_out_and_counted(tmp_path, monkeypatch):
    options = options_of(tmp_path, monkeypatch, shortcut=False)
    mask = lung_shapes.ellipse(128)
    looked = iter(range(10**6))
    monkeypatch.setattr(lungs, "find", lambda grey: lung_shapes.Fields(mask, next(looked) % 3 != 0))
    suite = ClassificationSuite.model_validate(SHORT)
    found = probe(request_retraining(suite, tmp_path / "probe.json", regimes=["real"], **options))
    films = found.films["test"]
    # The test films come first.
    lost = [number % 3 == 0 for number in range(48)]
    assert (films.negatives_without_lungs, films.positives_without_lungs) == (sum(lost[:24]), sum(lost[24:]))
    assert films.negatives == 24 - sum(lost[:24])
    assert films.patients == 48 - sum(lost)


def test_a_class_without_lungs_is_one_line_and_no_file(tmp_path, monkeypatch):
    options = options_of(tmp_path, monkeypatch, shortcut=False)
    monkeypatch.setattr(lungs, "find", lambda grey: lung_shapes.Fields(lung_shapes.ellipse(128), False))
    suite = ClassificationSuite.model_validate(SHORT)
    with pytest.raises(MetricError, match="no negative film of test can be probed"):
        probe(request_retraining(suite, tmp_path / "probe.json", regimes=["real"], **options))
    assert not (tmp_path / "probe.json").exists()


def test_folds_are_pooled_and_a_network_is_probed(tmp_path):
    suite = suite_of(image_size=64, data={"sources": ["phantom"], "phantom": {"size": 128, "patients": 12}})
    out = tmp_path / "probe.json"
    options = {"cache_dir": tmp_path / "cache", "device": "cpu"}
    found = probe(request_retraining(suite, out, regimes=["real"], seeds=1, **options))
    paths = run(suite, out=tmp_path / "out", regimes=["real"], seeds=1, **options)
    tested = sum(results.validate_result(path).test.positives for path in paths)
    films = found.films["test"]
    assert set(found.films) == {"test"}
    assert films.positives + films.positives_without_lungs == tested
    assert found.baselines == ["real"]
    assert found.row("test", "whole", "real").over == {}


def test_some_films_of_each_class_are_drawn(tmp_path, monkeypatch):
    options = options_of(tmp_path, monkeypatch, shortcut=False)
    suite = ClassificationSuite.model_validate(SHORT)
    found = probe(request_retraining(suite, tmp_path / "probe.json", regimes=["real"], films=5, **options))
    assert found.drawn == 5
    for films in found.films.values():
        assert films.negatives + films.negatives_without_lungs == 5
        assert films.positives + films.positives_without_lungs == 5


def test_what_cannot_be_probed_is_said_before_anything_is_read(tmp_path):
    suite = ClassificationSuite.model_validate(SUITE)
    out = tmp_path / "probe.json"
    with pytest.raises(ConfigError, match="lite0-bgt is no network"):
        probe(request_retraining(suite, out, regimes=["real"], model="lite0-bgt"))
    with pytest.raises(ConfigError, match="adds the scores of two classifiers"):
        probe(request_retraining(suite, out, regimes=["scores"]))
    with pytest.raises(ConfigError, match="lungs alone"):
        probe(request_retraining(suite, out, regimes=["real"], preprocessing="lungs"))


def test_without_named_regimes_those_of_one_classifier_are_looked_into(tmp_path):
    suite = ClassificationSuite.model_validate(SUITE)
    every = {run.regime for run in request_retraining(suite, tmp_path / "probe.json").runs}
    assert every == {name for name, rule in suite.regimes.items() if rule.join != "scores"}
    assert len(every) < len(suite.regimes)


def test_the_command(tmp_path, shell):
    path, out = tmp_path / "folded.toml", tmp_path / "probe.json"
    content = suite_of(
        image_size=64,
        folds=1,
        protocol="clean",
        tasks=["normal-vs-covid"],
        data={"sources": ["phantom"], "phantom": {"size": 128, "patients": 20}},
    )
    path.write_text(tomlkit.dumps(content.model_dump(exclude_none=True)))
    asked = ["benchmark", "probe", path, "--regime", "real", "--seeds", "1", "--device", "cpu", "-o", out]
    said = shell(*asked).out
    assert "8 x 8 means, enlarged" in said
    assert f"{results.validate_as(out, ProbeResult).row('test', 'borders', 'real').auc.value:.3f}" in said
    shell(*asked[:-2], "--preprocessing", "lungs", "-o", out).error("cannot be probed")
    shell(*asked[:3], "--regime", "reel", "-o", out).error("did you mean")
