"""The pages of regimes show what the result files say, and those files say what their archives say."""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.statistics import regimes
from covid_synth_data.benchmark.reporting import collect
from covid_synth_data.benchmark.results import find
from covid_synth_data.benchmark.results.base import parse
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
"""Small sets, one of each kind, whose every number is made again."""


@pytest.mark.parametrize("name", WHOLE)
def test_the_numbers_are_those_of_the_archives(name):
    written = read(regimes.FOLDER / f"{name}.json")
    made = dict(leaves(regimes.numbers(name)))
    assert made.keys() == written.keys()
    assert_same(made, written)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in regimes.SETS if name not in WHOLE])
def test_values_are_those_of_the_archives(name, monkeypatch):
    """Values and differences of a baseline and two other regimes of each suite; what the bootstrap gives, the
    choice of the baseline to beat and a correction for the number of regimes are not compared."""
    written = read(regimes.FOLDER / f"{name}.json")
    suites = json.loads((regimes.FOLDER / f"{name}.json").read_bytes())["suites"]
    chosen = {
        suite: some(content["regimes"], next(iter(content["over"]))) for suite, content in suites.items()
    }
    only(monkeypatch, {regime for names in chosen.values() for regime in names})
    made = {
        place: value
        for place, value in leaves(regimes.numbers(name, 20))
        if not {"best", "gap"}.intersection(place) and place[-1] not in ("low", "high", "p", "corrected p")
    }
    assert made.keys() <= written.keys()
    for suite, names in chosen.items():
        assert {place[3] for place in made if place[1:3] == (suite, "regimes")} >= names
    assert_same(made, written)


@pytest.mark.slow
@pytest.mark.parametrize("name", regimes.ROWS)
def test_rows_are_those_of_the_archives(name, monkeypatch):
    content = json.loads((regimes.ROWS_FOLDER / f"{name}.json").read_bytes())["rows"]
    written = {key(row): dict(leaves(row)) for row in content}
    only(monkeypatch, some({row["regime"] for row in content}, "real"))
    made = {key(row): dict(leaves(row)) for row in regimes.rows(name)["rows"]}
    assert len(made) >= 3
    for row, values in made.items():
        assert values.keys() == written[row].keys()
        assert_same(values, written[row])


def key(row):
    return tuple(row[name] for name in ("suite", "task", "preprocessing", "model", "regime"))


def read(path):
    return dict(leaves(json.loads(path.read_text(encoding="utf-8"))))


def some(names, first):
    """`first` and two others, the same ones in every run."""
    others = sorted(set(names) - {first})
    return {first, *random.Random(len(others)).sample(others, min(2, len(others)))}


def only(monkeypatch, chosen):
    """Result files of these regimes alone are read (of one other, where an archive has none of them), and not
    checked against their predictions again."""

    def some_of(folder, kind):
        paths = find(folder, kind)
        there = {path.parent.name for path in paths}
        kept = chosen & there or {min(there)}
        return [path for path in paths if path.parent.name in kept]

    monkeypatch.setattr(collect, "find", some_of)
    monkeypatch.setattr(collect, "validate_values", lambda path, model: parse(path, path.read_bytes(), model))


def assert_same(made, written):
    """To the digits that machines share."""
    assert made
    for place, value in made.items():
        expected = written[place]
        assert value == (
            pytest.approx(expected, rel=1e-3, abs=1e-5) if isinstance(expected, float) else expected
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


def test_all_pages_are_those_of_their_result_files(tables, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    tables.main()
    assert capsys.readouterr().out == "changed: nothing\n"
