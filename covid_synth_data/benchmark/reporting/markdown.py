"""Tables and numbers as text, Markdown at the same time."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the header first, as a Markdown table whose columns are of even width."""
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(drawn)


def signed(value: float) -> str:
    """A difference with its sign; what rounds to zero has none that means anything."""
    return f"{value:+.3f}" if f"{value:.3f}" not in ("0.000", "-0.000") else "0.000"
