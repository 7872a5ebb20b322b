"""The path of the quickstart on few phantoms: every step, the page, and a second call."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import covid_synth_data as csd
from covid_synth_data import quickstart
from covid_synth_data.quickstart import cyclegan, walk
from covid_synth_data.quickstart.walk import Real
from covid_synth_data.release.verification import verify


@contextlib.contextmanager
def progress(text: str):
    yield lambda done, total, more="": None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few phantoms; neither the extra nor a checkout."""
    splits = csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 64, "patients": 16})
    train = splits["train"]
    few = train.select([row for row, label in enumerate(train["label"]) if label == 0 or row % 5 == 0])
    sizes = {part: len(rows) for part, rows in splits.items()}
    monkeypatch.setattr(walk, "real_films", lambda: (Real(train, few), sizes))
    monkeypatch.setattr(walk, "can_benchmark", lambda: False)
    monkeypatch.setattr(cyclegan, "recipe", lambda: None)


def test_the_core_install_takes_the_whole_path(small, tmp_path: Path) -> None:
    out = tmp_path / "here"
    said: list[str] = []
    page = quickstart.run(out, said.append, progress)
    assert page == out / "index.html"
    assert verify(out / "lesion-pairs").whole
    text = page.read_text()
    for part in ("metadata.csv", "whole", "mixed of skew 1.00", 'href="explore.html"', "[benchmark]"):
        assert part in text
    assert text.count("With your own data") == 6
    assert "Does the synthetic set help?" not in text
    assert text.count("<img ") == 32
    assert (out / "explore.html").is_file()
    shown = "\n".join(said)
    for command in ("covid-synth paint", "covid-synth verify", "covid-synth explore", "make quickstart"):
        assert command in shown
    assert shown.count("with your own data:") == 6
    shard = next((out / "lesion-pairs").rglob("*.parquet"))
    before = shard.stat().st_mtime_ns
    quickstart.run(out, said.append, progress)
    assert shard.stat().st_mtime_ns == before
