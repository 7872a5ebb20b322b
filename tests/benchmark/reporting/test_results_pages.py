"""The pages of regimes show what the result files say, and those files say what their archives say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.statistics import regimes
from tests.audit.test_results_page import tables  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[3]
BENCHMARKS = ROOT / "benchmarks"
PAGES = {
    page.stem: page
    for page in sorted((ROOT / "docs" / "results").glob("*.md"))
    if "<!-- regimes " in page.read_text(encoding="utf-8")
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_that_of_the_result_files(tables, name):  # noqa: F811
    text = PAGES[name].read_text(encoding="utf-8")
    assert tables.with_regimes(text, BENCHMARKS) == text


def test_every_table_stands_on_a_page(tables):  # noqa: F811
    assert {"same-source", "source-matched"} <= PAGES.keys()
    every = "".join(page.read_text(encoding="utf-8") for page in PAGES.values())
    import regime_tables

    assert [name for name in regime_tables.specification() if f"<!-- regimes {name} -->" not in every] == []


@pytest.fixture
def copied(tmp_path):
    """A copy of all that the tables read."""
    for folder in ("statistics/results", "lesions/results", "localisation/results"):
        shutil.copytree(BENCHMARKS / folder, tmp_path / folder)
    for folder in ("results", "other-results"):
        (tmp_path / folder).mkdir()
        for archive in (BENCHMARKS / folder).glob("*.tar.xz"):
            (tmp_path / folder / archive.name).symlink_to(archive)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "path", "shown"),
    [
        ("statistics/results/regimes/same-source-cv.json", ("regimes", "pairs", "auc"), "0.123 ["),
        ("statistics/results/regimes/same-source-cv.json", ("gap", "closed", "pairs", "auc"), "12 % ["),
        ("lesions/results/chosen.json", ("auc", "chosen"), "| 0.123 |"),
        ("localisation/results/pairs.json", ("Dice within the lungs", "place"), "0.123 ["),
    ],
)
def test_a_changed_number_changes_the_page(tables, copied, file, path, shown):  # noqa: F811
    content = json.loads((copied / file).read_text())
    within = content["suites"]["same-source-cv"] if "suites" in content else content
    for name in path[:-1]:
        within = within[name]
    within[path[-1]] = {**within[path[-1]], "value": 0.123} if isinstance(within[path[-1]], dict) else 0.123
    (copied / file).write_text(json.dumps(content))
    text = PAGES["same-source"].read_text(encoding="utf-8")
    changed = tables.with_regimes(text, copied)
    assert changed != text
    assert changed.count(shown) > text.count(shown)


def test_numbers_of_an_older_archive_are_refused(tables, copied):  # noqa: F811
    archive = copied / regimes.SETS["same-source-cv-96px"][0]
    content = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(content + b"more")
    with pytest.raises(SystemExit, match=r"96px.*run benchmarks/statistics/regimes\.py first"):
        tables.with_regimes(PAGES["same-source"].read_text(encoding="utf-8"), copied)


def test_the_numbers_are_those_of_the_archives():
    assert_same("same-source-cv-96px")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in regimes.SETS if name != "same-source-cv-96px"])
def test_all_numbers_are_those_of_the_archives(name):
    assert_same(name)


def assert_same(name: str) -> None:
    """The file of numbers is what its archives give now, to the digits that machines share."""
    written = json.loads((regimes.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    flat_written, flat_made = (dict(leaves(content)) for content in (written, regimes.numbers(name)))
    assert flat_made.keys() == flat_written.keys()
    for place, value in flat_written.items():
        assert flat_made[place] == (
            pytest.approx(value, rel=1e-3, abs=1e-5) if isinstance(value, float) else value
        ), place


def leaves(content, place=()):
    """The values of nested dicts and lists, each with its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*place, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from leaves(value, (*place, number))
    else:
        yield place, content


@pytest.mark.slow
def test_all_pages_are_those_of_their_result_files(tables, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    tables.main()
    assert capsys.readouterr().out == "changed: nothing\n"
