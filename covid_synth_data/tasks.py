"""Tasks: the classes to separate, and the patients of training, validation and test.

plan = plan_task("normal-vs-covid", root)       what would be used, what not, and why; no pixels kept
splits = load_task("normal-vs-covid", root)     the same as a DatasetDict of train, validation, test
check_leaks(splits)                             raises where a patient or film is on both sides
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from covid_synth_data.errors import ConfigError, EmptySplit, UnknownName
from covid_synth_data.escaping import terminal
from covid_synth_data.metrics import approximate
from covid_synth_data.sources import list_sources, own, table
from covid_synth_data.splits import protocols
from covid_synth_data.splits.copies import Progress, quiet
from covid_synth_data.splits.leaks import LeakReport, check_leaks, find_leaks, near_duplicates

if TYPE_CHECKING:
    import datasets

__all__ = [
    "TASKS",
    "LeakReport",
    "TaskInfo",
    "TaskPlan",
    "check_leaks",
    "find_leaks",
    "list_tasks",
    "load_task",
    "near_duplicates",
    "plan_task",
    "to_splits",
]

_LICENCES: Final = ("any", "permissive")
_BINARY: Final = ("clean", "zunair2021", "menon2020")


@dataclass(frozen=True)
class TaskInfo:
    """A task: its `classes` (names of `classes.CLASSES`), that of interest last, and how it can be split, the
    default first. A task with a `source` is one that the user declared: of the films of that source alone.
    """

    name: str
    classes: tuple[str, ...]
    description: str
    protocols: tuple[str, ...] = _BINARY
    source: str | None = None

    @property
    def positive(self) -> str:
        """The class of interest: COVID-19, or all opacities."""
        return self.classes[-1]

    @property
    def negatives(self) -> tuple[str, ...]:
        """All other classes."""
        return self.classes[:-1]

    @property
    def negative(self) -> str:
        """The other class of a binary task. Raises `ConfigError` where there are several."""
        if len(self.classes) != 2:
            raise ConfigError(
                f"{self.name} has several negative classes",
                found=", ".join(self.negatives),
                expected="a binary task",
                hint="use negatives",
            )
        return self.classes[0]


TASKS: Final = (
    TaskInfo(
        "normal-vs-covid",
        ("normal", "covid-19"),
        "films without opacity against COVID-19 (zunair2021, Table 1)",
    ),
    TaskInfo(
        "pneumonia-vs-covid",
        ("pneumonia", "covid-19"),
        "other pneumonia against COVID-19 (zunair2021, Table 2)",
    ),
    TaskInfo(
        "four-class-menon",
        ("normal", "bacterial-pneumonia", "viral-pneumonia", "covid-19"),
        "menon2020, Table II",
        ("menon2020",),
    ),
    TaskInfo(
        "four-class-hussain",
        ("normal", "lung-opacity", "viral-pneumonia", "covid-19"),
        "the radiography set (hussain2022, Table IV)",
        ("hussain2022",),
    ),
    TaskInfo(
        "covid-external",
        ("normal", "covid-19"),
        "trained on one collection's COVID-19 films, tested on another's",
        ("external",),
    ),
    TaskInfo(
        "covid-vs-other",
        ("other-finding", "covid-19"),
        "COVID-19 against other findings of the same collection",
        ("source-matched",),
    ),
    TaskInfo(
        "opacity-vs-normal",
        ("normal", "opacity"),
        "opacity against normal films of one collection; the opacities learned from are of another",
        ("same-source", "same-source-cv"),
    ),
)
"""The table. A new task is one line."""


def list_tasks() -> tuple[TaskInfo, ...]:
    """All tasks, in the order of the table; then those of sources that the user declared."""
    mine = [
        TaskInfo(
            source.task.name, tuple(source.task.classes), f"films of {source.name}", ("own",), source.name
        )
        for source in own.declared().values()
        if source.task is not None
    ]
    return (*TASKS, *mine)


@dataclass(frozen=True)
class TaskPlan:
    """A task as it would be split.

    `frame` has every film that was considered: the columns of `sources.table`, `class`, `split` ("train",
    "validation", "test" or "") and `reason` ("" for films that are used). `notes` are for the reader.
    `classes` are those of the task that have films, COVID-19 last. `fold` of `folds` is tested on; None of 1
    where the protocol has no folds.
    """

    task: TaskInfo
    protocol: str
    seed: int
    frame: pd.DataFrame
    notes: tuple[str, ...]
    classes: tuple[str, ...]
    fold: int | None = None
    folds: int = 1

    @property
    def used(self) -> pd.DataFrame:
        """The films of the splits."""
        return self.frame[(self.frame["reason"] == "") & (self.frame["split"] != "")]

    @property
    def left_out(self) -> pd.DataFrame:
        """`image_id`, `source_dataset`, `reason` of the films that are not used."""
        return self.frame.loc[self.frame["reason"] != "", ["image_id", "source_dataset", "reason"]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Films by split and class; of the published split, from metadata, where the protocol has one."""
        column = "published" if "published" in self.frame.columns else "split"
        rows = self.frame if column == "published" else self.used
        counts: dict[str, dict[str, int]] = {}
        for (split, label), count in Counter(zip(rows[column], rows["class"], strict=True)).items():
            counts.setdefault(split, {})[label] = count
        return counts

    def report(self) -> str:
        """As text: films and patients per part, class and source; films left out, with reasons; notes."""
        fold = "" if self.fold is None else f", fold {self.fold} of {self.folds}"
        lines = [f"{self.task.name}, protocol {self.protocol}, seed {self.seed}{fold}", ""]
        lines += [f"{'part':<12}{'class':<21}{'source':<28}{'films':>7}{'patients':>10}"]
        for split in protocols.SPLITS:
            part = self.used[self.used["split"] == split]
            for (label, source), rows in part.groupby(["class", "source_dataset"], sort=True):
                lines.append(
                    f"{split:<12}{label:<21}{source:<28}{len(rows):>7,}{rows['patient_id'].nunique():>10,}"
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
        return "\n".join([*lines, *(f"note: {terminal(note)}" for note in self.notes)])


def plan_task(
    name: str,
    root: str | Path | None = None,
    protocol: str | None = None,
    *,
    seed: int = 0,
    sources: Sequence[str] | None = None,
    licences: str = "any",
    phantom: dict[str, int] | None = None,
    folds: int = 5,
    fold: int | None = None,
    progress: Progress = quiet,
    search: str = approximate.EXACT,
) -> TaskPlan:
    """How a task would be split.

    `root` holds the real sets (None: the folder that COVID_SYNTH_SOURCES names). `protocol` is one of the
    task's (None: its first): "clean" (patient-disjoint, frontal, de-duplicated), "zunair2021" (the paper's),
    "menon2020" (the paper's films and counts, by patient), "hussain2022", "external", "source-matched",
    "same-source", "same-source-cv", "own" (a declared source).
    `seed` shuffles patients. `sources` narrows "clean" to these sets; ["phantom"] needs no root and takes
    the options `phantom` (size, patients, seed). `licences` "permissive" keeps public-domain and CC BY films
    only. `fold` of `folds` is tested on, by "source-matched", "same-source" and
    "same-source-cv" alone (None: fold 0).
    `progress` gets (done, all, of what) while films are read and compared. `search` is "exact" or
    "approximate": how films that look alike are looked for; an approximate search is meant for very many
    films, may miss some, and is noted in the plan. Raises
    `UnknownName`, `ConfigError`, `MissingSource`, `MissingExtra`, `BadMetadata`.
    """
    approximate.wanted(search)
    known = {task.name: task for task in list_tasks()}
    if name not in known:
        raise UnknownName("task", name, known)
    task = known[name]
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError("no such seed", found=repr(seed), expected="a whole number from 0 on")
    chosen = _protocol(task, protocol)
    if licences not in _LICENCES:
        raise UnknownName("choice of licences", licences, _LICENCES)
    sources = [sources] if isinstance(sources, str) else sources
    if task.source is not None:
        if sources is not None and list(sources) != [task.source]:
            raise ConfigError(
                f"the task {name} is of one source", found=", ".join(sources), expected=task.source
            )
        sources = [task.source]
    _check_sources(sources, phantom)
    folds, fold = _folds(chosen, folds, fold)
    request = protocols.Request(
        task.classes, root, seed, sources, licences, phantom, folds, fold, progress, search
    )
    outcome = protocols.PROTOCOLS[chosen](request)
    present = outcome.classes or task.classes
    return TaskPlan(task, chosen, seed, outcome.frame, tuple(outcome.notes), present, fold, folds)


def _protocol(task: TaskInfo, name: str | None) -> str:
    """The protocol of that name, or the first of the task. Raises `UnknownName`, `ConfigError`."""
    if name is None:
        return task.protocols[0]
    if name not in protocols.PROTOCOLS:
        raise UnknownName("protocol", name, protocols.PROTOCOLS)
    if name not in task.protocols:
        raise ConfigError(
            f"the task {task.name} is not split that way",
            found=f"protocol {name}",
            expected=" or ".join(task.protocols),
            hint="leave the protocol out for the first of these",
        )
    return name


def _check_sources(sources: Sequence[str] | None, phantom: dict[str, int] | None) -> None:
    """Raise `UnknownName` or `ConfigError` for sources that cannot be asked for."""
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


def _folds(protocol: str, folds: int, fold: int | None) -> tuple[int, int | None]:
    """(folds, fold) of a protocol; (1, None) for one without folds. Raises `ConfigError`."""
    if protocol not in protocols.FOLDED:
        if fold is not None:
            raise ConfigError(
                f"the protocol {protocol} has no folds",
                found=f"fold {fold!r}",
                expected="no fold",
                hint="leave fold out; folds are of " + ", ".join(protocols.FOLDED),
            )
        return 1, None
    fold = 0 if fold is None else fold
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in (folds, fold))
    if not whole or folds < 2 or not 0 <= fold < folds:
        raise ConfigError(
            "no such fold",
            found=f"fold {fold!r} of {folds!r}",
            expected="at least 2 folds, and a fold from 0 to one less than their number",
        )
    return int(folds), int(fold)


