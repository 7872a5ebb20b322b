"""The package as a whole: its surface, its weight, its floors."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import covid_synth_data as csd

ROOT = Path(__file__).resolve().parents[1]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_surface_is_exactly_what_is_promised():
    promised = {
        "list_datasets",
        "load_dataset",
        "list_sources",
        "load_source",
        "list_tasks",
        "load_task",
        "mix",
        "replace",
        "extend",
        "skew",
        "verify",
        "diff",
        "find_leaks",
        "generators",
        "benchmark",
        "metrics",
        "schema",
        "errors",
        "__version__",
    }
    assert set(csd.__all__) == promised
    assert all(getattr(csd, name) is not None for name in promised)
    assert set(dir(csd)) == promised
    with pytest.raises(AttributeError, match="nothing"):
        csd.nothing  # noqa: B018


def test_import_is_light():
    code = """
import time, sys
start = time.perf_counter()
import covid_synth_data
seconds = time.perf_counter() - start
import json
heavy = [m for m in ("torch", "datasets", "pandas", "pyarrow", "numpy", "scipy") if m in sys.modules]
print(json.dumps([seconds, heavy]))
"""
    python(code)  # once to fill the byte-code cache
    seconds, heavy = json.loads(python(code))
    assert heavy == []
    assert seconds < 0.3


def test_loading_and_mixing_need_no_torch():
    code = """
import sys
import os
os.environ["USE_TORCH"] = "0"  # datasets uses torch when it finds it
import covid_synth_data as csd
splits = csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 32, "patients": 10})
print(len(csd.mix(splits["train"], splits["validation"], synthetic_count=1)), "torch" in sys.modules)
"""
    rows, torch = python(code).split()
    assert int(rows) > 1
    assert torch == "False"


FLOORS = {
    "errors": 0,
    "schema": 0,
    "catalog": 0,
    "classes": 1,
    "leaks": 4,
    "reader_study": 7,
    "atomic": 1,
    "config": 1,
    "dicom": 1,
    "pixels": 2,
    "manifest": 2,
    "reading": 3,
    "sources": 3,
    "frontmatter": 3,
    "shards": 3,
    "remote": 4,
    "hub": 5,
    "references": 5,
    "versions": 6,
    "mixing": 2,
    "metrics": 2,
    "generators": 3,
    "tasks": 5,
    "patients": 1,
    "copies": 3,
    "copy_store": 3,
    "duplicates": 4,
    "writing": 3,
    "sampling": 4,
    "protocols": 4,
    "ct": 4,
    "benchmark": 6,
    "extractor": 7,
    "quickstart": 7,
    "cli": 8,
}


def imports(path: Path) -> set[str]:
    """Rooms of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "covid_synth_data"
        ):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return {name for name in found if (ROOT / "covid_synth_data" / name).is_dir() or name in FLOORS}


def test_rooms_import_only_what_is_below_them():
    package = ROOT / "covid_synth_data"
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for other in imports(path) - {room}:
            assert FLOORS[other] < FLOORS[room], f"{path.relative_to(ROOT)} imports {other}"
    for path in package.rglob("*.py"):
        assert "generation" not in {
            alias.name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert "from generation" not in path.read_text()
    assert "generators" not in set().union(*(imports(p) for p in (package / "benchmark").rglob("*.py")))


def test_modules_are_small():
    for folder in ("covid_synth_data", "generation"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


def test_constraints_carry_no_address():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert all("==" in line for line in text.splitlines() if line and not line.startswith("#"))


def test_errors_are_one_line_and_all_ours():
    tree = [value for value in vars(csd.errors).values() if isinstance(value, type)]
    assert all(
        issubclass(error, csd.errors.CovidSynthError) for error in tree if error.__module__.endswith("errors")
    )
    text = str(csd.errors.ConfigError("a\nb", found="c", expected="d", hint="e."))
    assert text == "a b; found c; expected d. Next: e."
    drawn = csd.errors.__doc__ or ""
    assert all(error.__name__ in drawn for error in tree if error.__module__.endswith("errors"))
