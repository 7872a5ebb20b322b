"""The films that a generator learns from: chosen by the recipe, decoded once, kept as bytes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_synth_data import schema, tasks
from covid_synth_data.errors import EmptySplit
from covid_synth_data.pixels import Grey, load_grey
from generation.recipe import Data, Recipe

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Films:
    """Decoded films of one class: `pixels` uint8 (n, size, size), with the ids and licences they have."""

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


def training_rows(data: Data, root: Path | None) -> datasets.Dataset:
    """The rows of the training patients, undecoded. Raises the errors of `tasks.load_task`."""
    import datasets

    splits = tasks.to_splits(_plan(data, root))
    return splits["train"].cast_column("image", datasets.Image(decode=False))


def _plan(data: Data, root: Path | None) -> tasks.TaskPlan:
    return tasks.plan_task(
        data.task, root, protocol=data.protocol, seed=data.split_seed, sources=data.sources,
        licences=data.licences, phantom=data.phantom,
    )  # fmt: skip


def _same_films(data: Data, root: Path | None) -> dict[str, set[str]]:
    """`image_id` to the other ids under which a source says that the film is known."""
    names: dict[str, set[str]] = {}
    frame = _plan(data, root).frame
    if "same_film" in frame.columns:
        for one, other in zip(frame["image_id"], frame["same_film"], strict=True):
            if isinstance(other, str) and other:
                names.setdefault(one, set()).add(other)
                names.setdefault(other, set()).add(one)
    return names


def of_class(rows: datasets.Dataset, label: str) -> datasets.Dataset:
    """The rows of one class, in the order of the task. Raises `EmptySplit`."""
    wanted = schema.LABELS.index(label)
    index = np.flatnonzero(np.asarray(rows["label"]) == wanted)
    if not len(index):
        raise EmptySplit(
            f"the training part of the task has no {label!r} film", found="0 rows", expected="at least one",
            hint="check data.source_class and data.target_class of the recipe, and the sources at hand",
        )  # fmt: skip
    return rows.select(index)


def training_films(
    recipe: Recipe, root: Path | None, progress: Callable[[int, int], None]
) -> tuple[Films, Films]:
    """(source, target) films of a recipe, the same number of each. `progress` gets (done, all)."""
    data = recipe.data
    rows = training_rows(data, root)
    sides = [of_class(rows, label) for label in (data.source_class, data.target_class)]
    count = min(len(side) for side in sides)
    count = min(count, data.per_domain) if data.per_domain else count
    chosen = []
    for domain, side in enumerate(sides):
        order = np.random.default_rng([recipe.seed, domain]).permutation(len(side))[:count]
        chosen.append(side.select(np.sort(order)))
    known = _same_films(data, root)
    done = 0
    films = []
    for label, side in zip((data.source_class, data.target_class), chosen, strict=True):
        pixels = np.empty((count, data.size, data.size), np.uint8)
        for i, film in enumerate(_decode(side["image"], data.size)):
            pixels[i] = film
            done += 1
            progress(done, 2 * count)
        ids = list(side["image_id"])
        others = sorted(set().union(*(known.get(name, set()) for name in ids)))
        films.append(
            Films(label, pixels, ids, list(side["source_license"]), sorted(set(side["patient_id"])), others)
        )
    return films[0], films[1]


def _decode(cells: Any, size: int) -> Any:
    """Grey films of the cells in their order, decoded by two threads ahead of the consumer."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda cell: load_grey(cell, size), list(cells))
