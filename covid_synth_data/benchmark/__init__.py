"""The benchmark: suite x task x model x regime x seed -> one result file each, and the tables made of them.

    from covid_synth_data import benchmark

    benchmark.run("zunair2021", root=root, release="releases/covid-synth-cxr", out="benchmarks/results")
    print(benchmark.report("benchmarks/results"))

A suite is a TOML file under `suites/` that states its kind: classifiers of films, or U-Nets on CT slices. One
engine runs both kinds. A classifier is one line in `classifiers.CLASSIFIERS`. This part of the package sees
datasets only and knows nothing of the generators behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports

__all__ = ["dry_run", "list_suites", "load_suite", "report", "run"]

if TYPE_CHECKING:
    from covid_synth_data.benchmark.reporting.report import report
    from covid_synth_data.benchmark.running.run import dry_run, run
    from covid_synth_data.benchmark.suite import list_suites, load_suite
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "dry_run": "running.run",
            "list_suites": "suite",
            "load_suite": "suite",
            "report": "reporting.report",
            "run": "running.run",
        },
    )
