"""The result file of an audit: every number with its protocol, and what could not be measured and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat, ValidationError

from covid_synth_data.audit.protocol import Value
from covid_synth_data.errors import ResultError
from covid_synth_data.files import atomic
from covid_synth_data.files.fields import Identifier, Line, Sha256
from covid_synth_data.files.models import FrozenModel, invalid
from covid_synth_data.machine import Code, Hardware
from covid_synth_data.metrics import approximate

FORMAT: Final = 1
FOLDER: Final = "audit"
"""The folder of a benchmark's results that holds the audits."""


class FilmCounts(FrozenModel):
    """A set of films of the audit: how many, of how many patients (or sources), of which real sets."""

    films: Annotated[int, Field(ge=0)]
    groups: Annotated[int, Field(ge=0)]
    datasets: dict[Line, Annotated[int, Field(gt=0)]]
    what: Line


class Missing(FrozenModel):
    """What was not measured, and why."""

    what: Line
    why: Line


class Shown(FrozenModel):
    """A synthetic image that the page shows: why, what it is beside, and a number that says how much so."""

    image_id: Identifier
    beside: Identifier | None
    text: Line
    score: FiniteFloat


class SectionResult(FrozenModel):
    """The answer to one question."""

    name: Annotated[str, Field(pattern=r"^[a-z]+$")]
    question: Line
    values: list[Value]
    notes: list[Line]
    missing: list[Missing]
    shown: list[Shown]


class Subject(FrozenModel):
    """The set that was audited: a released config, or a folder of images (`version` and digest null)."""

    name: Line
    config: Line
    version: Line | None
    manifest_sha256: Sha256 | None
    label: Line


class Audit(FrozenModel):
    """The whole file. `films` are the sets of films by name, `search` that of every protocol in it."""

    format: Literal[1]
    kind: Literal["audit"]
    subject: Subject
    seed: Annotated[int, Field(ge=0)]
    limit: Annotated[int, Field(gt=0)] | None
    search: Line = approximate.EXACT
    films: dict[Line, FilmCounts]
    sections: Annotated[list[SectionResult], Field(min_length=1)]
    code: Code
    hardware: Hardware
    seconds: Annotated[FiniteFloat, Field(ge=0)]


def write(path: Path, audit: Audit) -> None:
    """Write the file, atomically. Raises `OutputError`."""
    atomic.write_text(path, audit.model_dump_json(indent=1) + "\n")


@dataclass(frozen=True)
class AuditFile:
    """An audit, the file that it was read from, and the SHA-256 of that file."""

    path: Path
    sha256: str
    audit: Audit


def read(path: Path) -> Audit:
    """The audit in the file at `path`. Raises `ResultError` naming the first thing that is wrong in it."""
    return read_file(path).audit


def read_folder(folder: Path) -> list[AuditFile]:
    """The audits below `folder`, in the order of their paths. Raises `ResultError`."""
    return [read_file(path) for path in sorted(folder.rglob("*.json"))]


def read_file(path: Path) -> AuditFile:
    """The audit in the file at `path`, with the file. Raises `ResultError`."""
    try:
        content = path.read_bytes()
        return AuditFile(path, hashlib.sha256(content).hexdigest(), Audit.model_validate_json(content))
    except FileNotFoundError as error:
        raise ResultError(f"no file {path}", expected="the result file of an audit") from error
    except ValidationError as error:
        raise invalid(ResultError, str(path), error, Audit, hint="audit the set again") from error
