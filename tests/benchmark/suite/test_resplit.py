"""A suite whose films are split anew: its name, its seed, and other test films in the results."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.suite import ClassificationSuite, is_suite, load_classifiers, load_suite
from covid_synth_data.cli import app
from covid_synth_data.errors import ConfigError, UnknownName

SUITE = {
    "name": "splitting",
    "version": "1.0.0",
    "title": "Splitting",
    "tasks": ["normal-vs-covid"],
    "protocol": "clean",
    "image_size": 32,
    "data": {"sources": ["phantom"], "phantom": {"size": 32, "patients": 60}},
    "training": {"optimizer": "adam", "learning_rate": 0.01, "max_epochs": 1},
    "regimes": {"real": {"title": "Real", "mix": "real"}},
    "models": {"small-cnn": {"weights": "none"}},
    "profiles": {"quick": {"models": ["small-cnn"], "seeds": 1}},
}


def test_names() -> None:
    suite = load_classifiers("external@split-3@half-samples")
    assert suite.name == "external@split-3@half-samples"
    assert suite.data.split_seed == 3
    assert load_classifiers("external").data.split_seed == 0
    assert is_suite("same-source-cv@split-1@96px")
    with pytest.raises(ConfigError, match="no other split"):
        load_suite("external@split-0")
    for wrong in ("split--1", "split-01", "split-"):
        with pytest.raises(UnknownName):
            load_suite(f"same-source@{wrong}")


def test_other_films_are_tested(tmp_path: Path) -> None:
    suite = ClassificationSuite.model_validate(SUITE)
    (first,) = run(suite, out=tmp_path / "a", device="cpu", cache_dir=tmp_path / "cache")
    (second,) = run(suite, out=tmp_path / "b", device="cpu", cache_dir=tmp_path / "cache", split_seed=1)
    one, two = (results.read_result(path) for path in (first, second))
    assert (one.suite, two.suite) == ("splitting", "splitting@split-1")
    tested = [{row.image_id for row in found.predictions} for found in (one, two)]
    assert tested[0] != tested[1]
    assert one.inputs != two.inputs


def test_the_shell_refuses_label_maps_and_the_own_split(tmp_path: Path) -> None:
    for name, expected in (("jiang2020", "no option 'split_seed'"), ("external", "no other split")):
        command = ["benchmark", "run", name, "--split-seed", "0", "--out", str(tmp_path)]
        done = CliRunner().invoke(app, command)
        assert expected in str(done.exception) + done.output
    assert list(tmp_path.iterdir()) == []
