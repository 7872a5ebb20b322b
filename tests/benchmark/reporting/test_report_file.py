"""The report as a file: its links lead somewhere, and what was read before is not read again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import publish
from covid_synth_data import leaderboard
from covid_synth_data.benchmark.reporting import collect as reading
from covid_synth_data.benchmark.reporting import report
from tests.generation.generation_results import benchmark

ROOT = Path(__file__).resolve().parents[3]
LINK = re.compile(r"\]\(([^)#:]+)\)")


def links(page: Path) -> list[str]:
    return LINK.findall(page.read_text(encoding="utf-8"))


def test_figures_are_linked_from_the_file(folder, tmp_path, shell, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    page = tmp_path / "board/deep/REPORT.md"
    done = shell("benchmark", "report", "--results", folder, "--figures", "../board/figures", "--out", page)
    assert done.code == 0
    assert done.out.split() == [str(page)]
    named = links(page)
    assert len(named) == 4
    assert all((page.parent / link).is_file() for link in named)
    shown = shell("benchmark", "report", "--results", folder, "--figures", "../board/figures").out
    assert [Path(link).name for link in LINK.findall(shown)] == [Path(link).name for link in named]
    assert all((tmp_path / "elsewhere" / link).is_file() for link in LINK.findall(shown))


@pytest.mark.parametrize("page", ["benchmarks/REPORT.md", "benchmarks/LEADERBOARD.md"])
def test_links_of_what_is_published_lead_somewhere(page):
    missing = [link for link in links(ROOT / page) if not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


def test_groups_that_were_read_are_not_read_again(folder, tmp_path, monkeypatch):
    groups = reading.collect(folder)
    text = report.report(folder)
    board = [path.read_bytes() for path in leaderboard.build(folder, tmp_path / "a")]
    monkeypatch.setattr(reading, "validate_values", lambda *_: pytest.fail("a file is read again"))
    assert report.report(folder, groups=groups) == text
    assert report.report(folder, groups=groups, suite="zunair2021") == text
    assert "zunair2021" not in report.report(folder, groups=groups, suite="external", published=False)
    again = leaderboard.build(folder, tmp_path / "b", groups=groups)
    assert [path.read_bytes() for path in again] == board


def test_publish_writes_what_the_commands_write(tmp_path, made_release, shell, maintain, monkeypatch):
    """All of it, from one reading; the scripts of numbers come first and those of pages last."""
    root = tmp_path / "project"
    release, results = root / "releases/covid-synth-cxr", root / "benchmarks/results"
    shutil.copytree(made_release / "covid-synth-cxr", release)
    for seed in (0, 1):
        benchmark(results, "real", seed, None)
        benchmark(results, "real+gnc", seed)
    named = {"ROOT": root, "RELEASE": release, "BENCHMARKS": root / "benchmarks", "RESULTS": results}
    for name, path in named.items():
        monkeypatch.setattr(publish, name, path)
    card = release / "README.md"
    before, order = card.read_bytes(), []
    monkeypatch.setattr(publish, "script", lambda name: order.append((name, card.read_bytes() != before)))
    publish.main()
    assert order == [("benchmarks/statistics/regimes.py", False), ("docs/results/tables.py", True)]

    alone = tmp_path / "alone"
    asked = ("--results", results, "--figures", alone / "figures", "-o", alone / "REPORT.md")
    assert shell("leaderboard", "build", results, "-o", alone).code == 0
    assert shell("benchmark", "report", *asked).code == 0
    for name in ("LEADERBOARD.md", "leaderboard.html", "REPORT.md"):
        assert (root / "benchmarks" / name).read_bytes() == (alone / name).read_bytes()
    written = card.read_bytes()
    assert maintain("card", release, "--results", results).code == 0
    assert card.read_bytes() == written
    assert shell("verify", release).code == 0


def test_publish_stops_where_a_script_fails(monkeypatch, tmp_path):
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    with pytest.raises(subprocess.CalledProcessError):
        publish.script("bad.py")
