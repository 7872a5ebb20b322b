"""The pages of regimes show what the result files say, and those files say what their archives say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.statistics import regimes
from covid_synth_data.metrics import detection
from tests.audit.test_results_page import tables  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[3]
BENCHMARKS = ROOT / "benchmarks"
PAGES = {
    page.stem: page
    for page in (*sorted((ROOT / "docs" / "results").glob("*.md")), ROOT / "README.md")
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


WHOLE = ("same-source-cv-96px", "same-source-cv-half-samples")
"""Small sets, one of each kind, whose intervals are drawn again too."""


@pytest.mark.parametrize("name", WHOLE)
def test_the_numbers_are_those_of_the_archives(name):
    """To the digits that machines share."""
    assert_same(name, detection.REPLICATES)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in regimes.SETS if name not in WHOLE])
def test_all_values_are_those_of_the_archives(name):
    assert_same(name, 20)


def assert_same(name: str, replicates: int) -> None:
    """The file of numbers is what its archives give now. With fewer replicates than it was made with, what
    the bootstrap gives is not compared."""
    written = dict(leaves(json.loads((regimes.FOLDER / f"{name}.json").read_text(encoding="utf-8"))))
    made = dict(leaves(regimes.numbers(name, replicates)))
    assert made.keys() == written.keys()
    drawn = () if replicates == detection.REPLICATES else ("low", "high", "p", "corrected p")
    compared = {place: value for place, value in written.items() if place[-1] not in drawn}
    assert len(compared) > len(written) / 3
    for place, value in compared.items():
        assert made[place] == (
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
