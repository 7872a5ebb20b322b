"""The summary on top of a report: a line for each test set and model, with what is gained or lost there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from covid_synth_data.benchmark.reporting import comparisons, controls
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
        " against the baseline of the same recipe, in a judged metric. Films of controls show nothing new:"
        " a gain that does not exceed theirs is not due to what synthetic images show. The tables below have"
        " the intervals.",
        markdown_table([HEADER, *map(_line, compared)]),
    ]


def named(one: Compared) -> set[str]:
    """The regimes that the line of the summary names."""
    with_verdict = {gain.regime for gain in one.gains if gain.verdict in ("gain", "loss")}
    highest = [max(made, key=_auc)] if (made := _made(one)) else []
    return with_verdict | {group.first.regime for group in (*_to_beat(one), *highest)}


def _made(one: Compared) -> list[Group]:
    """The groups with synthetic images."""
    # A ceiling is trained on real films that are held back from all others; it is no synthetic regime.
    rules = [(group, group.first.regime_rule) for group in one.groups]
    return [group for group, rule in rules if rule.synthetic and not rule.held]


def _to_beat(one: Compared) -> list[Group]:
    """The baseline to beat; none where nothing is compared."""
    real = [group for group in one.groups if group.first.regime_rule.baseline]
    chosen = comparisons.to_beat([group.sample for group in real]) if one.pairs else None
    return [group for group in real if chosen is not None and group.first.regime == chosen.regime]


def _line(one: Compared) -> list[str]:
    first = one.groups[0].first
    counts = sorted({len(group.seeds) for group in one.groups})
    return [
        f"{first.suite} {first.suite_version}",
        first.task,
        first.preprocessing,
        first.model,
        str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}",
        _highest(_to_beat(one)),
        _highest(_made(one)),
        _verdict(one.gains, controls.regimes(one.groups)),
    ]


def _highest(groups: Sequence[Group]) -> str:
    if not groups:
        return "not run"
    best = max(groups, key=_auc)
    return f"{best.first.regime} {_auc(best):.3f}"


def _auc(group: Group) -> float:
    return group.sample.statistics["auc"].value


def _verdict(found: Sequence[Gain], are_controls: Collection[str]) -> str:
    kinds = {kind: {one.regime for one in found if one.verdict == kind} for kind in ("gain", "loss")}
    kinds["controls with a gain"] = kinds["gain"] & set(are_controls)
    kinds["gain"] -= kinds["controls with a gain"]
    parts = [f"{kind}: {', '.join(sorted(names))}" for kind, names in kinds.items() if names]
    if parts:
        return "; ".join(parts)
    verdicts = {one.verdict for one in found}
    return "no comparison" if not verdicts else verdicts.pop() if len(verdicts) == 1 else "none"