def load_task(
    name: str,
    root: str | Path | None = None,
    protocol: str | None = None,
    *,
    seed: int = 0,
    sources: Sequence[str] | None = None,
    licences: str = "any",
    phantom: dict[str, int] | None = None,
    folds: int = 5,
    fold: int | None = None,
    progress: Progress = quiet,
) -> datasets.DatasetDict:
    """The task as a DatasetDict of train, validation and test in `schema.REAL_COLUMNS`.

    Arguments and errors are those of `plan_task`, and `EmptySplit` where a part has no film of a class. The
    search for films that look alike is exact; `to_splits` takes a plan of another. Images are decoded when a
    row is read. `label` is a `ClassLabel` of the task's classes, 0 to n - 1. A
    released dataset has other codes; `mix` and `mixing.with_classes` match classes by name.
    """
    plan = plan_task(
        name,
        root,
        protocol,
        seed=seed,
        sources=sources,
        licences=licences,
        phantom=phantom,
        folds=folds,
        fold=fold,
        progress=progress,
    )
    return to_splits(plan)


def to_splits(plan: TaskPlan) -> datasets.DatasetDict:
    """The films of a plan as a DatasetDict; `label` is a code of `plan.classes`. Raises `EmptySplit`."""
    import datasets

    parts = {}
    for split in protocols.SPLITS:
        rows = plan.used[plan.used["split"] == split]
        for name in plan.classes:
            if not (rows["class"] == name).any():
                reasons = plan.frame.loc[plan.frame["class"] == name, "reason"].value_counts()
                reasons_text = (
                    ", ".join(f"{n:,} {reason}" for reason, n in reasons.items() if reason) or "no such film"
                )
                raise EmptySplit(
                    f"the {split} part of {plan.task.name} ({plan.protocol}) has no {name} film",
                    found=reasons_text,
                    expected="at least one",
                    hint="covid-synth sources shows what the root lacks",
                )
        rows = rows.assign(label=rows["class"]).reset_index(drop=True)
        parts[split] = table.to_dataset(rows, plan.classes)
    return datasets.DatasetDict(parts)
