"""The page of the probes shows what the result files say."""

from __future__ import annotations

import shutil
from pathlib import Path

from covid_synth_data.benchmark.results import validate_as, write_result
from covid_synth_data.benchmark.results.lesions import LesionResult
from covid_synth_data.benchmark.results.probes import ProbeResult
from tests.audit.test_results_page import tables  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "benchmarks" / "results" / "probes"
PAGE = ROOT / "docs" / "results" / "probes.md"


def test_the_page_is_that_of_the_result_files(tables):  # noqa: F811
    text = PAGE.read_text(encoding="utf-8")
    assert tables.with_probes(text, RESULTS) == text
    assert text.count("<!-- probe ") >= 4
    assert "| PA | 69 | 163 |" in text
    assert tables.with_lesions(text, RESULTS.parent / "lesions") == text
    assert "<!-- lesions external -->" in text


def test_a_changed_number_changes_the_page(tables, tmp_path):  # noqa: F811
    shutil.copytree(RESULTS, tmp_path / "probes")
    path = tmp_path / "probes" / "external.json"
    found = validate_as(path, ProbeResult)
    first = found.rows[0]
    wider = first.model_copy(update={"auc": first.auc.model_copy(update={"low": 0.123})})
    write_result(path, found.model_copy(update={"rows": [wider, *found.rows[1:]]}))
    text = PAGE.read_text(encoding="utf-8")
    changed = tables.with_probes(text, tmp_path / "probes")
    assert changed != text
    assert "[0.123, " in changed


def test_a_changed_map_changes_the_page(tables, tmp_path):  # noqa: F811
    shutil.copytree(RESULTS.parent / "lesions", tmp_path / "lesions")
    path = tmp_path / "lesions" / "external.json"
    found = validate_as(path, LesionResult)
    first = found.rows[0]
    wider = first.model_copy(update={"value": first.value.model_copy(update={"low": 0.0123})})
    write_result(path, found.model_copy(update={"rows": [wider, *found.rows[1:]]}))
    text = PAGE.read_text(encoding="utf-8")
    changed = tables.with_lesions(text, tmp_path / "lesions")
    assert changed != text
    assert "[0.012, " in changed
