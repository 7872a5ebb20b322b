"""The leaderboard as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from covid_synth_data import escaping
from covid_synth_data.audit.version_table import VersionTable
from covid_synth_data.audit.version_table import cell as value_cell
from covid_synth_data.benchmark.reporting.markdown import markdown_table, signed
from covid_synth_data.benchmark.reporting.tables import Cell, trained_on
from covid_synth_data.leaderboard.boards import Block, Board, Entry

NOTES = (
    "Cells: mean over the seeds [95 % interval of that mean, by a bootstrap crossed over patients and seeds]."
    " SE@SP: sensitivity at the threshold that gives that specificity on the same test films. ECE: expected"
    " calibration error. Trained on: in the first fold, where there are folds.",
    "Baselines (*) are trained on real films alone: as they are, drawn class by class, with a class-weighted"
    " loss, or plainly augmented. Gain: AUC minus that of the baseline to beat of the same model and films,"
    " with a 95 % interval of the same bootstrap. The baseline to beat has the highest AUC on the validation"
    " films. ▲: a gain over it; ▼: a loss against the baseline of the same recipe; both at p below 0.05 after"
    " Holm's correction over all regimes and metrics, with ten seeds or more. Nothing covers other splits.",
)


AUDITED: Final = (
    "Values of the audits [95 % interval], those of synthetic images above their yardsticks. Configs are not"
    " compared with each other: each has its own real images."
)


def render(boards: Sequence[Board], made_from: str, versions: Sequence[VersionTable] = ()) -> str:
    """The whole file; `versions` are the tables of audits."""
    parts = [
        "# Leaderboard",
        f"Made from the result files in `{made_from}/` by `covid-synth leaderboard build`; do not"
        " edit. `leaderboard.html` beside this file is the same with every interval, figure and comparison."
        " How to submit: `docs/how-to/leaderboard.md`.",
        *NOTES,
        *(_board(board) for board in boards),
        *(_version(version) for version in versions),
    ]
    return "\n\n".join(parts) + "\n"


def _version(table: VersionTable) -> str:
    lines = [["what", "of", *table.configs, "read as"]]
    lines += [
        [
            row.metric,
            row.subject,
            *(value_cell(row.cells.get(config)) for config in table.configs),
            row.reading,
        ]
        for row in table.rows
    ]
    return f"## The images of {table.name} {table.version}\n\n{AUDITED}\n\n{markdown_table(lines)}"


def _board(board: Board) -> str:
    older = "" if board.current else " (not the suite as this package has it)"
    parts = [
        f"## {board.suite} {board.version}: {board.task}{older}",
        f"{board.title}. Tested on {board.tested}; test set `{board.digest[:16]}`.",
        *([f"> {board.caution}"] if board.caution else []),
    ]
    for block in board.blocks:
        parts += [f"### {block.name}", table(block), *_verdict(block)]
        if block.missing:
            parts.append(f"Baselines that were not run: {', '.join(block.missing)}.")
    parts += [f"Note: {escaping.markdown(note)}" for note in board.notes]
    return "\n\n".join(parts)


def _verdict(block: Block) -> list[str]:
    """Paragraphs: what stands before all, a list of the claims, and the rest."""
    verdict = block.verdict()
    claims = "\n".join(f"- {sentence}" for sentence in verdict.claims)
    return [part for part in (" ".join(verdict.lead), claims, " ".join(verdict.others)) if part]


def table(block: Block) -> str:
    """The rows of a block, best AUC first."""
    first = block.entries[0].row
    several = len(first.classes) > 2
    header = [
        "regime",
        "dataset",
        "trained on",
        "skew",
        "seeds",
        "AUC",
        *(f"SE@SP {point}" for point in first.sensitivity_at),
        "ECE",
        *(["accuracy"] if several else []),
        "gain in AUC",
    ]
    lines = [header, *(_cells(entry, several) for entry in block.entries)]
    return markdown_table(lines)


def _cells(entry: Entry, several: bool) -> list[str]:
    row = entry.row
    return [
        row.regime + (" *" if entry.baseline else ""),
        escaping.markdown(row.dataset or ""),
        trained_on(row),
        f"{row.skew:.2f}",
        str(len(row.seeds)),
        cell(row.auc),
        *(cell(value) for value in row.sensitivity_at.values()),
        f"{row.calibration_error:.3f}",
        *([cell(row.accuracy)] if several else []),
        gain(entry),
    ]


def cell(value: Cell) -> str:
    """A mean with its limits."""
    return f"{value.mean:.3f} [{value.low:.3f} to {value.high:.3f}]"


def gain(entry: Entry) -> str:
    """The gain over the baseline to beat with its interval."""
    if entry.gain is None or entry.limits is None:
        return "baseline to beat" if entry.best else "no baseline"
    low, high = entry.limits
    return f"{signed(entry.gain.over_best.difference)} [{signed(low)} to {signed(high)}]{_MARKS[entry.mark]}"


_MARKS: Final = {"up": " ▲", "down": " ▼", "": ""}
