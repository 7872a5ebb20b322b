"""The leaderboard as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.leaderboard.boards import Block, Board, Entry
from covid_synth_data.benchmark.tables import Cell

NOTES = (
    "Cells: mean over the seeds [lowest to highest limit of the seeds' own 95 % intervals]. AUC: bootstrap"
    " over patients. SE@SP: sensitivity at the threshold that gives that specificity on the same test films,"
    " Clopper-Pearson. ECE: expected calibration error. Trained on: in the first fold, where there are"
    " folds.",
    "Baselines (*) are trained on real films alone: as they are, drawn class by class, with a class-weighted"
    " loss, or plainly augmented. Gain: AUC minus that of the best baseline of the same model and films, with"
    " a 95 % interval of a bootstrap over patients, the same for both. The best baseline is the one that did"
    " best on these test films, which favours the baselines a little. Intervals are not corrected for the"
    " number of regimes, and cover neither other seeds nor other splits.",
)


def render(boards: Sequence[Board], made_from: str) -> str:
    """The whole file."""
    parts = [
        "# Leaderboard",
        f"Made from the result files in `{made_from}/` by `covid-synth leaderboard build`; do not"
        " edit. `leaderboard.html` beside this file is the same with every interval, figure and comparison."
        " How to submit: `docs/leaderboard.md`.",
        *NOTES,
        *(_board(board) for board in boards),
    ]
    return "\n\n".join(parts) + "\n"


def _board(board: Board) -> str:
    older = "" if board.current else " (not the suite as this package has it)"
    parts = [
        f"## {board.suite} {board.version}: {board.task}{older}",
        f"{board.title}. Tested on {board.tested}; test set `{board.digest[:16]}`.",
        *([f"> {board.caution}"] if board.caution else []),
    ]
    for block in board.blocks:
        parts += [f"### {block.name}", table(block), block.verdict()]
        if block.missing:
            parts.append(f"Baselines that were not run: {', '.join(block.missing)}.")
    parts += [f"Note: {note}" for note in board.notes]
    return "\n\n".join(parts)


def table(block: Block) -> str:
    """The rows of a block, best AUC first."""
    first = block.entries[0].row
    several = len(first.classes) > 2
    header = [
        "regime", "dataset", "trained on", "skew", "seeds", "AUC",
        *(f"SE@SP {point}" for point in first.sensitivity_at), "ECE",
        *(["accuracy"] if several else []), "gain in AUC",
    ]  # fmt: skip
    lines = [header, *(_cells(entry, several) for entry in block.entries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    drawn = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(drawn)


def _cells(entry: Entry, several: bool) -> list[str]:
    row = entry.row
    return [
        row.regime + (" *" if entry.baseline else ""),
        row.dataset or "",
        trained_on(entry),
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


def trained_on(entry: Entry) -> str:
    """The composition in a few words."""
    row = entry.row
    synthetic = "".join(f" + {count:,} {name}" for name, count in row.synthetic.items())
    return f"{row.real_negatives:,} neg, {row.real_positives:,} pos{synthetic}"


def gain(entry: Entry) -> str:
    """The gain over the best baseline with its interval."""
    if entry.gain is None:
        return "best baseline" if entry.best else "no baseline"
    auc = entry.gain.auc
    return f"{signed(auc.difference)} [{signed(auc.low)} to {signed(auc.high)}]"


def signed(value: float) -> str:
    """A difference with its sign; what rounds to zero has none that means anything."""
    return f"{value:+.3f}" if f"{value:.3f}" not in ("0.000", "-0.000") else "0.000"
