"""Figures of one row as inline SVG: no script, no font, no colour of their own but the page's.

Classes name what is drawn (`pos`, `neg`, `axis`, ...); the page's style sheet colours them for light and
dark. Whatever a colour says, a place or a shape says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from covid_synth_data import escaping
from covid_synth_data.metrics.calibration import Bin
from covid_synth_data.metrics.detection import Floats, Ints

SIDE: Final = 200
LEFT, TOP, RIGHT, BOTTOM = 42, 12, 10, 38
BINS: Final = 20


def reliability(seeds: Sequence[Sequence[Bin]], what: str) -> str:
    """Share that came true against stated probability: the bins of the first seed with their intervals, those
    of the others as small rings. On the dashed line probabilities mean what they say."""
    marks = []
    for bins in seeds[1:]:
        marks += [
            f'<circle class="ring" cx="{_x(part.confidence)}" cy="{_y(part.accuracy.value)}" r="3"/>'
            for part in bins
        ]
    for part in seeds[0]:
        x, share = _x(part.confidence), part.accuracy
        description = (
            f"stated {part.confidence:.2f}, true {share.value:.2f}, {share.count} of {share.n} films"
        )
        marks.append(
            f'<g><title>{description}</title><line class="bar" x1="{x}" x2="{x}" y1="{_y(share.low)}"'
            f' y2="{_y(share.high)}"/><circle class="dot" cx="{x}" cy="{_y(share.value)}" r="3.5"/></g>'
        )
    films = sum(part.accuracy.n for part in seeds[0])
    description = f"Reliability diagram of {what}: {len(seeds[0])} bins, {films} films, {len(seeds)} seeds"
    diagonal = f'<line class="even" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    ticks = [(value, f"{value:g}") for value in (0.0, 0.5, 1.0)]
    return _frame(description, diagonal + "".join(marks), "stated probability", "share that is true", ticks)


def confidence(labels: Ints, scores: Floats, positive: str) -> str:
    """How the stated probabilities of `positive` are spread: its films upwards, all others downwards, each as
    shares of its kind. `labels` (films,) are 0 and 1, `scores` (seeds, films)."""
    edges = np.linspace(0, 1, BINS + 1)
    shares = [
        np.histogram(scores[:, labels == value].ravel(), edges)[0] / max(1, scores[:, labels == value].size)
        for value in (1, 0)
    ]
    top = max(0.05, float(max(part.max() for part in shares)))
    middle, half, width = (TOP + SIDE + TOP) / 2, SIDE / 2 - 2, SIDE / BINS
    bars = []
    for kind, part, up in (("pos", shares[0], True), ("neg", shares[1], False)):
        for place, share in enumerate(part):
            height = half * float(share) / top
            if height > 0:
                y = middle - height if up else middle
                description = f"{edges[place]:.2f} to {edges[place + 1]:.2f}: {share:.1%} of these films"
                bars.append(
                    f'<rect class="{kind}" x="{LEFT + place * width + 0.5:.1f}" y="{y:.1f}"'
                    f' width="{width - 1:.1f}" height="{height:.1f}"><title>{description}</title></rect>'
                )
    name = escaping.html(positive)
    words = "".join(
        f'<text class="key" x="{LEFT + SIDE / 2}" y="{y}" text-anchor="middle">{word}</text>'
        for y, word in ((TOP + 9, f"{name} &#9650;"), (TOP + SIDE - 4, "others &#9660;"))
    )
    line = f'<line class="axis" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{middle}" y2="{middle}"/>'
    ticks = [(0.0, f"{top:.0%}"), (0.5, "0"), (1.0, f"{top:.0%}")]
    description = (
        f"Confidence histogram: stated probability of {name}, its own films upwards, others downwards"
    )
    return _frame(
        description, "".join(bars) + line + words, f"stated probability of {name}", "share of films", ticks
    )


def _frame(
    description: str, inside: str, x_title: str, y_title: str, y_ticks: Sequence[tuple[float, str]]
) -> str:
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    base = TOP + SIDE
    across = "".join(
        f'<text x="{_x(value)}" y="{base + 14}" text-anchor="middle">{value:g}</text>'
        for value in (0.0, 0.5, 1.0)
    )
    up = "".join(
        f'<text x="{LEFT - 5}" y="{_y(value) + 3.5:.1f}" text-anchor="end">{text}</text>'
        for value, text in y_ticks
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{description}">'
        f'<rect class="axis" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>'
        f"{inside}{across}{up}"
        f'<text x="{LEFT + SIDE / 2}" y="{base + 31}" text-anchor="middle">{x_title}</text>'
        f'<text transform="translate(11 {TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">{y_title}</text>'
        f"</svg>"
    )


def _x(value: float) -> str:
    return f"{LEFT + SIDE * value:.1f}"


def _y(value: float) -> float:
    return round(TOP + SIDE * (1 - value), 1)
