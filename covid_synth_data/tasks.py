"""Tasks: which films are told apart, and who is trained and tested on.

plan = plan_task("normal-vs-covid", root)       what would be used, what not, and why; no pixels kept
splits = load_task("normal-vs-covid", root)     the same as a DatasetDict of train, validation, test
check_leaks(splits)                             raises where a patient or film is on both sides
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from covid_synth_data import duplicates, protocols, schema
from covid_synth_data.errors import BadImage, ConfigError, EmptySplit, LeakError, UnknownName
from covid_synth_data.sources import list_sources, table

if TYPE_CHECKING:
    import datasets

_LICENCES: Final = ("any", "permissive")


@dataclass(frozen=True)
class TaskInfo:
    """A binary task: `negative` and `positive` are labels of `schema.LABELS`."""

    name: str
    negative: str
    positive: str
    description: str
    protocols: tuple[str, ...] = tuple(protocols.PROTOCOLS)


TASKS: Final = (
    TaskInfo("normal-vs-covid", "normal", "covid-19",
             "films without opacity against COVID-19 (zunair2021, Table 1)"),
    TaskInfo("pneumonia-vs-covid", "pneumonia", "covid-19",
             "other pneumonia against COVID-19 (zunair2021, Table 2)"),
)  # fmt: skip
"""The table. A new task is one line."""


def list_tasks() -> tuple[TaskInfo, ...]:
    """All tasks, in the order of the table."""
    return TASKS


@dataclass(frozen=True)
class TaskPlan:
    """A task as it would be split.

    `frame` has every film that was considered: the columns of `sources.table`, `split` ("train",
    "validation", "test" or "") and `reason` ("" for films that are used). `notes` are for the reader.
    """

    task: TaskInfo
    protocol: str
    seed: int
    frame: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def used(self) -> pd.DataFrame:
        """The films of the splits."""
        return self.frame[(self.frame["reason"] == "") & (self.frame["split"] != "")]

    @property
    def left_out(self) -> pd.DataFrame:
        """`image_id`, `source_dataset`, `reason` of the films that are not used."""
        return self.frame.loc[self.frame["reason"] != "", ["image_id", "source_dataset", "reason"]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Films by split and label; of the published split, from metadata, where the protocol has one."""
        column = "published" if "published" in self.frame.columns else "split"
        rows = self.frame if column == "published" else self.used
        found: dict[str, dict[str, int]] = {}
        for (split, label), count in Counter(zip(rows[column], rows["label"], strict=True)).items():
            found.setdefault(split, {})[label] = count
        return found

    def report(self) -> str:
        """Films and patients per part, class and source; what was left out and why; notes. For people."""
        lines = [f"{self.task.name}, protocol {self.protocol}, seed {self.seed}", ""]
        lines += [f"{'part':<12}{'class':<12}{'source':<28}{'films':>7}{'patients':>10}"]
        for split in protocols.SPLITS:
            part = self.used[self.used["split"] == split]
            for (label, source), rows in part.groupby(["label", "source_dataset"], sort=True):
                lines.append(
                    f"{split:<12}{label:<12}{source:<28}{len(rows):>7,}{rows['patient_id'].nunique():>10,}"
                )
        if "published" in self.frame.columns:
            lines += ["", "published split, counted from metadata:"]
            for split, labels in sorted(self.counts().items(), reverse=True):
                lines.append(
                    f"  {split:<10}" + ", ".join(f"{n:,} {label}" for label, n in sorted(labels.items()))
                )
        lines += ["", "left out:"]
        reasons = Counter(zip(self.left_out["source_dataset"], self.left_out["reason"], strict=True))
        lines += [f"  {count:>7,}  {source}: {reason}" for (source, reason), count in sorted(reasons.items())]
        lines += [] if reasons else ["  nothing"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def plan_task(
    name: str,
    root: str | Path | None = None,
    protocol: str = "clean",
    *,
    seed: int = 0,
    sources: Sequence[str] | None = None,
    licences: str = "any",
    phantom: dict[str, int] | None = None,
) -> TaskPlan:
    """How a task would be split.

    `root` holds the real sets (None: the folder that COVID_SYNTH_SOURCES names). `protocol` is "clean"
    (patient-disjoint, frontal, de-duplicated), "zunair2021" (the paper's) or "menon2020" (the paper's films
    and counts, by patient). `seed` shuffles patients. `sources` narrows "clean" to these sets; ["phantom"]
    needs no root and takes the options `phantom` (size, patients, seed). `licences` "permissive" keeps
    public-domain and CC BY films only. Raises `UnknownName`, `ConfigError`, `MissingSource`, `MissingExtra`,
    `BadMetadata`.
    """
    known = {task.name: task for task in TASKS}
    if name not in known:
        raise UnknownName("task", name, known)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError("no such seed", found=repr(seed), expected="a whole number from 0 on")
    if isinstance(sources, str):
        sources = [sources]
    if protocol not in protocols.PROTOCOLS:
        raise UnknownName("protocol", protocol, protocols.PROTOCOLS)
    if licences not in _LICENCES:
        raise UnknownName("choice of licences", licences, _LICENCES)
    names = [info.name for info in list_sources()]
    for source in sources or []:
        if source not in names:
            raise UnknownName("source", source, names)
    if sources is not None and "phantom" in sources and len(sources) > 1:
        raise ConfigError(
            "phantoms do not mix with real films", found=", ".join(sources), expected="phantom alone"
        )
    if phantom is not None and (sources is None or "phantom" not in sources):
        raise ConfigError("options for phantoms without phantoms", hint='add sources=["phantom"]')
    task = known[name]
    request = protocols.Request(task.negative, task.positive, root, seed, sources, licences, phantom)
    outcome = protocols.PROTOCOLS[protocol](request)
    return TaskPlan(task, protocol, seed, outcome.frame, tuple(outcome.notes))


def load_task(
    name: str,
    root: str | Path | None = None,
    protocol: str = "clean",
    *,
    seed: int = 0,
    sources: Sequence[str] | None = None,
    licences: str = "any",
    phantom: dict[str, int] | None = None,
) -> datasets.DatasetDict:
    """The task as a DatasetDict of train, validation and test in `schema.REAL_COLUMNS`.

    Arguments and errors are those of `plan_task`, and `EmptySplit` where a part has no film of a class;
    images are decoded when a row is read.
    """
    plan = plan_task(name, root, protocol, seed=seed, sources=sources, licences=licences, phantom=phantom)
    return to_splits(plan)


def to_splits(plan: TaskPlan) -> datasets.DatasetDict:
    """The films of a plan as a DatasetDict. Raises `EmptySplit`."""
    import datasets

    parts = {}
    for split in protocols.SPLITS:
        rows = plan.used[plan.used["split"] == split]
        for label in (plan.task.negative, plan.task.positive):
            if not (rows["label"] == label).any():
                reasons = plan.frame.loc[plan.frame["label"] == label, "reason"].value_counts()
                told = (
                    ", ".join(f"{n:,} {reason}" for reason, n in reasons.items() if reason) or "no such film"
                )
                raise EmptySplit(
                    f"the {split} part of {plan.task.name} ({plan.protocol}) has no {label} film", found=told,
                    expected="at least one", hint="covid-synth sources shows what the root lacks",
                )  # fmt: skip
        parts[split] = table.to_dataset(rows.reset_index(drop=True))
    return datasets.DatasetDict(parts)


@dataclass(frozen=True)
class LeakReport:
    """What stands on both sides, per pair of parts; true when there is anything."""

    found: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything leaks."""
        return bool(self.found)

    def summary(self) -> str:
        """One line."""
        return "; ".join(
            f"{a} and {b} share {len(names)} {what} (e.g. {names[0]})"
            for (a, b), kinds in self.found.items()
            for what, names in kinds.items()
        )


def find_leaks(splits: Mapping[str, datasets.Dataset], *, pixels: bool = True) -> LeakReport:
    """Everything that two parts of a split share: patients, rows, source films, and equal image files.

    Works on real, synthetic and mixed sets: a synthetic row counts for the film it was made from. With
    `pixels` the image files are read and compared byte for byte. Rows need `image_id`.
    """
    held = {name: _identities(part, pixels) for name, part in splits.items()}
    names = list(splits)
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = {what: _shared(held[a][what], held[b].get(what, {})) for what in held[a]}
            if any(shared.values()):
                found[a, b] = {what: values for what, values in shared.items() if values}
    return LeakReport(found)


def _shared(mine: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """The names of what both hold; both names where they differ."""
    both = mine.keys() & others.keys()
    return sorted(mine[key] if mine[key] == others[key] else f"{mine[key]} = {others[key]}" for key in both)


def check_leaks(splits: Mapping[str, datasets.Dataset], *, pixels: bool = True) -> None:
    """Raise `LeakError` with what `find_leaks` finds, in one line."""
    leaks = find_leaks(splits, pixels=pixels)
    if leaks:
        raise LeakError(
            "training, validation and test films are not separate", found=leaks.summary(),
            expected="no patient and no film in two parts", hint="use the protocol clean",
        )  # fmt: skip


def _identities(part: datasets.Dataset, pixels: bool) -> dict[str, dict[str, str]]:
    """What identifies the patients and films of a part, by kind: each identity and how to name it."""
    import datasets

    columns = part.column_names
    if "image_id" not in columns:
        raise ConfigError(
            "rows without image_id", found=", ".join(columns), expected=", ".join(schema.REAL_COLUMNS)
        )

    def values(name: str) -> list[Any]:
        return list(part[name]) if name in columns else [None] * len(part)

    films = {
        f"{source}/{name}"
        for source, name in zip(values("source_dataset"), values("source_id"), strict=True)
        if source is not None and name is not None
    }
    held = {
        "patients": {value: value for value in values("patient_id") if value is not None},
        "rows": {value: value for value in values("image_id")},
        "source films": {value: value for value in films},
    }
    if pixels and "image" in columns:
        cells = part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))["image"]
        held["equal files"] = {
            hashlib.sha256(_read(cell)).hexdigest(): name
            for cell, name in zip(cells, values("image_id"), strict=True)
        }
    return held


def _read(cell: Mapping[str, Any]) -> bytes:
    """The encoded image of an undecoded cell. Raises `BadImage`."""
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    try:
        return Path(cell["path"]).read_bytes()
    except OSError as error:
        raise BadImage(
            f"cannot read {cell['path']}", found=str(error.strerror).lower(), expected="an image file",
            hint="the source changed since the split was made; make it again",
        ) from error  # fmt: skip


def near_duplicates(
    a: datasets.Dataset, b: datasets.Dataset, threshold: float = duplicates.SAME_FILM
) -> list[tuple[str, str]]:
    """Pairs (image_id of `a`, image_id of `b`) of films that look the same; decodes all of both."""
    import datasets

    ids, cells = [], []
    for part in (a, b):
        ids += list(part["image_id"])
        cells += list(
            part.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))["image"]
        )
    found = duplicates.fingerprints([cell["path"] or "" for cell in cells], [cell["bytes"] for cell in cells])
    pairs = np.unique(duplicates.pairs(found, threshold), axis=0)
    across = pairs[(pairs[:, 0] < len(a)) & (pairs[:, 1] >= len(a))]
    return [(ids[i], ids[j]) for i, j in across.tolist()]
