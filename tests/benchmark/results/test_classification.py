"""Result files: what is right passes, whatever is wrong is named; and the table made of them."""

from __future__ import annotations

import json

import pytest

from covid_synth_data.benchmark import report, results, run
from covid_synth_data.benchmark.reporting.tables import Cell, summarise
from covid_synth_data.benchmark.results import base
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.benchmark.suite.classification import Data
from covid_synth_data.errors import ResultError
from tests.benchmark.conftest import SUITE, prepare, real


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of one sound result file."""
    with pytest.MonkeyPatch.context() as patch:
        bench = prepare(tmp_path_factory.mktemp("bench"), patch.setattr)
        (path,) = run(bench.suite, **bench.arguments, regimes=["real+gnc"])
        return path.read_bytes()


@pytest.fixture
def path(sound, tmp_path):
    path = tmp_path / "seed-0.json"
    path.write_bytes(sound)
    return path


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def drop(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def put(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop("seed"), "the key 'seed' is missing"),
        (drop("metrics", "auc", "low"), "the key 'metrics.auc.low' is missing"),
        (put(1, "extra"), "unknown key 'extra'"),
        (put(1, "format"), "wrong value for 'format'"),
        (put("a", "predictions", 2, "patient"), "unknown key 'predictions.2.patient'"),
        (put("a", "predictions", 2, "patient"), "did you mean 'patient_id'?"),
        (drop("predictions", 2, "label"), "the key 'predictions.2.label' is missing"),
        (put("1", "predictions", 2, "label"), "wrong value for 'predictions.2.label'"),
        (put("0.5", "predictions", 2, "probabilities", 0), "'predictions.2.probabilities.0'"),
        (put(7, "predictions", 2, "image_id"), "wrong value for 'predictions.2.image_id'"),
        (put(float("nan"), "predictions", 2, "probabilities", 0), "predictions.2.probabilities.0"),
        (put(float("nan"), "metrics", "auc", "value"), "metrics.auc.value"),
        (put(1.2, "predictions", 2, "probabilities", 1), "predictions.2.probabilities.1"),
        (put([1.0], "predictions", 2, "probabilities"), "predictions.2.probabilities"),
        (put([0.5, 0.2], "predictions", 2, "probabilities"), "sum"),
        (put([0.2, 0.5, 0.3], "predictions", 2, "probabilities"), "do not fit the classes"),
        (put(2, "predictions", 2, "label"), "the classes normal, covid-19 lack one, that of"),
        (put(-1, "predictions", 2, "label"), "predictions.2.label"),
        (put("pneumonia", "positive"), "the classes normal, covid-19 lack one, that of"),
        (put(0, "fold"), "there is no fold 0 of 1"),
        (put(5, "folds"), "there is no fold None of 5"),
        (put(3, "composition", "classes", "normal"), "do not add up"),
        (put("sideways", "preprocessing"), "preprocessing"),
        (put([], "predictions"), "predictions"),
        (put("../../x", "regime"), "regime"),
        (
            put("phantom/test-0", "predictions", 1, "image_id"),
            "more than once, the first is 'phantom/test-0'",
        ),
        (put(0.123, "metrics", "auc", "value"), "metrics.auc.value is stated as 0.123"),
        (put(17, "metrics", "confusion", "tn"), "metrics.confusion.tn is stated as 17"),
        (
            put(0.999, "metrics", "sensitivity_at", 0, "sensitivity", "high"),
            "sensitivity_at.0.sensitivity.high",
        ),
        (put(1, "predictions", 0, "label"), "the test set is stated as"),
        (put(13, "test", "negatives"), "the test set is stated as"),
        (put(5.0, "composition", "skew"), "a skew of 5.0 does not follow"),
        (put(11, "composition", "synthetic", "gnc"), "38 training films are not the 37"),
        (put(9, "regime_rule", "positives"), "the regime asks for 9 positives, 18 are stated"),
        (put(99, "fitting", "best_epoch"), "epoch 99 was kept of 3"),
        (
            lambda content: content.update(suite="zunair2021", suite_version="3.0.0"),
            "suite zunair2021 3.0.0 has no such regime",
        ),
    ],
)
def test_files_that_contradict_themselves(path, change, text):
    results.validate_result(path)
    edit(path, change)
    with pytest.raises(ResultError) as caught:
        results.validate_result(path)
    assert text in str(caught.value)
    assert str(path) in str(caught.value)


def test_more_real_films_than_the_suite_allows(path, monkeypatch):
    stated = results.read_result(path)
    data = Data(max_negatives=stated.composition.real_negatives - 1)
    limited = ClassificationSuite.model_validate({**SUITE, "data": data})
    monkeypatch.setattr(base, "is_suite", lambda name: name == "miniature")
    monkeypatch.setattr(base, "load_suite", lambda _: limited)
    with pytest.raises(ResultError, match="suite miniature 1.0.0 allows 19 real negatives, not 20"):
        results.validate_result(path)


def test_a_prediction_that_was_touched_is_found(path):
    predictions = json.loads(path.read_text())["predictions"]
    best = max((row for row in predictions if row["label"]), key=lambda row: row["probabilities"][1])
    edit(path, put([1.0, 0.0], "predictions", predictions.index(best), "probabilities"))
    with pytest.raises(ResultError, match="the predictions give"):
        results.validate_result(path)


def test_one_class_only(path):
    content = json.loads(path.read_text())
    kept = [row for row in content["predictions"] if row["label"]]
    edit(path, put(kept, "predictions"))
    classes = {"normal": 0, "covid-19": len(kept)}
    edit(path, put({"negatives": 0, "positives": len(kept), "patients": 3, "classes": classes}, "test"))
    with pytest.raises(ResultError, match="one class only"):
        results.validate_result(path)


def test_no_file(tmp_path):
    with pytest.raises(ResultError, match="cannot read"):
        results.validate_result(tmp_path / "seed-0.json")
    with pytest.raises(ResultError, match="no such folder"):
        report(tmp_path / "none")
    with pytest.raises(ResultError, match=r"no files seed-"):
        report(tmp_path)


def test_the_table_shows_every_number_with_its_interval(bench):
    run(bench.suite, **bench.arguments, regimes=["real", "skewed"], seeds=2)
    rows = summarise(bench.arguments["out"])
    assert [(row.regime, row.seeds) for row in rows] == [("real", [0, 1]), ("skewed", [0, 1])]
    skewed = rows[1]
    assert (skewed.skew, skewed.synthetic, skewed.dataset) == (2.0, {"gnc": 4}, "covid-synth-cxr 0.1.0")
    text = report(bench.arguments["out"], comparing=False, published=False)
    assert "tested on 6 positive and 12 negative films of 9 patients" in text
    for row in rows:
        for cell in (row.sensitivity, row.specificity, row.auc, *row.sensitivity_at.values()):
            assert cell.low <= cell.mean <= cell.high
            assert cell.lowest <= cell.mean <= cell.highest
            assert str(cell) in text
    assert "20 neg, 6 pos + 4 gnc" in text
    assert "Note: phantoms are drawn" in text
    assert "95 %" in text
    lengths = {len(line) for line in text.splitlines() if line.startswith("|")}
    assert len(lengths) == 1


def test_a_cell_leaves_out_a_range_that_is_none():
    assert str(Cell(mean=0.5, lowest=0.5, highest=0.5, low=0.1, high=0.9)) == "0.500 [0.100 to 0.900]"
    assert str(Cell(mean=0.5, lowest=0.5001, highest=0.5002, low=0.1, high=0.9)).count("0.500") == 1
    assert (
        str(Cell(mean=0.5, lowest=0.4, highest=0.6, low=0.1, high=0.9))
        == "0.500 {0.400 to 0.600} [0.100 to 0.900]"
    )


def test_results_on_other_films_do_not_share_a_table(bench):
    run(bench.suite, **bench.arguments, regimes=["real"])
    bench.splits["test"] = real("test", 14, 6, 3)
    run(bench.suite, **bench.arguments, regimes=["balanced"])
    with pytest.raises(ResultError, match="different films"):
        report(bench.arguments["out"])


def test_seeds_with_different_data_do_not_share_a_row(bench):
    run(bench.suite, **bench.arguments, regimes=["real"])
    run(bench.suite, **bench.arguments, regimes=["real"], seeds=[1], limit=7)
    with pytest.raises(ResultError, match="do not belong together"):
        report(bench.arguments["out"])
