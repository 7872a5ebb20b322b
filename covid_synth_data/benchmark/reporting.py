"""The report of a folder of results: our tables, what each regime gains over which baseline, the papers'
numbers beside ours, and figures. One text, Markdown at the same time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.benchmark import comparisons, tables
from covid_synth_data.benchmark.collecting import Group, collect


def report(
    results_dir: str | Path,
    *,
    comparing: bool = True,
    published: bool = True,
    figures: str | Path | None = None,
) -> str:
    """The report of all results below `results_dir`, each validated first.

    `comparing` adds the gains of each regime over the baselines, `published` the papers' tables beside ours;
    `figures` is a folder that the figures are drawn into, named in the report relative to the working folder.
    Raises `ResultError`, `ConfigError` for published tables that cannot be read, `MissingExtra` for figures.
    """
    groups = collect(results_dir)
    rows = [tables.row_of(group) for group in groups]
    parts = [tables.markdown(rows)]
    if comparing:
        parts += _gains(groups)
    if published:
        from covid_synth_data.benchmark import published as papers

        parts.append("## The papers' numbers beside ours\n\n" + papers.beside(rows, papers.load()))
    if figures is not None:
        from covid_synth_data.benchmark import figures as drawing

        made = drawing.draw(groups, Path(figures))
        parts.append("## Figures\n\n" + "\n\n".join(f"![{t}]({os.path.relpath(p)})" for t, p in made.items()))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _gains(groups: Sequence[Group]) -> list[str]:
    """What each regime gains over the real films alone and over the best honest baseline."""
    together: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        together.setdefault(group.key[:5], []).append(group)
    parts = []
    for (suite, version, task, kind, model), mine in together.items():
        first = mine[0].first
        seeds = [seed for group in mine for seed in group.seeds]
        regimes = [group.key[5] for group in mine]
        if len(regimes) < 2 or not comparisons.default_baselines(regimes):
            continue
        pairs = comparisons.compare(seeds, positive=first.classes.index(first.positive))
        title = f"{suite} {version}, {task}, {kind} films, {model}"
        parts.append(f"Gains, {title}\n\n{comparisons.table(pairs)}")
    return ["## Gains", *parts, "\n\n".join(comparisons.NOTES)] if parts else []
