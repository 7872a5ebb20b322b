"""Films of the user: a source that a small TOML file declares, or a folder of images with metadata.csv.

    covid-synth source add my-hospital.toml

Declared sources are kept in `registry()`, one file each. They need no root: the file says where films are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import pandas as pd
from pydantic import Field, StringConstraints

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, MissingSource, UnknownName, VersionExists
from covid_synth_data.files.atomic import output_errors, write_text
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel, read_toml
from covid_synth_data.sources import disk, licences, table
from covid_synth_data.sources.info import SourceInfo

ENVIRONMENT: Final = "COVID_SYNTH_CONFIG"
METADATA: Final = "metadata.csv"
PARTS: Final = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""Names of parts, in a column or as folders, to ours."""

EXTRA: Final = ("stated_split",)

VIEW_HINT: Final = "state PA, AP, frontal or lateral in the column of views, or leave the column out"

TABLE_HINT: Final = "name the table and its columns in a TOML file, and leave out the columns that it lacks"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Columns(FrozenModel):
    """The columns of the table. Where `patient`, `view`, `licence` or `split` is absent nothing is stated."""

    file: str = "file_name"
    label: str = "label"
    patient: str | None = None
    view: str | None = None
    licence: str | None = None
    split: str | None = None


class Task(FrozenModel):
    """A task over the films of this source alone; the class of interest is the last of `classes`."""

    name: Name
    classes: Annotated[list[str], Field(min_length=2)] = Field(default_factory=lambda: ["normal", "covid-19"])


class Declared(FrozenModel):
    """A source: `folder` and, relative to it, `table`; `labels` brings values of the label column to ours.

    Rows of other labels are left out. Without `labels` the values must be labels of `schema.LABELS`.
    `tables` names one table for each part instead, where the parts lie in folders.
    """

    name: Name
    folder: str
    table: str = METADATA
    tables: dict[str, str] = Field(default_factory=dict)
    title: Line = ""
    licence: Line = licences.UNKNOWN
    citation: Line = ""
    columns: Columns = Columns()
    labels: dict[str, str] = Field(default_factory=dict)
    task: Task | None = None

    @property
    def info(self) -> SourceInfo:
        """Its entry in the list of sources."""
        classes = tuple(dict.fromkeys(self.labels.values())) or schema.LABELS
        return SourceInfo(
            name=self.name,
            title=self.title or f"Films of your own: {self.name}",
            classes=tuple(label for label in schema.LABELS if label in classes),
            licence="per image" if self.columns.licence else licences.normalise(self.licence),
            licence_note=self._licence_note,
            citation=self.citation or "not stated",
            homepage="",
            how_to_obtain=f"declared by covid-synth source add; films in {self.folder}",
            folders=(),
            expected_images=0,
        )

    @property
    def _licence_note(self) -> str:
        if self.columns.licence:
            return f"Stated by you in the column {self.columns.licence}."
        stated = licences.normalise(self.licence) != licences.UNKNOWN
        return "Stated by you." if stated else "State it in a column licence, or as licence in a TOML file."


def registry() -> Path:
    """The folder of the declared sources: in $COVID_SYNTH_CONFIG, else in the user's configuration."""
    named = os.environ.get(ENVIRONMENT)
    base = Path(named).expanduser() if named else None
    if base is None:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "covid-synth-data"
    return base / "sources"


def declared() -> dict[str, Declared]:
    """All declared sources by name. Raises `ConfigError` for a file that was damaged."""
    files = sorted(registry().glob("*.toml")) if registry().is_dir() else []
    return {source.name: source for source in (read_toml(path, Declared) for path in files)}


def add(path: Path, taken: Mapping[str, str], name: str | None = None) -> tuple[Declared, pd.DataFrame]:
    """Declare the source in the TOML file, or folder of images, at `path`; returns it and its rows.

    `taken` are names of other sources and tasks, to what they are. The films are listed first, so that a
    source that cannot be read is not declared. Raises `ConfigError`, `UnknownName`, `MissingSource`,
    `BadMetadata`, `VersionExists`.
    """
    source = _from_folder(path, name) if path.is_dir() else read_toml(path, Declared)
    folder = path.absolute() if path.is_dir() else (path.absolute().parent / Path(source.folder).expanduser())
    source = source.model_copy(update={"folder": str(folder.resolve())})
    for kind in (source.name, source.task.name if source.task else ""):
        if kind in taken:
            raise ConfigError(
                f"the name {kind!r} is taken",
                found=taken[kind],
                expected="a name of its own",
                hint="change the name",
            )
    for label in [*source.labels.values(), *(source.task.classes if source.task else [])]:
        if label not in schema.LABELS:
            raise UnknownName(f"label in {path}", label, schema.LABELS)
    frame = read(source)
    if not (frame["excluded"] == "").any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in frame["excluded"].value_counts().items())
        views = (frame["excluded"] == table.VIEW_UNKNOWN).any()
        raise MissingSource(
            f"{path} has no usable film",
            found=reasons or "an empty table",
            expected="at least one",
            hint=VIEW_HINT if views else None,
        )
    place = registry() / f"{source.name}.toml"
    if place.is_file() and read_toml(place, Declared) != source:
        raise VersionExists(
            f"the source {source.name} is declared already, in another way",
            found=str(place),
            expected="a new name",
            hint=f"covid-synth source remove {source.name}, or change the name",
        )
    write_text(place, _toml(source))
    return source, frame


