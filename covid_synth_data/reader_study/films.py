"""Where the films of a study come from: folders of images, tasks, phantoms, configs of a release."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from covid_synth_data.errors import EmptySplit, UnknownName

if TYPE_CHECKING:
    import datasets

PHANTOM: Final = "phantom"
PARTS: Final = ("test", "validation", "train", "all")


@dataclass(frozen=True)
class Film:
    """A film that may be shown: its name, its patient or source film, and what gives its file.

    Few of many films are drawn, so a file is read when it is asked for.
    """

    name: str
    group: str
    file: Callable[[], Path | Mapping[str, Any]]


def real_films(what: str, root: str | Path | None, part: str, label: str) -> list[Film]:
    """The films of a folder of images, of the class `label` in a part of a task, or phantoms.

    The part "test" holds films that no generator of a release learned from. Raises `UnknownName`, the
    errors of `load_task`, and `EmptySplit` where there is no such film.
    """
    from covid_synth_data.tasks import list_tasks

    if part not in PARTS:
        raise UnknownName("part of a task", part, PARTS)
    known = [task.name for task in list_tasks()]
    if what == PHANTOM:
        from covid_synth_data.sources import load_source

        return _of_label(load_source(PHANTOM), what, label)
    if what in known:
        from covid_synth_data.tasks import load_task

        splits = load_task(what, root)
        chosen = [name for name in splits if part in ("all", name)]
        return [film for name in chosen for film in _of_label(splits[name], f"{what} {name}", label)]
    if Path(what).expanduser().is_dir():
        return _in_folder(Path(what).expanduser())
    raise UnknownName("task, or folder of images,", what, [*known, PHANTOM])


def synthetic_films(what: str, release: str | Path | None, version: str | None, label: str) -> list[Film]:
    """The films of the class `label` in a config of a release, or those of a folder of images.

    Raises `UnknownName`, the errors of `load_dataset`, and `EmptySplit` where there is no such film.
    """
    from covid_synth_data import catalog
    from covid_synth_data.release import loading

    if what not in {entry.config for entry in catalog.DATASETS} and Path(what).expanduser().is_dir():
        return _in_folder(Path(what).expanduser())
    dataset = catalog.DATASETS[0].dataset
    return _of_label(loading.load_dataset(dataset, what, version=version, root=release), what, label)


def _in_folder(folder: Path) -> list[Film]:
    """Every film below `folder`, DICOM as well, each a group of its own."""
    from covid_synth_data.files.pixels import SUFFIXES
    from covid_synth_data.sources import disk

    paths = disk.films_below(folder)
    films = [Film(str(path.relative_to(folder)), str(path), path.absolute) for path in paths]
    if not films:
        raise EmptySplit(
            f"no images in {folder}", expected=f"files {', '.join(SUFFIXES)}", hint="check the folder"
        )
    return films


def _of_label(rows: datasets.Dataset, what: str, label: str) -> list[Film]:
    """The rows of class `label`, not decoded; grouped by patient, or by the film they were made from."""
    import datasets

    names = rows.features["label"].names
    class_index = names.index(label) if label in names else -1
    rows = rows.select(np.flatnonzero(np.asarray(rows["label"][:]) == class_index))
    if not len(rows):
        raise EmptySplit(
            f"{what} has no {label} film", found="classes " + ", ".join(names), hint="see --label and --part"
        )
    group = "patient_id" if "patient_id" in rows.column_names else "source_id"
    undecoded = rows.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
    return [
        Film(str(name), str(owner or name), partial(_cell, undecoded, index))
        for index, (name, owner) in enumerate(zip(rows["image_id"][:], rows[group][:], strict=True))
    ]


def _cell(rows: datasets.Dataset, index: int) -> Mapping[str, Any]:
    cell: Mapping[str, Any] = rows[index]["image"]
    return cell


def in_order(films: Sequence[Film], rng: np.random.Generator) -> list[Film]:
    """`films` shuffled, one of each group before a second of any."""
    by_name = sorted(films, key=lambda film: film.name)
    shuffled = [by_name[index] for index in rng.permutation(len(by_name))]
    seen: dict[str, int] = {}
    turns = []
    for film in shuffled:
        turns.append(seen.get(film.group, 0))
        seen[film.group] = turns[-1] + 1
    return [shuffled[index] for index in np.argsort(turns, kind="stable")]
