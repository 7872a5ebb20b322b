"""Synthetic COVID-19 chest X-rays as versioned datasets: load them, mix them with real films, measure.

    import covid_synth_data as csd

    real = csd.load_task("normal-vs-covid", root)["train"]
    synthetic = csd.load_dataset("covid-synth-cxr", "gnc", root="releases/covid-synth-cxr")
    train = csd.mix(real, synthetic, skew=1.0, seed=0)

Everything is imported when it is first used, so that importing the package is quick and needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports
from covid_synth_data._version import __version__

__all__ = [
    "__version__",
    "benchmark",
    "diff",
    "errors",
    "extend",
    "find_leaks",
    "generators",
    "lesions",
    "list_datasets",
    "list_sources",
    "list_tasks",
    "load_dataset",
    "load_source",
    "load_task",
    "metrics",
    "mix",
    "replace",
    "schema",
    "skew",
    "verify",
    "write_image_folder",
    "write_npz",
    "write_parquet",
]

if TYPE_CHECKING:
    from covid_synth_data import benchmark, errors, generators, lesions, metrics, schema
    from covid_synth_data.catalog import list_datasets
    from covid_synth_data.files.films import write_parquet
    from covid_synth_data.mixing import extend, mix, replace, skew
    from covid_synth_data.release.diff import diff
    from covid_synth_data.release.exporting import write_image_folder, write_npz
    from covid_synth_data.release.loading import load_dataset
    from covid_synth_data.release.verification import verify
    from covid_synth_data.sources import list_sources, load_source
    from covid_synth_data.tasks import find_leaks, list_tasks, load_task
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "list_datasets": "catalog",
            "load_dataset": "release.loading",
            "verify": "release.verification",
            "diff": "release.diff",
            "list_sources": "sources",
            "load_source": "sources",
            "list_tasks": "tasks",
            "load_task": "tasks",
            "find_leaks": "tasks",
            "skew": "mixing",
            "mix": "mixing",
            "replace": "mixing",
            "extend": "mixing",
            "write_parquet": "files.films",
            "write_image_folder": "release.exporting",
            "write_npz": "release.exporting",
        },
        modules=("benchmark", "errors", "generators", "lesions", "metrics", "schema"),
    )
