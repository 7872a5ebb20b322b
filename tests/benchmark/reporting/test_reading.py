"""What is checked of result files that become tables; progress, figures and summary of a report."""

from __future__ import annotations

import json

import pytest

from covid_synth_data.benchmark.reporting import figures, report
from covid_synth_data.benchmark.reporting.collect import collect
from covid_synth_data.benchmark.results import validate_result, write_result
from covid_synth_data.errors import ResultError
from tests.leaderboard.made import made


def changed(folder, edit):
    """The path of a file of `folder` with its content changed by `edit`."""
    path = next(folder.rglob("seed-0.json"))
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_a_file_whose_value_was_changed_is_refused(folder):
    collect(folder)
    changed(folder, lambda content: content["metrics"]["auc"].update(value=0.25))
    with pytest.raises(ResultError, match=r"contradicts itself: metrics\.auc\.value"):
        collect(folder)


def test_limits_that_no_table_shows_are_left_to_the_full_check(folder):
    path = changed(folder, lambda content: content["metrics"]["auc"].update(low=0.0))
    assert len(collect(folder)) == 3
    with pytest.raises(ResultError, match=r"contradicts itself: metrics\.auc\.low"):
        validate_result(path)


def test_limits_of_more_classes_are_checked_because_the_page_shows_them(tmp_path):
    result = made("menon2020-four-class", "real", 0)
    write_result(tmp_path / result.path, result)
    changed(tmp_path, lambda content: content["metrics"]["multiclass"]["macro_auc"].update(low=0.0))
    with pytest.raises(ResultError, match=r"macro_auc\.low"):
        collect(tmp_path)


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
