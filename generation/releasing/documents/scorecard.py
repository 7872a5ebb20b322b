"""The audit's result files in a card: its sections as rows, each tied to the file that it comes from.

Result files of audits lie in the folder `audit` of the folder of results, as `covid-synth audit --out` writes
them there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from covid_synth_data.audit import card
from covid_synth_data.audit import result as audits
from covid_synth_data.audit.result import Audit, SectionResult
from generation.releasing.documents.measured import Evidence, Measured, Number, PropertyRow

FOLDER: Final = "audit"


@dataclass(frozen=True)
class Scores:
    """The answer to one question about one config: rows of numbers, notes, what was not measured and why."""

    name: str
    config: str
    question: str
    rows: tuple[PropertyRow, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def read(folder: Path | None, name: str, version: str) -> tuple[Scores, ...]:
    """What audits below `folder` say about the dataset `name` `version`, section by section.

    Raises `ResultError` for a file that is no audit.
    """
    if folder is None:
        return ()
    found = []
    for path in sorted((folder / FOLDER).rglob("*.json")):
        audit = audits.read(path)
        if (audit.subject.name, audit.subject.version) == (name, version):
            file = Evidence(
                path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
            )
            found += [_scores(audit, section, file) for section in audit.sections]
    return tuple(found)


def rows(scores: Iterable[Scores], *kinds: str) -> tuple[PropertyRow, ...]:
    """The rows of the sections of these names."""
    return tuple(row for one in scores if one.name in kinds for row in one.rows)


def added(measured: Measured, folder: Path | None, name: str, version: str) -> Measured:
    """`measured` with the sections of audits that a card has a heading for: copies count as privacy."""
    scores = read(folder, name, version)
    return replace(
        measured,
        fidelity=measured.fidelity + rows(scores, "fidelity"),
        privacy=measured.privacy + rows(scores, "privacy", "copies"),
    )


def _scores(audit: Audit, section: SectionResult, file: Evidence) -> Scores:
    found = [
        PropertyRow(
            audit.subject.config,
            f"{row.metric}, {row.subject} ({card.reading(row)})",
            Number(row.value, (file,), row.low, row.high),
            Number(row.n, (file,)),
            file,
        )
        for table in card.tables(section)
        for row in table.rows
    ]
    return Scores(
        section.name,
        audit.subject.config,
        section.question,
        tuple(found),
        tuple(section.notes),
        tuple(f"{missing.what}: {missing.why}" for missing in section.missing),
    )
