"""The films that a generator is trained on: chosen by the recipe, decoded once, kept as bytes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_synth_data import mixing, tasks
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.pixels import Grey, load_grey
from covid_synth_data.release.crops import THOUSANDTHS, WHOLE, Crop, cut
from generation.recipe import Data, FilmData, FilmRecipe, HostData, PairData, PairRecipe

if TYPE_CHECKING:
    import datasets

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingImages:
    """Decoded images of one class: `pixels` uint8 (n, size, size), with their ids and licences.

    There may be several cropped copies of each image in `pixels`; `image_ids` has each image once.
    """

    label: str
    pixels: Grey
    image_ids: list[str]
    licences: list[str]
    patient_ids: list[str] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    """`image_id`s under which a source says that images among these are known too."""

    def fingerprint(self) -> str:
        """sha256 over ids and pixels. Two runs with the same value were trained on the same data."""
        digest = hashlib.sha256("\n".join(self.image_ids).encode())
        digest.update(self.pixels.tobytes())
        return digest.hexdigest()


Chosen = PairData | FilmData | HostData
"""Data whose films are chosen by tasks and parts of their splits."""


def training_rows(data: Chosen, root: Path | None) -> datasets.Dataset:
    """The rows of the training patients, undecoded, each film once.

    Where `data` names several tasks, a film is used only if no task puts it or its patient into another
    part: a generator must not see the test films of any of these tasks. A film that one task leaves out is
    not used either, since it may be a copy of a test film. Raises the errors of `tasks.load_task`.
    """
    return _rows(data, [_plan(data, task, root) for task in data.tasks])


def _rows(data: Chosen, plans: Sequence[tasks.TaskPlan]) -> datasets.Dataset:
    import datasets

    classes = list(dict.fromkeys(name for plan in plans for name in plan.classes))
    pieces, held_out = [], set()
    for plan in plans:
        outside = plan.frame[~plan.frame["split"].isin(data.parts) | (plan.frame["reason"] != "")]
        held_out |= {*outside["image_id"], *outside.loc[outside["reason"] == "", "patient_id"]}
        parts = tasks.to_splits(plan)
        part = datasets.concatenate_datasets([parts[name] for name in data.parts])
        pieces.append(mixing.with_classes(part, classes))
    rows = datasets.concatenate_datasets(pieces).cast_column("image", datasets.Image(decode=False))
    seen: set[str] = set()
    kept = []
    for i, (name, patient) in enumerate(zip(rows["image_id"], rows["patient_id"], strict=True)):
        if name not in seen and name not in held_out and patient not in held_out:
            seen.add(name)
            kept.append(i)
    return rows.select(kept)


def _plan(data: Data, task: str, root: Path | None) -> tasks.TaskPlan:
    return tasks.plan_task(
        task,
        root,
        protocol=data.protocol,
        seed=data.split_seed,
        sources=data.sources,
        licences=data.licences,
        phantom=data.phantom,
    )


def _same_films(plans: Sequence[tasks.TaskPlan]) -> dict[str, set[str]]:
    """`image_id` to the other ids under which a source says that the film is known."""
    names: dict[str, set[str]] = {}
    for frame in (plan.frame for plan in plans):
        if "same_film" not in frame.columns:
            continue
        for name, other in zip(frame["image_id"], frame["same_film"], strict=True):
            if isinstance(other, str) and other:
                names.setdefault(name, set()).add(other)
                names.setdefault(other, set()).add(name)
    return names


def of_class(rows: datasets.Dataset, label: str) -> datasets.Dataset:
    """The rows of one class, in the order of the task. Raises `EmptySplit`."""
    names = rows.features["label"].names
    index = np.flatnonzero(np.asarray(rows["label"]) == (names.index(label) if label in names else -1))
    if not len(index):
        raise EmptySplit(
            f"the training part of the task has no {label!r} film",
            found="0 rows",
            expected="at least one",
            hint="check the classes of the recipe's table [data], and the sources at hand",
        )
    return rows.select(index)


def read_pair(recipe: PairRecipe, root: Path | None, progress: Progress) -> list[TrainingImages]:
    """The films of the source and of the target class, as many of each.

    `progress` gets (done, all). Raises the errors of `training_rows`, `EmptySplit`, `BadImage`.
    """
    data = recipe.data
    plans = [_plan(data, task, root) for task in data.tasks]
    rows = _rows(data, plans)
    sides = [of_class(rows, label) for label in (data.source_class, data.target_class)]
    smallest = min(len(side) for side in sides)
    drawn = _draw(sides, min(data.per_domain or smallest, smallest), recipe.seed)
    crops = [[[WHOLE]] * len(side) for side in drawn]
    return _decode_sides([data.source_class, data.target_class], drawn, crops, data.size, plans, progress)


def read_classes(recipe: FilmRecipe, root: Path | None, progress: Progress) -> list[TrainingImages]:
    """The films of each class of the recipe, in its order, `crops` copies of a film side by side.

    `progress` and errors are those of `read_pair`.
    """
    data = recipe.data
    plans = [_plan(data, task, root) for task in data.tasks]
    rows = _rows(data, plans)
    sides = [of_class(rows, label) for label in data.classes]
    drawn = _draw(sides, data.per_class or len(rows), recipe.seed)
    crops = [_crops(data, len(side), (recipe.seed, 1 + number)) for number, side in enumerate(drawn)]
    return _decode_sides(data.classes, drawn, crops, data.size, plans, progress)


def _draw(sides: Sequence[datasets.Dataset], count: int, seed: int) -> list[datasets.Dataset]:
    """At most `count` rows of each side, drawn by the seed and kept in their order."""
    drawn = []
    for number, side in enumerate(sides):
        order = np.random.default_rng([seed, number]).permutation(len(side))
        drawn.append(side.select(np.sort(order[:count])))
    return drawn


def _decode_sides(
    labels: Sequence[str],
    sides: Sequence[datasets.Dataset],
    crops: Sequence[list[list[Crop]]],
    size: int,
    plans: Sequence[tasks.TaskPlan],
    progress: Progress,
) -> list[TrainingImages]:
    """The rows of each class as `TrainingImages`."""
    known = _same_films(plans)
    done, total = 0, sum(len(side) for side in sides)

    def tick(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    images = []
    for label, side, margins in zip(labels, sides, crops, strict=True):
        ids = list(side["image_id"])
        images.append(
            TrainingImages(
                label,
                _decode(side["image"], margins, size, tick),
                ids,
                list(side["source_license"]),
                sorted(set(side["patient_id"])),
                sorted(set().union(*(known.get(name, set()) for name in ids))),
            )
        )
    return images


def _crops(data: FilmData, count: int, seed: tuple[int, int]) -> list[list[Crop]]:
    """For each of `count` films the crops that are made of it."""
    if data.crops == 1:
        return [[WHOLE]] * count
    limit = round(data.max_crop * THOUSANDTHS)
    margins = np.random.default_rng(seed).integers(0, limit + 1, (count, data.crops, 4)).tolist()
    return [[(left, top, right, bottom) for left, top, right, bottom in film] for film in margins]


def _decode(cells: Any, crops: list[list[Crop]], size: int, tick: Callable[[int], None]) -> Grey:
    """Grey films uint8 (n * crops, size, size), the copies of a film side by side; two threads decode."""
    copies = len(crops[0])
    pixels = np.empty((len(crops), copies, size, size), np.uint8)

    def fill(i: int, cell: Any) -> None:
        if crops[i] == [WHOLE]:
            pixels[i, 0] = load_grey(cell, size)
            return
        film = load_grey(cell)
        for copy, crop in enumerate(crops[i]):
            pixels[i, copy] = cut(film, crop, size)

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(fill, range(len(crops)), list(cells)):
            tick(1)
    return pixels.reshape(-1, size, size)
