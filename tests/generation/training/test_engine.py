"""Precision and compilation are decided once for a run, and recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covid_synth_data.errors import ConfigError
from generation.recipe import load_recipe
from generation.training import engine


@pytest.fixture
def undecided(altered):
    """The tiny recipe with its precision left open."""
    return altered(training={"precision": "auto"})


def test_auto_takes_the_clearly_faster_precision(undecided, films, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_time_step", lambda r, f, p: {"32-true": 2.0, "bf16-mixed": 1.0}[p])
    decided = engine.decide(undecided, films, tmp_path, "cpu")
    assert (decided.precision, decided.cpu_seconds["bf16-mixed"]) == ("bf16-mixed", 1.0)
    engine.record(tmp_path, decided)
    monkeypatch.setattr(engine, "_time_step", lambda r, f, p: {"32-true": 1.0, "bf16-mixed": 2.0}[p])
    # The record stands, whatever would be faster now.
    assert engine.decide(undecided, films, tmp_path, "cpu") == decided
    assert engine.decide(undecided, films, tmp_path / "other", "cpu").precision == "32-true"
    # Faster by no more than the noise of the clock: two runs of one recipe must not differ by it.
    monkeypatch.setattr(engine, "_time_step", lambda r, f, p: {"32-true": 0.025, "bf16-mixed": 0.023}[p])
    assert engine.decide(undecided, films, tmp_path / "other", "cpu").precision == "32-true"


def test_a_step_of_each_precision_is_timed(undecided, films, tmp_path):
    decided = engine.decide(undecided, films, tmp_path, "cpu")
    assert set(decided.cpu_seconds) == {"32-true", "bf16-mixed"}
    assert all(seconds > 0 for seconds in decided.cpu_seconds.values())
    assert not (tmp_path / "engine.json").exists()
    engine.record(tmp_path, decided)
    assert json.loads((tmp_path / "engine.json").read_text())["precision"] == decided.precision


def test_the_timed_batch_is_one_that_the_recipe_allows():
    """DiffAug-GAN compares films of one class in groups: a batch of two cannot be grouped."""
    recipe = load_recipe(Path("generation/recipes/diffaug-gan-cpu.toml"))
    assert engine._smallest(recipe).training.batch_size == recipe.network.group * len(recipe.data.classes)
    alone = recipe.model_copy(update={"network": recipe.network.model_copy(update={"group": 1})})
    assert engine._smallest(alone).training.batch_size == engine.TIMED_BATCH


def test_a_named_precision_is_not_timed(altered, films, tmp_path):
    decided = engine.decide(altered(training={"precision": "32-true"}), films, tmp_path, "cpu")
    assert (decided.precision, decided.cpu_seconds, decided.compiled) == ("32-true", {}, False)


def test_without_a_compiler_the_record_says_so(altered, films, tmp_path, monkeypatch):
    asked = altered(training={"precision": "32-true", "compile": True})
    assert not engine.decide(
        altered(training={"precision": "32-true"}), films, tmp_path / "no", "cpu"
    ).compiled
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    decided = engine.decide(asked, films, tmp_path / "none", "cpu")
    assert not decided.compiled
    assert "no C++ compiler" in decided.because
    monkeypatch.setattr(engine.shutil, "which", lambda name: name)
    assert engine.decide(asked, films, tmp_path / "found", "cpu").compiled


def test_a_damaged_record_is_one_line(undecided, films, tmp_path):
    (tmp_path / "engine.json").write_text("{")
    with pytest.raises(ConfigError, match="delete it"):
        engine.decide(undecided, films, tmp_path, "cpu")
