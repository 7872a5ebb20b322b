"""`covid-synth benchmark probe` and `lesions`: one block of options, one request."""

from __future__ import annotations

from pathlib import Path

import pytest

from covid_synth_data.benchmark.explain import lesions, probe
from covid_synth_data.errors import ConfigError


@pytest.mark.parametrize(
    ("command", "module", "name"), [("probe", probe, "probe"), ("lesions", lesions, "look")]
)
def test_the_options_reach_the_request(command, module, name, monkeypatch, tmp_path, shell):
    requests = []

    def stop(asked, progress):
        requests.append(asked)
        raise ConfigError("stopped")

    monkeypatch.setattr(module, name, stop)
    given = [
        "--regime",
        "real",
        "--regime",
        "real+gnc",
        "--model",
        "lite0-frozen",
        "--seeds",
        "2",
        "--films",
        "7",
    ]
    more = ["--half-samples", "--root", tmp_path / "root", "--device", "cpu", "-o", tmp_path / "out.json"]
    shell("benchmark", command, "external", *given, *more).error("stopped")
    (asked,) = requests
    assert (asked.path, asked.films, asked.model) == (Path(tmp_path / "out.json"), 7, "lite0-frozen")
    assert {run.regime for run in asked.runs} == {"real", "real+gnc"}
    assert {run.seed for run in asked.runs} == {0, 1}
    assert asked.request.suite.name == "external@half-samples"
    assert (asked.request.root, asked.request.device) == (tmp_path / "root", "cpu")


@pytest.mark.parametrize("option", [("--preprocessing", "plain"), ("--limit", "9")])
def test_options_of_probe_alone(option, monkeypatch, tmp_path, shell):
    requests = []
    monkeypatch.setattr(probe, "probe", lambda asked, progress: requests.append(asked) or _stop())
    shell("benchmark", "probe", "external", *option, "-o", tmp_path / "out.json").error("stopped")
    assert len(requests) == 1
    done = shell("benchmark", "lesions", "external", *option, "-o", tmp_path / "out.json")
    assert done.code == 2
    assert "No such option" in done.err


def _stop():
    raise ConfigError("stopped")
