"""One table for a version of a dataset: the headline values of its audits, a column for each config.

Every row of synthetic images stands above its yardsticks. Columns are not compared with each other: each
config has its own real films. No grade is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from covid_synth_data.audit.card import reading
from covid_synth_data.audit.protocol import Value, number
from covid_synth_data.audit.result import Audit, read_folder

HEADLINES: Final[dict[str, tuple[str, ...]]] = {
    "Are they close to real films?": ("frechet", "precision", "recall", "coverage"),
    "Are they copies?": ("beyond-likeness", "planted-found"),
    "Whom do they give away?": ("film-top1-local-contrast", "membership-nearest-features"),
    "What shortcuts do they teach?": ("synthetic-borders", "synthetic-features-of-the-lungs"),
    "Is the anatomy plausible?": (
        "lung-area-outside",
        "heart-right",
        "lesion-extent-mean",
        "lesion-pieces-mean",
    ),
}
"""The keys of the values that stand for each section, by the question that they answer."""

_LEFT_OUT: Final = ("real, blurred", "real, with noise", "real, another hospital")
"""Yardsticks that the full tables have and this one does not."""


@dataclass(frozen=True)
class VersionRow:
    """A metric of one subject: `cells` by config, those that were measured."""

    question: str
    metric: str
    subject: str
    yardstick: bool
    reading: str
    cells: Mapping[str, Value]


@dataclass(frozen=True)
class VersionTable:
    """The rows of `name` `version`, in the order of `HEADLINES`; `configs` are its columns."""

    name: str
    version: str
    configs: tuple[str, ...]
    rows: tuple[VersionRow, ...]

    @property
    def questions(self) -> list[str]:
        """The questions that have rows, in their order."""
        return list(dict.fromkeys(row.question for row in self.rows))


def version_tables(audits: Iterable[Audit]) -> list[VersionTable]:
    """A table for each version that was audited.

    Audits of folders that are no release have no version and are left out.
    """
    found: dict[tuple[str, str], dict[str, list[Audit]]] = {}
    for audit in audits:
        if audit.subject.version is not None:
            of_version = found.setdefault((audit.subject.name, audit.subject.version), {})
            of_version.setdefault(audit.subject.config, []).append(audit)
    return [_table(name, version, configs) for (name, version), configs in sorted(found.items())]


def version_table(audits: Iterable[Audit], name: str, version: str) -> VersionTable | None:
    """The table of audits that all hold for `version` of `name`, whichever they say; None for no audits."""
    configs: dict[str, list[Audit]] = {}
    for audit in audits:
        configs.setdefault(audit.subject.config, []).append(audit)
    return _table(name, version, configs) if configs else None


def _table(name: str, version: str, configs: Mapping[str, Sequence[Audit]]) -> VersionTable:
    return VersionTable(name, version, tuple(configs), tuple(_rows(configs)))


def read_all(folder: str | Path) -> list[Audit]:
    """The audits below `folder`, in the order of their paths. Raises `ResultError`."""
    return [file.audit for file in read_folder(Path(folder))]


def widest_first(audits: Iterable[Audit]) -> list[Audit]:
    """Audits of all films before those of a draw, larger draws before smaller ones."""
    return sorted(audits, key=lambda audit: audit.limit or 10**9, reverse=True)


def values_of(
    by_config: Mapping[str, Sequence[Audit]], keys: Sequence[str]
) -> dict[tuple[str, str], dict[str, Value]]:
    """By (key, subject) the value of each config, from the audit with the most films that has it.

    Keys come in their order, and the rows of synthetic images before their yardsticks.
    """
    found: dict[tuple[str, str], dict[str, Value]] = {}
    for config, audits in by_config.items():
        sections = [section for audit in widest_first(audits) for section in audit.sections]
        for value in (value for section in sections for value in section.values):
            if value.key in keys:
                found.setdefault((value.key, value.subject), {}).setdefault(config, value)
    order = sorted(found, key=lambda row: (keys.index(row[0]), next(iter(found[row].values())).yardstick))
    return {row: found[row] for row in order}


def _rows(by_config: Mapping[str, Sequence[Audit]]) -> Iterable[VersionRow]:
    for question, keys in HEADLINES.items():
        for (_, subject), cells in values_of(by_config, keys).items():
            first = next(iter(cells.values()))
            if subject not in _LEFT_OUT:
                yield VersionRow(question, first.metric, subject, first.yardstick, reading(first), cells)


def cell(value: Value | None) -> str:
    """A value with its interval; nothing where it was not measured."""
    if value is None:
        return ""
    ends = "" if value.low is None or value.high is None else f" [{number(value.low)}, {number(value.high)}]"
    return number(value.value) + ends
