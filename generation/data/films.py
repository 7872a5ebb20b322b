"""The films that a generator learns from: chosen by the recipe, decoded once, kept as bytes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_synth_data import tasks
from covid_synth_data.errors import EmptySplit
from covid_synth_data.files.pixels import Grey, load_grey
from generation.data.crops import THOUSANDTHS, WHOLE, Crop, cut
from generation.recipe import Data, FilmData, PairData, Recipe, SliceData

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Films:
    """Decoded films of one class: `pixels` uint8 (n, size, size), with the ids and licences they have.

    There may be several cropped copies of each film in `pixels`; `image_ids` has each film once.
    """

    label: str
    pixels: Grey
    image_ids: list[str]
    licences: list[str]
    patient_ids: list[str] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    """`image_id`s under which a source says that films among these are known too."""

    def fingerprint(self) -> str:
        """sha256 over ids and pixels: two runs with the same value learned from the same data."""
        digest = hashlib.sha256("\n".join(self.image_ids).encode())
        digest.update(self.pixels.tobytes())
        return digest.hexdigest()


def training_rows(data: PairData | FilmData, root: Path | None) -> datasets.Dataset:
    """The rows of the training patients, undecoded, each film once.

    Where `data` names several tasks, a film counts as a training film only if every task that knows it has
    it in these parts, and none its patient in another: what a generator saw must be outside the test films
    of each of them. (A film that one task leaves out may be a copy of one that it tests on.) Raises the
    errors of `tasks.load_task`.
    """
    return _rows(data, [_plan(data, task, root) for task in data.tasks])


def _rows(data: PairData | FilmData, plans: Sequence[tasks.TaskPlan]) -> datasets.Dataset:
    import datasets

    found, held_out = [], set()
    for plan in plans:
        outside = plan.frame[~plan.frame["split"].isin(data.parts) | (plan.frame["reason"] != "")]
        held_out |= {*outside["image_id"], *outside.loc[outside["reason"] == "", "patient_id"]}
        parts = tasks.to_splits(plan)
        found.append(datasets.concatenate_datasets([parts[name] for name in data.parts]))
    rows = datasets.concatenate_datasets(found).cast_column("image", datasets.Image(decode=False))
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
        for one, other in zip(frame["image_id"], frame["same_film"], strict=True):
            if isinstance(other, str) and other:
                names.setdefault(one, set()).add(other)
                names.setdefault(other, set()).add(one)
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


def training_films(recipe: Recipe, root: Path | None, progress: Callable[[int, int], None]) -> list[Films]:
    """The films of each class of a recipe; `progress` gets (done, all).

    For `PairData` those of the source and of the target class, the same number of each; for `FilmData` those
    of its classes in their order, `crops` copies of each film side by side. For `SliceData` CT slices with
    their label maps (`slices.Slices`).
    """
    data = recipe.data
    if isinstance(data, SliceData):
        from generation.data import slices

        return [*slices.training_slices(recipe, root, progress)]
    plans = [_plan(data, task, root) for task in data.tasks]
    rows = _rows(data, plans)
    pair = isinstance(data, PairData)
    labels = [data.source_class, data.target_class] if isinstance(data, PairData) else data.classes
    sides = [of_class(rows, label) for label in labels]
    smallest = min(len(side) for side in sides)
    wanted = (data.per_domain if isinstance(data, PairData) else data.per_class) or len(rows)
    chosen = []
    for domain, side in enumerate(sides):
        order = np.random.default_rng([recipe.seed, domain]).permutation(len(side))
        chosen.append(side.select(np.sort(order[: min(wanted, smallest) if pair else wanted])))
    known = _same_films(plans)
    total = sum(len(side) for side in chosen)
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    films = []
    for domain, (label, side) in enumerate(zip(labels, chosen, strict=True)):
        crops = _crops(data, len(side), (recipe.seed, 1 + domain))
        ids = list(side["image_id"])
        others = sorted(set().union(*(known.get(name, set()) for name in ids)))
        films.append(
            Films(
                label,
                _decode(side["image"], crops, data.size, tick),
                ids,
                list(side["source_license"]),
                sorted(set(side["patient_id"])),
                others,
            )
        )
    return films


def _crops(data: PairData | FilmData, count: int, seed: tuple[int, int]) -> list[list[Crop]]:
    """For each of `count` films the crops that are made of it."""
    if isinstance(data, PairData) or data.crops == 1:
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
