"""The suite same-source on another source: the name, the splits, what is held back, and a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_synth_data import benchmark
from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.suite import is_suite, load_classifiers, load_suite
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.sources import rsna
from covid_synth_data.tasks import check_leaks, plan_task, to_splits
from tests.trees import bimcv, siim, usual

pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")

SUITE = "same-source@siim-covid19"


class Bright:
    """A classifier of the user: the mean grey of a film."""

    def __init__(self, seed: int) -> None:
        self.middle = 0.0

    def fit(self, films: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> None:
        self.middle = films.mean()

    def predict_proba(self, films: np.ndarray) -> np.ndarray:
        positive = 1 / (1 + np.exp((self.middle - films.mean(axis=(1, 2))) / 20))
        return np.stack([1 - positive, positive], axis=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual tree, and SIIM: 40 patients, every fifth with a normal study and one with an opacity."""
    root = tmp_path_factory.mktemp("sourced")
    usual(root)
    films = [(50_000 + n, n, n % 4 if n % 2 else 0) for n in range(40)]
    films += [(60_000 + n, n, 1) for n in range(0, 40, 5) if n % 2 == 0]
    siim(root, films)
    return root


@pytest.fixture(autouse=True)
def _four_rsna(monkeypatch: pytest.MonkeyPatch) -> None:
    names = pd.DataFrame({"patientId": [f"r{n}" for n in range(4)], "Target": [0] * 3 + [1]})
    monkeypatch.setattr(rsna, "label_rows", lambda: names)
    monkeypatch.setattr(rsna, "_headers", dict)


def test_names() -> None:
    suite = load_classifiers(SUITE)
    assert (suite.name, suite.version) == (SUITE, load_suite("same-source").version)
    assert suite.data.sources == ["siim-covid19"]
    assert set(suite.regimes) == set(load_classifiers("same-source").regimes)
    assert is_suite(SUITE)
    assert not is_suite("same-source@rsna")
    assert not is_suite("quickstart@siim-covid19")
    with pytest.raises(UnknownName, match="did you mean 'siim-covid19'"):
        load_suite("same-source@siim-covid-19")
    with pytest.raises(ConfigError, match="the suite external fixes its sources"):
        load_suite("external@siim-covid19")


def test_patients_of_the_set_stay_whole(root: Path) -> None:
    for fold in range(3):
        plan = plan_task(
            "opacity-vs-normal", root, "same-source", sources=["siim-covid19"], folds=3, fold=fold
        )
        check_leaks(to_splits(plan))
        used = plan.used[plan.used["source_dataset"] == "siim-covid19"]
        assert set(used.loc[used["split"] == "test", "class"]) == {"normal", "opacity"}
        assert used.groupby("patient_id")["split"].nunique().max() == 1
        assert used["patient_id"].str.startswith("siim-covid19:p").all()
        reasons = set(plan.frame.loc[plan.frame["source_dataset"] == "siim-covid19", "reason"])
        assert reasons == {"", "tested on in another fold", "of a patient whose normals are trained on"}
        assert not any("tested source have no patient ids" in note for note in plan.notes)


def test_a_run_holds_the_opacities_of_the_source_back(root: Path, tmp_path: Path, shell) -> None:
    out = tmp_path / "results"
    done = shell(
        *("benchmark", "run", "same-source", "--source", "siim-covid19", "--root", root, "--out", out),
        *("--model", f"{__name__}:Bright", "--regime", "real", "--regime", "same-source-real"),
        *("--seeds", 1, "--device", "cpu"),
    )
    assert done.code == 0, done
    files = sorted(out.rglob("*.json"))
    found = [results.validate_result(path) for path in files]
    assert {(result.suite, result.regime) for result in found} == {
        (SUITE, "real"),
        (SUITE, "same-source-real"),
    }
    assert len(files) == 6
    first = {result.regime: result for result in found if result.fold == 0}
    assert first["real"].composition.real_positives == 50
    assert first["same-source-real"].composition.real_positives > 50
    assert SUITE in benchmark.report(out)


def test_films_of_positive_patients_without_a_finding_are_not_tested(tmp_path: Path) -> None:
    usual(tmp_path)
    positive = [(70_000 + n, n, "pa", "['normal']" if n % 3 == 0 else "['COVID 19']") for n in range(30)]
    negative = [(80_000 + n, 100 + n, "pa", "['normal']") for n in range(30)]
    bimcv(tmp_path, "covid19_posi", positive)
    bimcv(tmp_path, "covid19_neg", negative)
    plan = plan_task("opacity-vs-normal", tmp_path, "same-source", sources=["bimcv-covid19"], folds=2)
    check_leaks(to_splits(plan))
    left = plan.left_out["reason"].str.startswith("COVID-19 by test")
    assert left.sum() == 10
