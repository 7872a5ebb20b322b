"""Suites: those that come with the package, and files that are no suites."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from covid_synth_data import benchmark, tasks
from covid_synth_data.benchmark.suite import Suite
from covid_synth_data.catalog import DATASETS
from covid_synth_data.errors import ConfigError, UnknownName

from .conftest import SUITE


@pytest.mark.parametrize("name", benchmark.list_suites())
def test_suites_name_what_exists(name):
    suite = benchmark.load_suite(name)
    configs = {entry.config for entry in DATASETS if entry.dataset == suite.dataset}
    assert {config for regime in suite.regimes.values() for config in regime.synthetic} <= configs
    assert set(suite.tasks) <= {task.name for task in tasks.list_tasks()}


def test_zunair2021_trains_as_the_paper_does():
    suite = benchmark.load_suite("zunair2021")
    training = suite.training_of("vgg16")
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adadelta", 1e-3, 16)
    assert (training.patience, training.max_epochs, suite.image_size) == (15, 200, 256)
    assert suite.training_of("lite0-frozen").optimizer == "adam"
    assert suite.training_of("lite0-frozen").patience == 15
    assert suite.regimes_of("normal-vs-covid") == [
        "real", "real+gnc", "real+gnc+gpc", "synthetic-only", "real-balanced", "real-augmented",
    ]  # fmt: skip
    assert "real+gpc" in suite.regimes_of("pneumonia-vs-covid")


def test_public_names():
    assert benchmark.__all__ == ["list_suites", "load_suite", "report", "run"]
    assert all(callable(getattr(benchmark, name)) for name in benchmark.__all__)
    assert {"quickstart", "zunair2021"} <= set(benchmark.list_suites())
    with pytest.raises(AttributeError, match="leaderboard"):
        benchmark.leaderboard  # noqa: B018


def test_unknown_names_are_met_with_a_guess(suite):
    with pytest.raises(UnknownName, match="did you mean 'zunair2021'"):
        benchmark.load_suite("zunair")
    with pytest.raises(UnknownName, match="did you mean 'real\\+gnc'"):
        suite.choose("regime", ["realgnc"])
    with pytest.raises(UnknownName, match="small-cnn"):
        suite.choose("model", ["smal-cnn"])


def _toml(tmp_path, **changes):
    import tomlkit

    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps({**SUITE, **changes}))
    return path


def test_a_suite_of_ones_own(tmp_path):
    assert benchmark.load_suite(_toml(tmp_path)) == Suite.model_validate(SUITE)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image_sise": 3}, "did you mean 'image_size'"),
        ({"image_size": "big"}, "image_size"),
        ({"version": "1"}, "version"),
        ({"name": "../up"}, "name"),
        ({"regimes": {"../x": {"title": "", "mix": "real"}}}, "regimes"),
        ({"regimes": {"x": {"title": "", "mix": "skew", "synthetic": ["gnc"]}}}, "a skew exactly where"),
        ({"regimes": {"x": {"title": "", "mix": "real", "synthetic": ["gnc"]}}}, "every mix but"),
        (
            {"regimes": {"x": {"title": "", "mix": "add", "synthetic": ["gnc", "gnc"]}}},
            "each synthetic config",
        ),
        ({"regimes": {"x": {"title": "", "mix": "real", "tasks": ["other"]}}}, "tasks of the suite"),
        ({"models": {"vgg17": {}}, "profiles": {"q": {"models": ["vgg17"]}}}, "did you mean 'vgg16'"),
        ({"profiles": {"quick": {"models": ["vgg16"]}}}, "not 'vgg16'"),
        ({"training": {"batch_size": 0}}, "training.batch_size"),
    ],
)
def test_files_that_are_no_suites(tmp_path, changes, text):
    with pytest.raises(ConfigError, match=text) as caught:
        benchmark.load_suite(_toml(tmp_path, **changes))
    assert "mine.toml" in str(caught.value)


def test_suites_do_not_change(suite):
    with pytest.raises(ValidationError):
        suite.name = "other"
