"""Folds: one file each, pooled in the table, each film tested once; and tasks of more than two classes."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from covid_synth_data.benchmark import report, results, run
from covid_synth_data.benchmark.reporting.collect import collect
from covid_synth_data.benchmark.reporting.tables import summarise
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import ResultError

PHANTOMS = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 12}}


def suite_of(**changes) -> ClassificationSuite:
    content = {
        "name": "folded",
        "version": "1.0.0",
        "title": "Folded",
        "tasks": ["covid-vs-other"],
        "protocol": "source-matched",
        "folds": 3,
        "image_size": 32,
        "data": PHANTOMS,
        "training": {"optimizer": "adam", "learning_rate": 0.01, "max_epochs": 2},
        "regimes": {
            "real": {"title": "Real", "mix": "real"},
            "real-balanced": {"title": "Balanced", "mix": "real", "sampling": "class-balanced"},
        },
        "models": {"small-cnn": {"weights": "none"}},
        "profiles": {"quick": {"models": ["small-cnn"], "seeds": 2}},
    }
    return ClassificationSuite.model_validate({**content, **changes})


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """The results of all folds, to be read only."""
    folder = tmp_path_factory.mktemp("folded")
    paths = run(suite_of(), out=folder / "out", cache_dir=folder / "cache", device="cpu")
    assert len(paths) == 2 * 2 * 3
    return folder / "out"


def test_each_film_is_tested_in_one_fold(folded):
    names = sorted(path.name for path in folded.rglob("seed-*.json"))
    assert names == sorted([f"seed-{s}.fold-{f}.json" for s in (0, 1) for f in (0, 1, 2)] * 2)
    for group in collect(folded):
        for seed in group.seeds:
            tested = [{row.image_id for row in one.predictions} for one in seed.results]
            assert len(set().union(*tested)) == sum(map(len, tested)) == len(seed.predictions)
            patients = [{row.patient_id for row in one.predictions} for one in seed.results]
            assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]


def test_the_table_pools_the_folds_of_a_seed(folded):
    rows = summarise(folded)
    assert [(row.regime, row.seeds, row.folds) for row in rows] == [
        ("real", [0, 1], 3),
        ("real-balanced", [0, 1], 3),
    ]
    one = collect(folded)[0].seeds[0]
    wrong = sum(result.metrics.confusion.fn for result in one.results)
    assert rows[0].false_negatives[0] == one.metrics.confusion.fn == wrong
    assert rows[0].test_positives == sum(result.test.positives for result in one.results)
    assert "in 3 folds by patient" in report(folded)


def test_the_mean_of_the_folds_stands_beside_the_pooled_auc(folded):
    for row in summarise(folded):
        for seed, stated in zip(row.seeds, row.auc_of_folds, strict=True):
            paths = [path for path in results.find(folded) if path.name.startswith(f"seed-{seed}.")]
            found = [results.validate_result(path) for path in paths]
            within = [one.metrics.auc.value for one in found if one.regime == row.regime]
            assert len(within) == row.folds
            assert stated == pytest.approx(np.mean(within))
    assert "| AUC, mean of folds |" in re.sub(" +", " ", report(folded))


def test_a_missing_fold_is_named(folded, tmp_path):
    shutil.copytree(folded, tmp_path / "out")
    next((tmp_path / "out").rglob("seed-1.fold-1.json")).unlink()
    with pytest.raises(ResultError, match="seed 1 does not have each fold once; found 0, 2; expected 0 to 2"):
        summarise(tmp_path / "out")


def test_folds_that_share_films_are_refused(folded, tmp_path):
    shutil.copytree(folded, tmp_path / "out")
    first = next((tmp_path / "out").rglob("seed-1.fold-1.json"))
    result = results.read_result(first)
    other = results.read_result(first.with_name("seed-1.fold-2.json"))
    first.write_text(other.model_copy(update={"fold": result.fold}).model_dump_json())
    with pytest.raises(ResultError, match="a film is tested in two folds"):
        summarise(tmp_path / "out")


def test_four_classes(tmp_path):
    """Probabilities of each class, metrics of each, and the positive class against the rest."""
    suite = suite_of(name="four", tasks=["four-class-menon"], protocol="menon2020", folds=1)
    paths = run(suite, out=tmp_path / "out", cache_dir=tmp_path / "cache", device="cpu", seeds=1)
    result = results.validate_result(paths[0])
    assert result.classes == ["normal", "bacterial-pneumonia", "viral-pneumonia", "covid-19"]
    assert list(result.composition.classes) == result.classes
    found = result.metrics.multiclass
    assert found is not None
    assert [sum(row) for row in found.confusion] == list(result.test.classes.values())
    for row in result.predictions:
        assert len(row.probabilities) == 4
        assert sum(row.probabilities) == pytest.approx(1)
    positives = [row for row in result.predictions if row.label == 3]
    called = sum(row.probabilities[3] >= 0.5 for row in positives)
    assert result.metrics.sensitivity.count == called
    (row,) = [row for row in summarise(tmp_path / "out") if row.regime == "real"]
    assert row.accuracy.mean == found.accuracy.value
    assert row.macro_sensitivity is not None
    assert "mean sensitivity of the classes" in report(tmp_path / "out")


TWO_FOLDS = suite_of(folds=2)
ONE_REGIME = {"device": "cpu", "seeds": 1, "regimes": ["real"]}


@pytest.fixture(scope="module")
def plain_folds(tmp_path_factory):
    """The results of `TWO_FOLDS` on unprocessed films, to be copied: their folder and paths."""
    folder = tmp_path_factory.mktemp("plain")
    return folder / "out", run(TWO_FOLDS, out=folder / "out", cache_dir=folder / "cache", **ONE_REGIME)


@pytest.mark.parametrize("kind", ["re-encoded", "harmonised", "lungs"])
def test_a_suite_under_another_preprocessing(plain_folds, tmp_path, kind):
    folder, plain = plain_folds
    shutil.copytree(folder, tmp_path / "out")
    plain = [tmp_path / "out" / path.relative_to(folder) for path in plain]
    other = run(
        TWO_FOLDS, out=tmp_path / "out", cache_dir=tmp_path / "cache", preprocessing=kind, **ONE_REGIME
    )
    assert {path.parts[-4] for path in other} == {kind}
    assert not set(plain) & set(other)
    a, b = results.validate_result(plain[0]), results.validate_result(other[0])
    assert (a.preprocessing, b.preprocessing) == ("plain", kind)
    assert a.inputs != b.inputs
    assert [row.probabilities for row in a.predictions] != [row.probabilities for row in b.predictions]
    assert any("lungs were not found" in note for note in b.notes) == (kind == "lungs")
    assert [row.preprocessing for row in summarise(tmp_path / "out")] == ["plain", kind]
