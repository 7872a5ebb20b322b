"""The summary on top of a report: a line for each test set and model, with what is gained or lost there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from covid_synth_data.benchmark.reporting import comparisons
from covid_synth_data.benchmark.reporting.collect import Group
from covid_synth_data.benchmark.reporting.comparisons import Pair
from covid_synth_data.benchmark.reporting.gains import Gain
from covid_synth_data.benchmark.reporting.markdown import markdown_table

HEADER: Final = (
    "suite",
    "task",
    "images",
    "model",
    "seeds",
    "baseline to beat",
    "highest with synthetic",
    "verdict",
)


@dataclass(frozen=True)
class Compared:
    """The groups that differ in nothing but the regime, their comparisons and gains (empty: no baseline)."""

    groups: Sequence[Group]
    pairs: Sequence[Pair]
    gains: Sequence[Gain]


def section(compared: Sequence[Compared]) -> list[str]:
    """The heading, what the columns mean, and the table."""
    return [
        "## Summary",
        "AUC, mean over the seeds. The verdict names regimes with a gain over the baseline to beat, or a loss"
        " against the baseline of the same recipe, in a judged metric. The tables below have the intervals.",
        markdown_table([HEADER, *map(_line, compared)]),
    ]


def _line(one: Compared) -> list[str]:
    first = one.groups[0].first
    real = [group for group in one.groups if group.first.regime_rule.baseline]
    # A ceiling is trained on real films that are held back from all others; it is no synthetic regime.
    made = [
        group
        for group in one.groups
        if group.first.regime_rule.synthetic and not group.first.regime_rule.held
    ]
    chosen = comparisons.to_beat([group.sample for group in real]) if one.pairs else None
    to_beat = [group for group in real if chosen is not None and group.first.regime == chosen.regime]
    counts = sorted({len(group.seeds) for group in one.groups})
    return [
        f"{first.suite} {first.suite_version}",
        first.task,
        first.preprocessing,
        first.model,
        str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        _highest(to_beat),
        _highest(made),
        _verdict(one.gains),
    ]


def _highest(groups: Sequence[Group]) -> str:
    if not groups:
        return "not run"
    best = max(groups, key=_auc)
    return f"{best.first.regime} {_auc(best):.3f}"


def _auc(group: Group) -> float:
    return group.sample.statistics["auc"].value


def _verdict(found: Sequence[Gain]) -> str:
    kinds = {kind: {one.regime for one in found if one.verdict == kind} for kind in ("gain", "loss")}
    parts = [f"{kind}: {', '.join(sorted(names))}" for kind, names in kinds.items() if names]
    if parts:
        return "; ".join(parts)
    told = {one.verdict for one in found}
    return "no comparison" if not told else told.pop() if len(told) == 1 else "none"
