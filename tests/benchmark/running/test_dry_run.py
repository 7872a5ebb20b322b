"""What a call would do and cost: nothing is written, what is done is not counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomlkit

from covid_synth_data.benchmark import dry_run, run
from covid_synth_data.errors import ConfigError, UnknownName
from tests.benchmark.running.test_ray_cluster import SUITE


def test_a_plan_costs_nothing_and_says_what_it_would_cost(bench):
    options = dict(bench.arguments)
    asked = {
        "regimes": ["real", "real+gnc", "augmented"],
        "models": ["small-cnn", "lite0-frozen"],
        "seeds": 2,
    }
    lines = dry_run(bench.suite, **asked, **options)
    assert not Path(options["out"]).exists()
    assert [(line.task, line.model, line.runs, line.done) for line in lines] == [
        ("normal-vs-covid", "small-cnn", 6, 0),
        ("normal-vs-covid", "lite0-frozen", 6, 0),
    ]
    network, head = lines
    assert (network.films, head.films) == (26 + 12 + 12 + 18, 26 + 12 + 12 + 18)
    assert network.training > 0 == network.extraction
    assert head.extraction > 0 == head.training
    assert network.seconds == network.training
    run(bench.suite, **{**asked, "models": ["small-cnn"], "regimes": ["real"]}, **options)
    half = dry_run(bench.suite, **{**asked, "models": ["small-cnn"]}, **options)[0]
    assert (half.runs, half.done) == (6, 2)
    run(bench.suite, **{**asked, "models": ["small-cnn"]}, **options)
    (nothing,) = dry_run(bench.suite, **{**asked, "models": ["small-cnn"]}, **options)
    assert (nothing.done, nothing.films, nothing.seconds) == (6, 0, 0)


def test_a_plan_of_what_cannot_be_run(bench):
    with pytest.raises(UnknownName, match="did you mean 'real'"):
        dry_run(bench.suite, regimes=["reel"], **bench.arguments)
    with pytest.raises(ConfigError, match="cannot start from weights 'imagenet'"):
        dry_run(bench.suite, weights="imagenet", **bench.arguments)


def test_the_shell_prints_the_plan(tmp_path, shell):
    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps(SUITE.model_dump(exclude_none=True)))
    asked = ["benchmark", "run", path, "--out", tmp_path / "out", "--device", "cpu", "--dry-run"]
    printed = shell(*asked)
    assert printed.code == 0, printed
    assert "small-cnn" in printed.out
    assert "at most" in printed.out
    (line,) = json.loads(shell(*asked, "--json").out)
    assert (line["runs"], line["done"]) == (6, 0)
    assert line["seconds"] > 0
    assert not (tmp_path / "out").exists()
    shell(*asked, "--preprocessing", "harmonized").error("unknown preprocessing", "did you mean 'harmonised'")
    shell(*asked, "--weights", "imagnet").error("did you mean 'imagenet'")
