"""The report of a folder of results: our tables, what each regime gains over which baseline, the papers'
numbers beside ours, and figures. One text, Markdown at the same time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.reporting import comparisons, gains, gap, recipes, segmentation, tables
from covid_synth_data.benchmark.reporting.collect import Group, collect, comparable


def report(
    results_dir: str | Path,
    *,
    comparing: bool = True,
    published: bool = True,
    figures: str | Path | None = None,
) -> str:
    """The report of all results below `results_dir`, of whichever kinds, each validated first.

    `comparing` adds the gains of each regime over the baselines, `published` the papers' tables beside ours;
    `figures` is a folder that the figures are drawn into, named in the report relative to the working folder.
    Raises `ResultError`, `ConfigError` for published tables that cannot be read, `MissingExtra` for figures.
    """
    folder, parts = Path(results_dir), []
    slices = results.has(folder, "segmentation")
    if results.has(folder, "classification") or not slices:
        parts.append(_of_classifiers(folder, comparing=comparing, published=published, figures=figures))
    if slices:
        parts.append(segmentation.report(folder))
    return "\n".join(parts)


def _of_classifiers(
    results_dir: Path, *, comparing: bool, published: bool, figures: str | Path | None
) -> str:
    """The report of the results of classifiers."""
    groups = collect(results_dir)
    rows = [tables.row_of(group) for group in groups]
    compared = _gains(groups) if comparing else {}
    parts = ["# Benchmark report"]
    for block in tables.blocks(rows):
        row = block[0]
        parts += tables.section(block)
        parts += compared.get((row.suite, row.suite_version, row.task, row.preprocessing), [])
    notes = [*tables.NOTES, *(gains.NOTES if compared else ())]
    parts += ["## How to read the tables", "\n".join(f"- {note}" for note in notes)]
    if published:
        from covid_synth_data.benchmark.reporting import published as papers

        parts.append("## The papers' numbers beside ours\n\n" + papers.versus_paper(rows, papers.load()))
    if figures is not None:
        from covid_synth_data.benchmark.reporting import figures as drawing

        made = drawing.draw(groups, Path(figures))
        parts.append("## Figures\n\n" + "\n\n".join(f"![{t}]({os.path.relpath(p)})" for t, p in made.items()))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _gains(groups: Sequence[Group]) -> dict[tuple[str, ...], list[str]]:
    """What each regime gains over the real films alone and over the baseline to beat, by test set and
    preprocessing: a table and a verdict for each model."""
    parts: dict[tuple[str, ...], list[str]] = {}
    for mine in comparable(groups):
        first = mine[0].first
        if len(mine) < 2 or not any(group.first.regime_rule.baseline for group in mine):
            continue
        samples = [group.sample for group in mine]
        pairs = comparisons.compare(samples)
        found = gains.gains(pairs)
        if found:
            limit = "" if first.limit is None else f", at most {first.limit:,} real negatives"
            parts.setdefault(mine[0].key[:4], []).extend(
                [
                    f"### Gains, {first.model} ({first.weights.name}){limit}",
                    *recipes.section(samples, pairs),
                    *gap.section(samples),
                    gains.table(pairs),
                    f"**{gains.verdict(found)}**",
                ]
            )
    return parts
