"""The audit's result files in a card: its sections as rows, each tied to the file that it comes from.

Result files of audits lie in the folder `audit` of the folder of results, as `covid-synth audit --out` writes
them there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from covid_synth_data.audit import card
from covid_synth_data.audit.result import FOLDER, Audit, AuditFile, SectionResult, read_folder
from covid_synth_data.audit.version_table import version_table
from covid_synth_data.errors import ResultError
from covid_synth_data.files.models import invalid
from covid_synth_data.metrics.image_quality import Average, Quality
from covid_synth_data.release.manifest import Manifest
from generation.releasing.documents.measured import Evidence, Measured, Number, PropertyRow, same_configs

CT_QUALITY: Final = "ct-quality"


@dataclass(frozen=True)
class Scores:
    """The answer to one question about one config: rows of numbers, notes, what was not measured and why."""

    name: str
    config: str
    question: str
    rows: tuple[PropertyRow, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def read(folder: Path, listed: Manifest) -> list[AuditFile]:
    """The audits of the images of the release below the folder of results, of whichever version they say.

    Raises `ResultError` for a file that is no audit.
    """
    files = [(file, file.audit.subject) for file in read_folder(folder / FOLDER)]
    return [
        file
        for file, subject in files
        if subject.name == listed.name
        and subject.version is not None
        and same_configs(listed, [subject.config], subject.version)
    ]


def scores_of(folder: Path, files: Iterable[AuditFile]) -> tuple[Scores, ...]:
    """The results of these audits, section by section; paths are relative to the folder of results."""
    scores = []
    for file in files:
        evidence = Evidence(file.path.relative_to(folder).as_posix(), file.sha256)
        scores += [_scores(file.audit, section, evidence) for section in file.audit.sections]
    return tuple(scores)


def rows(scores: Iterable[Scores], *kinds: str) -> tuple[PropertyRow, ...]:
    """The rows of the sections of these names."""
    return tuple(row for score in scores if score.name in kinds for row in score.rows)


def added(measured: Measured, folder: Path | None, listed: Manifest) -> Measured:
    """`measured` with the sections of audits that a card has a heading for, and the quality of CT slices.

    Copies count as privacy. Raises `ResultError`.
    """
    if folder is None:
        return measured
    files = read(folder, listed)
    scores = scores_of(folder, files)
    return replace(
        measured,
        fidelity=measured.fidelity + rows(scores, "fidelity") + ct_quality(folder, listed),
        privacy=measured.privacy + rows(scores, "privacy", "copies"),
        images=version_table((file.audit for file in files), listed.name, listed.version),
        audits=tuple(dict.fromkeys(row.evidence for score in scores for row in score.rows)),
    )


def ct_quality(folder: Path, listed: Manifest) -> tuple[PropertyRow, ...]:
    """Measurements of `python -m generation ct-quality` for the weights of a release, as rows of fidelity."""
    digests = {file.path: file.sha256 for file in listed.files}
    subsets = {digests.get(subset.weights or ""): name for name, subset in listed.subsets.items()}
    rows: list[PropertyRow] = []
    for path in sorted((folder / CT_QUALITY).glob("*.json")):
        content = path.read_bytes()
        try:
            measured = _Quality.model_validate_json(content)
        except ValidationError as error:
            raise invalid(ResultError, str(path), error, hint="measure it again") from error
        if measured.weights_sha256 in subsets:
            file = Evidence(path.relative_to(folder).as_posix(), hashlib.sha256(content).hexdigest())
            rows += _ct_rows(subsets[measured.weights_sha256], measured, file)
    return tuple(rows)


class _Quality(BaseModel):
    """The part of a result file of CT quality that a card shows."""

    kind: Literal["ct-quality"]
    weights_sha256: str
    complemented: Quality
    lung: Quality


def _ct_rows(subset: str, measured: _Quality, file: Evidence) -> Iterator[PropertyRow]:
    for area, quality in (("whole slice", measured.complemented), ("lung alone", measured.lung)):
        for name in ("psnr", "ssim", "rmse"):
            average: Average = getattr(quality, name)
            if average.mean is not None:
                count = Number(average.n, (file,))
                yield PropertyRow(
                    subset, f"{name.upper()}, {area}", Number(average.mean, (file,)), count, file
                )
        if quality.fid is not None:
            value, count = Number(quality.fid.value, (file,)), Number(quality.fid.fake, (file,))
            yield PropertyRow(
                subset, f"Frechet distance ({quality.fid.extractor}), {area}", value, count, file
            )


def _scores(audit: Audit, section: SectionResult, file: Evidence) -> Scores:
    rows = [
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
        tuple(rows),
        tuple(section.notes),
        tuple(f"{missing.what}: {missing.why}" for missing in section.missing),
    )
