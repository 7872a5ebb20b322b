"""Suites are parsed once in a process, and a file again when it has changed."""

from __future__ import annotations

import os

import pytest
import tomlkit

from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.suite import list_suites, load_classifiers, load_suite, loading
from covid_synth_data.errors import ConfigError
from tests.benchmark.conftest import SUITE


def test_a_suite_is_parsed_once(tmp_path, monkeypatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps(SUITE))
    first = load_suite(path)
    built_in = [load_suite(name) for name in list_suites()]
    with monkeypatch.context() as patch:
        patch.setattr(loading, "read_toml", lambda *_: pytest.fail("parsed again"))
        assert load_suite(path) is first
        assert all(load_suite(suite.name) is suite for suite in built_in)
    path.write_text(tomlkit.dumps({**SUITE, "title": "Another"}))
    os.utime(path, ns=(1, 1))
    assert load_suite(path).title == "Another"


def test_a_suite_states_its_kind(tmp_path) -> None:
    kinds = {name: load_suite(name).kind for name in list_suites()}
    assert {name for name, kind in kinds.items() if kind == "segmentation"} == {"jiang2020"}
    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps({**SUITE, "kind": "detection"}))
    with pytest.raises(ConfigError, match="'kind'; found 'detection'; expected 'classification' or"):
        load_suite(path)
    with pytest.raises(ConfigError, match="jiang2020 has no classifiers"):
        load_classifiers("jiang2020")


def test_a_suite_with_films_of_another_side() -> None:
    small = load_classifiers("external@128px")
    assert (small.name, small.image_size) == ("external@128px", 128)
    assert small.title.endswith("; films of 128 pixels")
    assert small.regimes == load_classifiers("external").regimes
    both = load_classifiers("same-source@siim-covid19@128px@half-samples")
    assert (both.image_size, both.data.half_samples, both.data.sources) == (128, True, ["siim-covid19"])
    for wrong in ("external@224px", "external@31px", "external@2000px"):
        with pytest.raises(ConfigError, match=f"no such side for the suite external; found {wrong[9:-2]} "):
            load_suite(wrong)


def test_a_request_names_the_side_and_the_half(tmp_path) -> None:
    request = make_request("external", out=tmp_path, size=64, half_samples=True)
    assert request.suite.name == "external@64px@half-samples"
    assert load_suite(request.suite.name) == request.suite
    assert make_request("jiang2020", out=tmp_path, size=64).suite.name == "jiang2020"