def remove(name: str) -> None:
    """Forget a declared source; its films stay. Raises `UnknownName`."""
    place = registry() / f"{name}.toml"
    if name not in declared():
        raise UnknownName("source of your own", name, declared())
    with output_errors(place):
        place.unlink()


def read(source: Declared) -> pd.DataFrame:
    """Every row of the table, as `sources.read_source` gives it, and `stated_split`.

    Raises `MissingSource`, `BadMetadata`, `UnknownName` for a label, `ConfigError` for a name of a part.
    """
    folder = Path(source.folder)
    if not folder.is_dir():
        raise MissingSource(
            f"no folder {folder}",
            expected=f"the films of {source.name}",
            hint=f"mount it, or covid-synth source remove {source.name}",
        )
    rows = list(_rows(source, folder))
    names = list(dict.fromkeys(str(row["name"]) for row in rows))
    ids = dict(zip(names, table.unique_ids([name.replace("/", "-") for name in names]), strict=True))
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        name = str(row.pop("name"))
        row["source_id"] = ids[name]
        if name in seen:
            row["source_id"] += f"#row-{number}"
            row["excluded"], row["path"] = row["excluded"] or table.DUPLICATE, ""
        seen.add(name)
    return table.build(source.name, rows, EXTRA)


def _rows(source: Declared, folder: Path) -> Iterator[dict[str, Any]]:
    columns = source.columns
    needed = [getattr(columns, field) for field in Columns.model_fields]
    tables = source.tables or {"": source.table}
    for part, name in tables.items():
        place = folder / name
        for record in disk.read_table(place, [one for one in needed if one is not None], hint=TABLE_HINT):
            where = f"{place}, row {record.row}"
            yield _row(source, place.parent, record, where) | (
                {"stated_split": PARTS[part]} if part else {"stated_split": _part(source, record, where)}
            )


def _row(source: Declared, folder: Path, record: disk.Record, where: str) -> dict[str, Any]:
    columns = source.columns

    def cell(column: str | None) -> str:
        return record.values.get(column, "") if column else ""

    name, stated = cell(columns.file), cell(columns.label)
    path = folder / name
    excluded, label, there = "", "", False
    if record.broken or not name:
        excluded = table.MALFORMED
    elif not path.resolve().is_relative_to(Path(source.folder)):
        excluded = table.UNSAFE
    else:
        label = source.labels.get(stated, "") if source.labels else schema.label_named(stated, where)
        view = table.view_reason(cell(columns.view)) if columns.view else ""
        there = path.is_file()
        excluded = table.NO_LABEL if not label else "" if there else table.MISSING
        excluded = excluded or view
    return {
        "name": name
        if excluded in (table.UNSAFE, table.MALFORMED)
        else path.relative_to(source.folder).as_posix(),
        "label": label,
        "patient": cell(columns.patient),
        "view": cell(columns.view),
        "source_class": stated,
        "source_license": licences.normalise(cell(columns.licence) or source.licence),
        "path": str(path) if there else "",
        "excluded": excluded,
    }


def _part(source: Declared, record: disk.Record, where: str) -> str:
    stated = record.values.get(source.columns.split, "") if source.columns.split else ""
    if stated and stated.casefold() not in PARTS:
        raise UnknownName(f"part in {where}", stated, PARTS)
    return PARTS.get(stated.casefold(), "")


def _from_folder(folder: Path, name: str | None) -> Declared:
    """The declaration of an ImageFolder: metadata.csv in it, or one in each folder of a part."""
    tables = {part: f"{part}/{METADATA}" for part in PARTS if (folder / part / METADATA).is_file()}
    first = folder / (METADATA if (folder / METADATA).is_file() else next(iter(tables.values()), METADATA))
    if first == folder / METADATA:
        tables = {}
    records = disk.read_table(first, (Columns().file, Columns().label), hint=TABLE_HINT)
    has = records[0].values if records else {}

    def column(*names: str) -> str | None:
        return next((candidate for candidate in names if candidate in has), None)

    given = name or re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return Declared.model_validate(
        {
            "name": given,
            "folder": str(folder),
            "tables": tables,
            "columns": {
                "patient": column("patient_id", "patient"),
                "view": column("view"),
                "licence": column("licence", "license", "source_license"),
                "split": None if tables else column("split"),
            },
            "task": {"name": f"{given}-normal-vs-covid"},
        }
    )


def _toml(source: Declared) -> str:
    """The declaration as TOML, whose strings and lists JSON writes as well."""

    def line(key: str, value: object) -> str:
        return f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}"

    content = source.model_dump(exclude_none=True)
    lines = [line(key, value) for key, value in content.items() if not isinstance(value, dict)]
    for key, inner in content.items():
        if isinstance(inner, dict):
            lines += ["", f"[{key}]", *(line(name, value) for name, value in inner.items())]
    return "\n".join(lines) + "\n"
