"""The report of a folder of results: our tables, the papers' numbers beside them, comparisons, figures."""

from __future__ import annotations

from pathlib import Path

from covid_synth_data.benchmark import tables


def report(results_dir: str | Path, *, published: bool = True, figures: str | Path | None = None) -> str:
    """The report as text, Markdown at the same time. Raises `ResultError`."""
    return tables.report(results_dir)
