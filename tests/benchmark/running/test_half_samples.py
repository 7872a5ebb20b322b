"""A suite in which each seed draws half of the training patients: names, counts, pairing of regimes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.suite import (
    ClassificationSuite,
    half_samples_of,
    is_suite,
    load_classifiers,
    load_suite,
)
from covid_synth_data.cli import app
from covid_synth_data.errors import ConfigError

SUITE = {
    "name": "halved",
    "version": "1.0.0",
    "title": "Halved",
    "tasks": ["covid-vs-other"],
    "protocol": "source-matched",
    "image_size": 32,
    "data": {"sources": ["phantom"], "phantom": {"size": 32, "patients": 24}},
    "training": {"optimizer": "adam", "learning_rate": 0.01, "max_epochs": 2},
    "made": {"copies": {"kind": "copies", "each": 2}, "retraced": None},
    "regimes": {
        "real": {"title": "Real", "mix": "real"},
        "real+copies": {"title": "Copies", "mix": "add", "synthetic": ["copies"]},
        "real-retraced": {"title": "Retraced", "mix": "real", "retraced": "retraced"},
    },
    "models": {"small-cnn": {"weights": "none"}},
    "profiles": {"quick": {"models": ["small-cnn"], "seeds": 3}},
}
SUITE["made"]["retraced"] = {"kind": "retraced", "encoding": {"size": 32, "codec": "png"}}


def test_names() -> None:
    whole, half = load_classifiers("external"), load_classifiers("external@half-samples")
    assert (half.name, half.version) == ("external@half-samples", whole.version)
    assert half.data.half_samples
    assert not whole.data.half_samples
    assert list(half.regimes) == list(whole.regimes)
    assert whole.caution is not None
    assert half.caution is not None
    assert half.caution.startswith(whole.caution)
    assert is_suite("same-source@siim-covid19@half-samples")
    assert load_classifiers("same-source@siim-covid19@half-samples").data.sources == ["siim-covid19"]
    with pytest.raises(ConfigError, match="draws half of the training patients already"):
        load_suite("external@half-samples@half-samples")
    with pytest.raises(ConfigError, match="the suite jiang2020 has no classifiers"):
        load_suite("jiang2020@half-samples")


def test_the_shell_refuses_label_maps(tmp_path: Path) -> None:
    command = ["benchmark", "run", "jiang2020", "--half-samples", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, ConfigError)
    assert "the suite jiang2020 has no classifiers" in str(done.exception)
    assert not any(tmp_path.iterdir())


def test_seeds_draw_halves_and_regimes_share_them(tmp_path: Path) -> None:
    suite = ClassificationSuite.model_validate(SUITE)
    common = {"cache_dir": tmp_path / "cache", "device": "cpu"}
    whole = run(suite, out=tmp_path / "whole", regimes=["real"], seeds=1, **common)
    halves = run(suite, out=tmp_path / "half", half_samples=True, **common)
    full = results.validate_result(whole[0]).composition
    found = {(one.regime, one.seed): one for one in map(results.validate_result, halves)}
    assert len(found) == 9
    for seed in range(3):
        real, copies, retraced = (found[name, seed] for name in ("real", "real+copies", "real-retraced"))
        assert real.suite == "halved@half-samples"
        assert real.composition.real_positives == full.real_positives // 2
        assert abs(real.composition.real_negatives - full.real_negatives / 2) <= 1
        # Copies are of the positives that were drawn, and of no other.
        assert copies.composition.synthetic == {"copies": 2 * real.composition.real_positives}
        assert retraced.composition.negatives == real.composition.negatives
        assert (real.test, real.tested) == (results.validate_result(whole[0]).test, found["real", 0].tested)
    # Another half is another training set; run again, nothing is done twice.
    assert len({one.inputs for one in found.values()}) == 9
    assert run(suite, out=tmp_path / "half", **common) != halves
    assert run(half_samples_of(suite), out=tmp_path / "half", **common) == halves
