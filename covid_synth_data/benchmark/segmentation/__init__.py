"""Segmentation of CT slices: what synthetic slices are worth to a U-Net (jiang2020, Tables III and IV).

    from covid_synth_data.benchmark import segmentation

    segmentation.run("jiang2020", root=root, release="releases/covid-synth-ct", out="benchmarks/segmentation")
    print(segmentation.report("benchmarks/segmentation"))

One training of one regime and seed gives one result file, which holds the counts of pixels of every test
slice. A suite is a TOML file under `suites/`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {
    "list_suites": "suite",
    "load_suite": "suite",
    "plan": "runner",
    "report": "tables",
    "run": "runner",
    "validate_result": "results",
}

__all__ = ["list_suites", "load_suite", "plan", "report", "run", "validate_result"]

if TYPE_CHECKING:
    from covid_synth_data.benchmark.segmentation.results import validate_result
    from covid_synth_data.benchmark.segmentation.runner import plan, run
    from covid_synth_data.benchmark.segmentation.suite import list_suites, load_suite
    from covid_synth_data.benchmark.segmentation.tables import report


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
