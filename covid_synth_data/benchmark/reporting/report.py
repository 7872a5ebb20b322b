"""The report of a folder of results: our tables, what each regime gains over which baseline, the papers'
numbers beside ours, and figures. One text, Markdown at the same time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.reporting import (
    comparisons,
    controls,
    encodings,
    gains,
    gap,
    half_samples,
    recipes,
    segmentation,
    summary,
    tables,
)
from covid_synth_data.benchmark.reporting.collect import Group, Progress, collect, comparable
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.benchmark.reporting.summary import Compared
from covid_synth_data.benchmark.suite import is_suite, load_suite


def report(
    results_dir: str | Path,
    *,
    comparing: bool = True,
    published: bool = True,
    figures: str | Path | None = None,
    links_from: str | Path | None = None,
    suite: str | None = None,
    groups: Sequence[Group] | None = None,
    progress: Progress | None = None,
) -> str:
    """The report of all results below `results_dir`, of whichever kinds, each validated first.

    `comparing` adds a summary and the gains of each regime over the baselines, `published` the papers' tables
    beside ours; `figures` is a folder that the figures are drawn into, named in the report relative to the
    folder `links_from`, by default the working folder. `suite` leaves all other suites out. `groups` are what
    `collect` read in `results_dir` before. `progress` gets (done, all, what is done). Raises `ResultError`,
    `ConfigError` for published tables that cannot be read, `MissingExtra` for figures.
    """
    folder, parts = Path(results_dir), []
    # A suite is of one kind; a name that no suite has is answered by the results of classifiers.
    kind = load_suite(suite).kind if suite is not None and is_suite(suite) else None
    slices = results.has(folder, "segmentation") and (suite is None or kind == "segmentation")
    if not slices or (suite is None and results.has(folder, "classification")):
        if groups is None:
            groups = collect(folder, progress, suite)
        elif suite is not None:
            groups = [group for group in groups if group.first.suite == suite]
        parts.append(_of_classifiers(groups, comparing, published, figures, links_from, progress))
    if slices:
        parts.append(segmentation.report(folder, suite))
    return "\n".join(parts)


def _of_classifiers(
    groups: Sequence[Group],
    comparing: bool,
    published: bool,
    figures: str | Path | None,
    links_from: str | Path | None,
    progress: Progress | None,
) -> str:
    """The report of the results of classifiers."""
    rows = [tables.row_of(group) for group in groups]
    compared = _compared(groups, progress) if comparing else []
    gain_sections = _gains(compared)
    parts = ["# Benchmark report", *(summary.section(compared) if compared else ())]
    for block in tables.blocks(rows):
        row = block[0]
        parts += tables.section(block)
        parts += gain_sections.get((row.suite, row.suite_version, row.task, row.preprocessing), [])
    notes = [*tables.NOTES, *(gains.NOTES if gain_sections else ())]
    parts += ["## How to read the tables", "\n".join(f"- {note}" for note in notes)]
    if published:
        from covid_synth_data.benchmark.reporting import published as papers

        parts.append("## The papers' numbers beside ours\n\n" + papers.versus_paper(rows, papers.load()))
    if figures is not None:
        from covid_synth_data.benchmark.reporting import figures as drawing

        named: dict[tuple[str, ...], set[str]] = {}
        for one in compared:
            named.setdefault(one.groups[0].key[:5], set()).update(summary.named(one))
        made = drawing.draw(groups, Path(figures), progress, named if comparing else None)
        start = Path() if links_from is None else Path(links_from)
        links = (f"![{title}]({Path(os.path.relpath(at, start)).as_posix()})" for title, at in made.items())
        parts.append("## Figures\n\n" + "\n\n".join(links))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _compared(groups: Sequence[Group], progress: Progress | None) -> list[Compared]:
    """The groups that stand in one table, with their comparisons where there is a baseline."""
    together = comparable(groups)
    compared = []
    for number, mine in enumerate(together):
        if progress:
            progress(number, len(together), "comparing")
        usable = len(mine) > 1 and any(group.first.regime_rule.baseline for group in mine)
        pairs = comparisons.compare([group.sample for group in mine]) if usable else []
        compared.append(Compared(mine, pairs, gains.gains(pairs)))
    return compared


def _verdict(one: Compared, samples: Sequence[Sample]) -> list[str]:
    """Paragraphs: what stands before all and the claims in bold, then the rest."""
    text = gains.verdict_text(one.gains, controls.regimes(one.groups))
    claims = [encodings.sentence(samples, one.pairs), *text.lead, *text.claims]
    bold = " ".join(filter(None, claims))
    return [part for part in (f"**{bold}**" if bold else "", " ".join(text.others)) if part]


def _gains(compared: Sequence[Compared]) -> dict[tuple[str, ...], list[str]]:
    """The gain of each regime over the real films alone and over the baseline to beat, by test set and
    preprocessing: a table and a verdict for each model."""
    parts: dict[tuple[str, ...], list[str]] = {}
    for one in compared:
        if not one.gains:
            continue
        first = one.groups[0].first
        samples = [group.sample for group in one.groups]
        limit = "" if first.limit is None else f", at most {first.limit:,} real negatives"
        parts.setdefault(one.groups[0].key[:4], []).extend(
            [
                f"### Gains, {first.model} ({first.weights.name}){limit}",
                *recipes.section(samples, one.pairs),
                *gap.section(samples),
                *half_samples.section(samples, first.suite),
                gains.table(one.pairs),
                *_verdict(one, samples),
            ]
        )
    return parts
