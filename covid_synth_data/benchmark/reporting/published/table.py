"""Ours beside theirs, a line per printed number, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from covid_synth_data.benchmark.reporting.markdown import markdown_table
from covid_synth_data.benchmark.reporting.published.cells import Cell
from covid_synth_data.benchmark.reporting.published.errata import contradictions

if TYPE_CHECKING:
    from covid_synth_data.benchmark.reporting import tables

OTHERS: Final = "not in the paper"

LEGEND: Final = (
    "Theirs: as printed; FN: false negatives. Ours: mean over the seeds {lowest to highest seed} [lowest to"
    " highest limit of the seeds' own 95 % intervals]. The two were measured on other films and are never"
    " combined; a difference between them is no finding. Compare regimes within a column.",
    'Flag: the printed number does not follow from what is printed with it. "not in the paper": our baselines'
    " of real films, without which a gain cannot be judged, and further regimes.",
)
WITHOUT: Final = (
    "Printed, and nothing of ours beside it in these results, which are of other models or tasks (profile"
    " `paper` has the papers' networks); the numbers are in `benchmarks/published/`. Flagged: they"
    " contradict what is printed with them, see `docs/reference/errata.md`."
)
HEADER: Final = ["model", "regime", "metric", "theirs", "ours", "flag", "what differs"]

_ATTRIBUTES: Final = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "skew": "skew",
    "auc": "micro_auc",
    "precision": "micro_precision",
    "specificity-at-sensitivity": "micro_specificity_at_sensitivity",
}
"""Where a row keeps the number that a printed metric is. A row may lack those of K classes."""


def versus_paper(ours_rows: Sequence[tables.Row], cells: Sequence[Cell]) -> str:
    """A table for each printed table that we have a row for, with what its columns mean below.

    A row belongs to a cell when its suite is of that paper and task, model and regime are those of the cell.
    Our regimes that the paper lacks follow theirs. A printed number that nothing of ours stands beside is
    a line that says so; a table of nothing else is named in one line.
    """
    flags: dict[Cell, list[str]] = defaultdict(list)
    for contradiction in contradictions(cells):
        flags[contradiction.cell].append(contradiction.problem)
    theirs: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        theirs[cell.paper, cell.table].append(cell)
    parts, without = [], []
    for (paper, name), printed in theirs.items():
        title = f"{paper}, {'text' if name == 'text' else f'Table {name}'}"
        tasks = {cell.task for cell in printed if cell.model_here}
        rows = [row for row in ours_rows if _of_paper(row, paper) and row.task in tasks]
        matched = [(cell, row) for cell in printed for row in _matching(cell, rows)]
        added = _additions(printed, rows)
        if not added and not any(row is not None for _, row in matched):
            wrong = sum(cell in flags for cell in printed)
            flagged = f", {wrong} of them flagged" if wrong else ""
            without.append(f"{title}: {len(printed)} numbers{flagged}")
            continue
        lines = [_line(cell, row, flags) for cell, row in matched]
        lines += added
        parts += [f"### {title}: theirs and ours", markdown_table([HEADER, *lines])]
    if parts:
        parts += LEGEND
    if without:
        parts.append(WITHOUT + "\n\n" + "\n".join(f"- {text}" for text in without))
    return "\n\n".join(parts) + "\n"


def _of_paper(row: tables.Row, paper: str) -> bool:
    return row.suite == paper or row.suite.startswith(f"{paper}-")


def _matching(cell: Cell, rows: Sequence[tables.Row]) -> Sequence[tables.Row | None]:
    """Our rows of that cell, which may differ in preprocessing; None stands for none."""
    wanted = (cell.task, cell.model_here, cell.regime_here)
    return [row for row in rows if (row.task, row.model, row.regime) == wanted] or [None]


def _line(cell: Cell, row: tables.Row | None, flags: Mapping[Cell, list[str]]) -> list[str]:
    flag = "; ".join(flags.get(cell, []))
    name = cell.model if row is None else f"{cell.model} (ours: {row.model})"
    regime = f"{cell.regime} against {cell.against}" if cell.against else cell.regime
    ours = "not run" if row is None else (_ours(cell.metric, row) or "not measured")
    return [name, regime, cell.metric, str(cell), ours, flag, _differs(cell, row)]


def _additions(printed: Sequence[Cell], rows: Sequence[tables.Row]) -> list[list[str]]:
    """Lines for our regimes that the table lacks, for each metric that it has for that model."""
    lines = []
    for row in rows:
        cells = [cell for cell in printed if (cell.task, cell.model_here) == (row.task, row.model)]
        if not cells or row.regime in {cell.regime_here for cell in cells}:
            continue
        for metric in dict.fromkeys(cell.metric for cell in cells):
            value = _ours(metric, row)
            if value and metric != "skew":
                lines.append([row.model, row.regime, metric, OTHERS, value, "", _setting(row)])
    return lines


def _ours(metric: str, row: tables.Row) -> str | None:
    """Our number in the unit of the papers, None where the row has none of that metric."""
    name = _ATTRIBUTES.get(metric)
    if metric == "auc" and len(row.classes) == 2:
        name = "auc"
    value = getattr(row, name, None) if name else None
    if value is None:
        return None
    if metric == "skew":
        return f"{value:.2f}"
    counts = f" ({', '.join(map(str, row.false_negatives))} FN)" if metric == "sensitivity" else ""
    return _percent(value) + counts


def _percent(value: tables.Cell) -> str:
    lowest, highest = f"{100 * value.lowest:.1f}", f"{100 * value.highest:.1f}"
    spread = "" if lowest == highest else f" {{{lowest} to {highest}}}"
    return f"{100 * value.mean:.1f} %{spread} [{100 * value.low:.1f} to {100 * value.high:.1f}]"


def _differs(cell: Cell, row: tables.Row | None) -> str:
    """The differences between the two numbers, besides the films themselves."""
    remarks = [cell.note] if cell.note else []
    if row is None:
        return "; ".join(remarks)
    if cell.metric != "skew":
        films = row.test_positives + (0 if cell.metric == "sensitivity" else row.test_negatives)
        kind = "positives" if cell.metric == "sensitivity" else "films"
        theirs = f"{cell.n} {kind}" if cell.n else f"{kind} not stated"
        remarks.append(f"theirs {theirs}, ours {films}")
    if cell.metric == "sensitivity" and len(row.classes) > 2:
        remarks.append("ours at a probability of 0.5 or more")
    return "; ".join([*remarks, _setting(row)])


def _setting(row: tables.Row) -> str:
    seeds = "1 seed" if len(row.seeds) == 1 else f"{len(row.seeds)} seeds"
    return f"protocol {row.protocol}, {row.preprocessing} films, weights {row.weights}, {seeds}"
