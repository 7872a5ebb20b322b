"""The package as a whole: its surface, its weight, its floors."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

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
        "write_image_folder",
        "write_npz",
        "write_parquet",
        "diff",
        "find_leaks",
        "generators",
        "lesions",
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


@pytest.mark.parametrize("name", ["", ".audit", ".benchmark", ".leaderboard", ".metrics", ".reader_study"])
def test_a_package_gives_its_public_names_on_first_use(name: str):
    code = f"""
import importlib, json, sys
package = importlib.import_module("covid_synth_data{name}")
loaded = [module for module in sys.modules if module.startswith("covid_synth_data")]
values = [repr(getattr(package, public)) for public in package.__all__]
print(json.dumps([loaded, dir(package), package.__all__, values]))
"""
    loaded, listed, promised, values = json.loads(python(code))
    parents = {"covid_synth_data", "covid_synth_data._lazy", "covid_synth_data._version"}
    assert set(loaded) == parents | {f"covid_synth_data{name}"}
    assert listed == sorted(promised)
    assert len(values) == len(promised) > 0
    package = importlib.import_module(f"covid_synth_data{name}")
    with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'runn'$"):
        package.runn  # noqa: B018


def test_import_is_light():
    code = """
import time, sys
start = time.process_time()
import covid_synth_data
seconds = time.process_time() - start
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
import tomllib
import os
os.environ["USE_TORCH"] = "0"  # datasets uses torch when it finds it
import covid_synth_data as csd
splits = csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": 32, "patients": 10})
print(len(csd.mix(splits["train"], splits["validation"], synthetic_count=1)), "torch" in sys.modules)
"""
    rows, torch = python(code).split()
    assert int(rows) > 1
    assert torch == "False"


def test_modules_are_small():
    for folder in ("covid_synth_data", "generation"):
        for path in (ROOT / folder).rglob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path


def test_constraints_carry_no_address():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert all("==" in line for line in text.splitlines() if line and not line.startswith("#"))


def test_pinned_packages_accept_the_lowest_python_that_we_state():
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert lowest == ">=3.11"
    installed = {dist.metadata["Name"].lower(): dist for dist in importlib.metadata.distributions()}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [installed[name] for line in lines if (name := line.partition("==")[0].lower()) in installed]
    assert len(pinned) > 50
    for dist in pinned:
        stated = SpecifierSet(dist.metadata["Requires-Python"] or "")
        assert stated.contains("3.11.0"), f"{dist.metadata['Name']} needs Python {stated}"


def test_errors_are_one_line_and_all_ours():
    tree = [value for value in vars(csd.errors).values() if isinstance(value, type)]
    assert all(
        issubclass(error, csd.errors.CovidSynthError) for error in tree if error.__module__.endswith("errors")
    )
    text = str(csd.errors.ConfigError("a\nb", found="c", expected="d", hint="e."))
    assert text == "a b; found c; expected d. Next: e."
    drawn = csd.errors.__doc__ or ""
    assert all(error.__name__ in drawn for error in tree if error.__module__.endswith("errors"))
