"""The audit as one HTML page that needs nothing else: no server, no network, no fonts."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup
from PIL import Image

from covid_synth_data import __version__, escaping
from covid_synth_data.audit import card
from covid_synth_data.audit.contract import SHOWN, Material
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.protocol import Value, number
from covid_synth_data.audit.result import Audit, Shown
from covid_synth_data.files import atomic, templates

SIDE: Final = 160
"""Pixels of a picture on the page."""

_WIDTH, _HIGH, _TEXT = 560, 22, 250


def write(path: Path, audit: Audit, films: Material, *, real: bool = False) -> None:
    """Write the page. With `real` it shows real films beside the images and may not be published."""
    atomic.write_text(path, render(audit, films, real=real))


def render(audit: Audit, films: Material, *, real: bool = False) -> str:
    """The page as text. Without `real` it holds no pixel of a real film."""
    template = templates.page(
        "covid_synth_data.audit", tables=card.tables, searched=card.searched, strip=strip, number=number
    )
    sample = films.synthetic.draw(SHOWN, audit.seed)
    return template.render(
        audit=audit,
        real=real,
        version=__version__,
        sample=[(name, picture(sample, place)) for place, name in enumerate(sample.ids)],
        shown={section.name: _pictures(section.shown, films, real) for section in audit.sections},
    )


def _pictures(shown: Sequence[Shown], films: Material, real: bool) -> list[tuple[Shown, str, str | None]]:
    """Each entry with the picture of its image, and of the real film beside it where that is shown."""
    made = {name: place for place, name in enumerate(films.synthetic.ids)}
    theirs = {name: place for place, name in enumerate(films.training.ids)}
    return [
        (
            entry,
            picture(films.synthetic, made[entry.image_id]),
            picture(films.training, theirs[entry.beside]) if real and entry.beside in theirs else None,
        )
        for entry in shown
    ]


def picture(films: FilmSet, place: int) -> str:
    """A film as a data URL of a PNG."""
    file = io.BytesIO()
    Image.fromarray(films.grey(place, SIDE)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def strip(rows: Sequence[Value]) -> Markup:
    """The rows of a table as dots with intervals on one scale, and a line where chance is."""
    ends = [end for row in rows for end in (row.value, row.low, row.high, row.chance) if end is not None]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return round(_TEXT + 10 + (value - low) / span * (_WIDTH - _TEXT - 20), 1)

    foot = _HIGH * len(rows) + 6
    height = foot + 14
    parts = []
    chance = rows[0].chance
    if chance is not None:
        parts.append(f'<line class="chance" x1="{x(chance)}" x2="{x(chance)}" y1="0" y2="{foot}"/>')
    for line, row in enumerate(rows):
        y = _HIGH * line + 14
        kind = "yardstick" if row.yardstick else "made"
        name = escaping.html(row.subject if len(row.subject) < 42 else row.subject[:40] + "…")
        parts.append(f'<text class="{kind}" x="0" y="{y + 4}">{name}</text>')
        if row.low is not None and row.high is not None:
            parts.append(f'<line class="{kind}" x1="{x(row.low)}" x2="{x(row.high)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="{kind}" cx="{x(row.value)}" cy="{y}" r="4"/>')
    for value, anchor in ((low, "start"), (high, "end")) if high > low else ((low, "start"),):
        parts.append(
            f'<text class="axis" text-anchor="{anchor}" x="{x(value)}" y="{foot + 10}">{number(value)}</text>'
        )
    title = escaping.html(f"{rows[0].metric}: " + "; ".join(f"{row.subject} {row}" for row in rows))
    # Safe: made of numbers and of names that were escaped.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{title}">' + "".join(parts) + "</svg>"
    )
