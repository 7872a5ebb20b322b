"""The sections of a dataset card that an audit gives: tables with yardsticks, notes, what is not measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from covid_synth_data import escaping
from covid_synth_data.audit.protocol import Value, number
from covid_synth_data.audit.result import Audit, SectionResult
from covid_synth_data.metrics import approximate

BETTER: Final = {
    "lower": "lower is closer",
    "higher": "higher is closer",
    "chance": "by chance",
    "real": "compare with the real rows",
}


@dataclass(frozen=True)
class Table:
    """The values of one metric, those of the synthetic images first, and how to read them."""

    key: str
    metric: str
    reading: str
    rows: tuple[Value, ...]

    @property
    def protocols(self) -> list[str]:
        """The different protocols of the rows, in their order."""
        return list(dict.fromkeys(str(row.protocol) for row in self.rows))


def tables(section: SectionResult) -> list[Table]:
    """The values of a section by metric, in the order in which they were measured."""
    by_key: dict[str, list[Value]] = {}
    for value in section.values:
        by_key.setdefault(value.key, []).append(value)
    return [
        Table(key, rows[0].metric, reading(rows[0]), tuple(sorted(rows, key=lambda row: row.yardstick)))
        for key, rows in by_key.items()
    ]


def reading(value: Value) -> str:
    """How a metric is read, in a few words."""
    if value.chance is None:
        return BETTER[value.better]
    return f"{number(value.chance)} {BETTER['chance'] if value.better == 'chance' else 'for real films'}"


def markdown(audit: Audit, level: int = 3) -> str:
    """All sections as Markdown under headings of `level`."""
    parts = ["\n".join(_lines(section, "#" * level)) for section in audit.sections]
    if audit.search != approximate.EXACT:
        parts.insert(0, escaping.markdown(searched(audit)))
    return "\n\n".join(parts) + "\n"


def searched(audit: Audit) -> str:
    """What an approximate search means for the numbers."""
    return (
        "Neighbours and copies were looked for approximately: some may be missed, and no number compares with"
        f" one of an exact search. Search: {audit.search}."
    )


def _lines(section: SectionResult, heading: str) -> Iterator[str]:
    yield f"{heading} {escaping.markdown(section.question)}"
    yield ""
    if section.values:
        yield "| metric | of | value [95 % interval] | films | read as |"
        yield "|---|---|---:|---:|---|"
    for table in tables(section):
        for row in table.rows:
            named = escaping.markdown(row.subject)
            subject = named if row.yardstick else f"**{named}**"
            yield f"| {escaping.markdown(table.metric)} | {subject} | {row} | {row.n:,} | {reading(row)} |"
    if section.values:
        yield ""
    for note in section.notes:
        yield escaping.markdown(note)
        yield ""
    for missing in section.missing:
        what, why = escaping.markdown(missing.what), escaping.markdown(missing.why.rstrip("."))
        yield f"- Not measured: {what}. {why}."
