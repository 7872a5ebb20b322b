"""The page of the released sets' audits shows what the result files say."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from covid_synth_data.audit import result

ROOT = Path(__file__).resolve().parents[2]
AUDITS = ROOT / "benchmarks" / "results" / "audit"
PAGE = ROOT / "docs" / "results" / "audit.md"


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "results")  # as Python does for a script
        yield importlib.import_module("tables")


def test_the_page_is_that_of_the_result_files(tables):
    text = PAGE.read_text()
    assert tables.with_audits(text, tables.audits(AUDITS)) == text
    assert text.count("<!-- audit ") >= 5


def test_a_changed_number_changes_the_page(tables, tmp_path):
    shutil.copytree(AUDITS, tmp_path / "audit")
    path = next(path for path in sorted((tmp_path / "audit").rglob("*.json")) if path.stem == "gnc")
    audit = result.read(path)
    values = audit.sections[0].values
    values[0] = values[0].model_copy(update={"value": 987.6})
    result.write(path, audit)
    assert tables.with_audits(PAGE.read_text(), tables.audits(tmp_path / "audit")) != PAGE.read_text()


def test_every_config_of_the_release_is_audited_in_every_section(tables):
    found = tables.audits(AUDITS)
    assert set(found) == {"gnc", "gpc", "pairs", "diffaug-gan"}
    for some in found.values():
        assert {section.name for one in some for section in one.sections} == {
            "fidelity",
            "copies",
            "privacy",
            "shortcuts",
            "anatomy",
        }
        assert {one.subject.version for one in some} <= {"1.1.0", "1.2.0"}
