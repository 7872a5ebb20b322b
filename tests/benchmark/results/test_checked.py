"""A result file is checked once for its content, and again where content or code differ."""

from __future__ import annotations

import json

import pytest

from covid_synth_data.benchmark.reporting import figures, report
from covid_synth_data.benchmark.reporting.collect import collect
from covid_synth_data.benchmark.results import ClassificationResult, checked, write_result
from covid_synth_data.errors import ResultError
from tests.leaderboard.made import made


@pytest.fixture
def folder(tmp_path):
    for regime in ("real", "real-balanced", "real+gnc"):
        for seed in range(2):
            result = made("zunair2021", regime, seed, model="lite0-frozen")
            write_result(tmp_path / "results" / result.path, result)
    return tmp_path / "results"


@pytest.fixture
def checks(monkeypatch):
    """Counts the files that are checked."""
    seen = []
    check = checked.check
    monkeypatch.setattr(checked, "check", lambda path, result: (seen.append(path), check(path, result)))
    return seen


def test_the_same_bytes_are_checked_once(folder, checks):
    first = collect(folder)
    assert len(checks) == 6
    assert [group.digest for group in collect(folder)] == [group.digest for group in first]
    assert len(checks) == 6


def test_a_changed_file_is_checked_again(folder, checks):
    collect(folder)
    path = next(folder.rglob("seed-0.json"))
    content = json.loads(path.read_text())
    content["metrics"]["auc"]["value"] -= 0.25
    path.write_text(json.dumps(content))
    for _ in range(2):
        with pytest.raises(ResultError, match="contradicts itself"):
            collect(folder)


def test_other_code_checks_again(folder, checks, monkeypatch):
    collect(folder)
    monkeypatch.setattr(checked, "_code", lambda: "other")
    collect(folder)
    assert len(checks) == 12


def test_a_cache_that_cannot_be_written_changes_nothing(folder, checks, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path / "file"))
    path = next(folder.rglob("seed-0.json"))
    for _ in range(2):
        checked.checked_once(path, ClassificationResult)
    assert len(checks) == 2


def test_progress_tells_each_step(folder, tmp_path):
    steps = []
    report.report(folder, figures=tmp_path / "f", published=False, progress=lambda *step: steps.append(step))
    assert list(dict.fromkeys(text for _, _, text in steps)) == ["reading results", "comparing", "drawing"]
    assert (6, 6, "reading results") in steps


def test_figures_of_the_same_results_stay(folder, tmp_path):
    groups = collect(folder)
    drawn = figures.draw(groups, tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in drawn.values()}
    figures.draw(groups, tmp_path)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    damaged, other = list(before)[:2]
    damaged.write_bytes(b"x")
    figures.draw(groups, tmp_path)
    assert damaged.read_bytes() == before[damaged][1]
    figures.draw(groups[:2], tmp_path)
    assert other.read_bytes() != before[other][1]


def test_points_against_skew_lie_at_their_true_values(folder):
    figure = figures.skews(collect(folder), "t")
    true = {group.first.regime: group.first.composition.skew for group in collect(folder)}
    points = {label.get_text().split()[0]: label.xy[0] for label in figure.axes[0].texts}
    assert points == true


def test_a_summary_stands_on_top_and_one_suite_alone(folder):
    result = made("quickstart", "real", 0)
    write_result(folder / result.path, result)
    text = report.report(folder, published=False)
    lines = text.splitlines()
    assert lines[2] == "## Summary"
    line = next(line for line in lines if line.startswith("| zunair2021"))
    assert "real+gnc" in line
    assert "too few seeds" in line
    assert any(line.startswith("| quickstart") for line in lines)
    alone = report.report(folder, published=False, suite="zunair2021")
    assert "quickstart" not in alone
    with pytest.raises(ResultError, match="no results of the suite 'external'"):
        report.report(folder, suite="external")
