"""A classifier of the user in a suite: by module and attribute, by entry point; mistakes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.benchmark import dry_run, report, results, run
from covid_synth_data.classifiers import own
from covid_synth_data.errors import ConfigError, ResultError, UnknownName

MODULE = """
import numpy as np
from sklearn.linear_model import LogisticRegression

CALLS = []
NUMBER = 3


class Forest:
    def __init__(self, seed):
        self.seed, self.model = seed, LogisticRegression(max_iter=500)

    def fit(self, films, labels, sample_weight):
        CALLS.append((self.seed, films.copy(), labels.copy(), sample_weight.copy()))
        self.model.fit(films.reshape(len(films), -1) / 255, labels, sample_weight)
        self.classes_ = self.model.classes_

    def predict_proba(self, films):
        return self.model.predict_proba(films.reshape(len(films), -1) / 255)


def fitless(seed):
    return object()


def seedless():
    return Forest(0)


class Wrong(Forest):
    def predict_proba(self, films):
        return np.full((len(films), 2), 0.7)


class Wide(Forest):
    def predict_proba(self, films):
        return np.full((len(films), 3), 1 / 3)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file my_models.py in the working folder, imported afresh."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "my_models.py").write_text(MODULE)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    yield folder / "my_models.py"
    sys.modules.pop("my_models", None)


def runs(bench, **changes):
    paths = run(bench.suite, **{**bench.arguments, "models": ["my_models:Forest"], **changes})
    return [results.validate_result(path) for path in paths]


def test_a_module_and_attribute(bench, module) -> None:
    (result,) = runs(bench, regimes=["real"])
    assert result.model == "my_models.forest"
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    assert result.own == own.Origin(origin="my_models:Forest", sha256=digest)
    assert result.weights.name == "none"
    assert "my_models.forest" in result.path.parts
    assert result.metrics.auc.value > 0.6  # the lower half is brighter in positives
    assert "my_models.forest" in report(bench.arguments["out"], published=False)
    ((seed, films, labels, weights),) = sys.modules["my_models"].CALLS
    assert seed == 0
    assert (films.dtype, films.shape, films.max() > 100) == (np.uint8, (26, 24, 24), True)
    assert (labels.dtype, sorted(set(labels))) == (np.int64, [0, 1])
    assert (weights == 1).all()


def test_the_same_call_trains_once_and_changed_code_is_told(bench, module) -> None:
    runs(bench, regimes=["real"])
    runs(bench, regimes=["real"])
    assert len(sys.modules["my_models"].CALLS) == 1
    module.write_text(MODULE + "\n# another version\n")
    with pytest.raises(ResultError, match="made from other data or settings"):
        runs(bench, regimes=["real"])


def test_regimes_reach_the_classifier(bench, module) -> None:
    for regime in ("balanced", "augmented"):
        runs(bench, regimes=[regime], seeds=[5])
    balanced, augmented = sys.modules["my_models"].CALLS
    assert balanced[0] == 5
    assert np.bincount(balanced[2]).tolist() == [13, 13]
    views = bench.suite.augment_views
    assert len(augmented[1]) == 26 * (1 + views)
    assert np.abs(augmented[1][26:52].astype(int) - augmented[1][:26]).mean() > 1


def test_weights_of_classes_are_sample_weights(bench, module) -> None:
    bench.suite.regimes["weighted"] = bench.suite.regimes["real"].model_copy(
        update={"loss": "class-weighted"}
    )
    runs(bench, regimes=["weighted"])
    ((_, _, labels, weights),) = sys.modules["my_models"].CALLS
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights.mean() == pytest.approx(1)


def test_an_entry_point(bench, module, monkeypatch) -> None:
    point = importlib.metadata.EntryPoint("my-forest", "my_models:Forest", own.GROUP)
    monkeypatch.setattr(own.importlib.metadata, "entry_points", lambda group: [point])
    (result,) = runs(bench, regimes=["real"], models=["my-forest"])
    assert (result.model, result.own.origin) == ("my-forest", "my_models:Forest")


def test_a_dry_run_counts_its_images(bench, module) -> None:
    (line,) = dry_run(bench.suite, **{**bench.arguments, "models": ["my_models:Forest"], "regimes": ["real"]})
    assert (line.model, line.films > 26, line.seconds) == ("my_models.forest", True, 0)


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("my_modls:Forest", ConfigError, "no module 'my_modls'"),
        ("my_models:Forst", UnknownName, "did you mean 'Forest'"),
        ("my_models:NUMBER", ConfigError, "found int"),
        ("my_models:", ConfigError, "expected MODULE:ATTRIBUTE"),
        ("my_models:fitless", ConfigError, "without fit and predict_proba"),
        ("my_models:seedless", ConfigError, "takes no seed"),
        ("my_models:Wrong", ConfigError, "rows of sum 1"),
        ("my_models:Wide", ConfigError, "found \\(18, 3\\)|found \\(\\d+, 3\\)"),
        ("no-such", UnknownName, "no-such"),
    ],
)
def test_mistakes(bench, module, model, kind, words) -> None:
    with pytest.raises(kind, match=words):
        runs(bench, regimes=["real"], models=[model])
    assert not list(bench.arguments["out"].rglob("*.json"))


def test_weights_are_refused(bench, module) -> None:
    with pytest.raises(ConfigError, match="cannot start from weights 'imagenet'"):
        runs(bench, regimes=["real"], weights="imagenet")
