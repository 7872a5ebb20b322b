"""The table of a version: from result files to rows, the values of the widest audit, and both pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covid_synth_data.audit import version_table
from covid_synth_data.audit.protocol import Protocol, Value
from covid_synth_data.errors import ResultError
from covid_synth_data.leaderboard import markdown, page

PROTOCOL = Protocol(extractor="x", layer="y", resize="z", n=10, seed=0, reference="real")


def value(key: str, number: float, subject: str = "synthetic", *, yardstick: bool = False) -> Value:
    return Value(
        key=key,
        metric=f"the {key}",
        subject=subject,
        value=number,
        low=number - 0.1,
        high=number + 0.1,
        n=10,
        better="lower",
        yardstick=yardstick,
        protocol=PROTOCOL,
    )


def save(
    folder: Path,
    name: str,
    config: str,
    values: list[Value],
    limit: int | None = None,
    version: str | None = "1.2.3",
) -> None:
    """An audit of one section with these values."""
    audit = {
        "format": 1,
        "kind": "audit",
        "subject": {
            "name": "a-set",
            "config": config,
            "version": version,
            "manifest_sha256": None,
            "label": "covid-19",
        },
        "seed": 0,
        "limit": limit,
        "films": {},
        "sections": [
            {
                "name": "fidelity",
                "question": "Close?",
                "values": [one.model_dump() for one in values],
                "notes": [],
                "missing": [],
                "shown": [],
            }
        ],
        "code": {"package": "1", "git": None, "libraries": {}},
        "hardware": {"device": "cpu", "name": "x", "threads": 1},
        "seconds": 1.0,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(audit))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    half = "real, other half of the patients"
    wide = [
        value("frechet", 5.0),
        value("frechet", 2.0, half, yardstick=True),
        value("frechet", 9.0, "real, blurred", yardstick=True),
        value("no-headline", 7.0),
    ]
    save(tmp_path, "gnc.json", "gnc", wide)
    save(tmp_path / "300", "gnc.json", "gnc", [value("frechet", 6.0), value("heart-right", 0.25)], 300)
    save(tmp_path, "pairs.json", "pairs", [value("frechet", 4.0)], 1000)
    save(tmp_path, "folder.json", "mine", [value("frechet", 4.0)], version=None)
    return tmp_path


def test_a_row_for_each_subject_and_a_column_for_each_config(folder: Path) -> None:
    (table,) = version_table.version_tables(version_table.read_all(folder))
    assert (table.name, table.version, table.configs) == ("a-set", "1.2.3", ("gnc", "pairs"))
    shown = [
        (row.metric, row.subject, {name: cell.value for name, cell in row.cells.items()})
        for row in table.rows
    ]
    assert shown == [
        # Of two audits of one config the one with the most images counts.
        ("the frechet", "synthetic", {"gnc": 5.0, "pairs": 4.0}),
        ("the frechet", "real, other half of the patients", {"gnc": 2.0}),
        ("the heart-right", "synthetic", {"gnc": 0.25}),
    ]
    assert [row.yardstick for row in table.rows] == [False, True, False]
    assert len(table.questions) == 2


def test_both_leaderboards_show_it(folder: Path) -> None:
    tables = version_table.version_tables(version_table.read_all(folder))
    text = markdown.render([], "results", tables)
    assert "## The images of a-set 1.2.3" in text
    assert "5.000 [4.900, 5.100]" in text
    html = page.render([], tables)
    assert "The images of a-set 1.2.3" in html
    assert "4.900 to 5.100" in html
    assert "The images of" not in page.render([]) + markdown.render([], "results")


def test_what_is_no_audit_is_refused(folder: Path) -> None:
    (folder / "other.json").write_text("{}")
    with pytest.raises(ResultError, match="other.json"):
        version_table.version_tables(version_table.read_all(folder))
    assert version_table.version_tables(version_table.read_all(folder / "nothing")) == []
