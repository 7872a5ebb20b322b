"""Suites are parsed once in a process, and a file again when it has changed."""

from __future__ import annotations

import os

import pytest
import tomlkit

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
