"""CT slices and their label maps for a training: read once, kept as bytes, augmented when they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from covid_synth_data.ct import augment, phantom
from covid_synth_data.ct.complement import lung_only
from covid_synth_data.ct.labels import COLOURS, lung_field
from covid_synth_data.ct.slices import read_slice
from covid_synth_data.ct.splits import Plan, plan_slices
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.label_maps import one_hot
from generation.data.batches import check_share, to_float
from generation.data.films import TrainingImages
from generation.recipe import SliceData, SliceRecipe


def _nothing() -> Grey:
    return np.empty((0, 0, 0), np.uint8)


@dataclass(frozen=True)
class TrainingSlices(TrainingImages):
    """Slices and label maps, uint8 (n, size, size), and those kept for evaluations. Slices are whole."""

    maps: Grey = field(default_factory=_nothing)
    held_pixels: Grey = field(default_factory=_nothing)
    held_maps: Grey = field(default_factory=_nothing)

    def fingerprint(self) -> str:
        """sha256 over ids, slices and maps."""
        both = TrainingImages(self.label, np.stack([self.pixels, self.maps]), self.image_ids, self.licences)
        return both.fingerprint()


def split_of(data: SliceData, root: Path | None) -> Plan:
    """The split of the slices that a recipe names. Raises what `plan_slices` raises."""
    return plan_slices(phantom.rows(**data.phantom) if data.phantom else root, data.split, data.split_seed)


def read_slices(
    recipe: SliceRecipe, root: Path | None, progress: Callable[[int, int], None]
) -> list[TrainingSlices]:
    """The generator's training slices of the recipe's split; `progress` gets (done, all).

    The slices of the split's validation patients are kept for evaluations, or, where it has none, some of
    each patient. The card counts them among the slices that were trained on. Raises `BadImage` and the errors
    of `split_of`.
    """
    data = recipe.data
    plan = split_of(data, root)
    rows = [*plan.train, *plan.validation]
    pixels, maps = np.empty((2, len(rows), data.size, data.size), np.uint8)
    for i, row in enumerate(rows):
        image, maps[i] = read_slice(row, data.size)
        pixels[i] = np.rint(image * 255)
        progress(i + 1, len(rows))
    validation = np.arange(len(rows)) >= len(plan.train)
    enough = lung_field(maps).mean((1, 2)) >= data.least_lung
    pixels, maps, validation = pixels[enough], maps[enough], validation[enough]
    rows = [row for row, kept in zip(rows, enough, strict=True) if kept]
    evaluated = validation
    if not evaluated.any():
        evaluated = held_out(
            [row["patient_id"] for row in rows], [row["slice"] for row in rows], data.held_out
        )
    ids, patients = [str(row["image_id"]) for row in rows], sorted({str(row["patient_id"]) for row in rows})
    licences = [str(row["source_license"]) for row in rows]
    return [
        TrainingSlices(
            "covid-19",
            pixels[~evaluated],
            ids,
            licences,
            patients,
            maps=maps[~evaluated],
            held_pixels=pixels[evaluated],
            held_maps=maps[evaluated],
        )
    ]


def held_out(
    patients: Sequence[str], slices: Sequence[int], share: float
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows are kept for evaluations: of each patient's slices a `share`, neighbours in the middle.

    Neighbours, because a slice between two training slices of one patient is almost known. A patient with
    one slice keeps none.
    """
    kept = np.zeros(len(patients), bool)
    names, order = np.array(patients), np.argsort(slices, kind="stable")
    for patient in np.unique(names):
        mine = order[names[order] == patient]
        count = min(len(mine) - 1, max(1, round(share * len(mine))))
        first = (len(mine) - count) // 2
        kept[mine[first : first + count]] = True
    return kept


class SliceBatches:
    """Pairs of a one-hot label map and a slice. A draw is augmented by (seed, step, place) alone."""

    def __init__(self, recipe: SliceRecipe, slices: TrainingSlices, fabric: Fabric) -> None:
        """Raises `ConfigError` for a batch that the devices cannot share."""
        self.recipe, self.data, self.slices, self.fabric = recipe, recipe.data, slices, fabric
        self.size = int(recipe.training.batch_size)
        self.per_epoch = max(1, len(slices.pixels) * self.data.copies // self.size)
        check_share(self.size, fabric)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """This device's share: maps (n, 4, h, w), and slices (n, 1, h, w) in [-1, 1]."""
        share = self.size // self.fabric.world_size
        first = step * self.size + self.fabric.global_rank * share
        count = len(self.slices.pixels)
        drawn = []
        for place in range(first, first + share):
            turn, position = divmod(place, count)
            order = np.random.default_rng([self.recipe.seed, 1 + turn]).permutation(count)
            drawn.append(self._draw(int(order[position]), place))
        pixels, maps = (np.stack(part) for part in zip(*drawn, strict=True))
        return self.pairs(pixels, maps)

    def _draw(self, index: int, place: int) -> tuple[Grey, Grey]:
        pixels, mask = self.slices.pixels[index], self.slices.maps[index]
        if self.data.augment:
            variant = augment.variant(self.recipe.seed, place)
            image, mask = augment.apply(variant, pixels.astype(np.float32) / 255, mask)
            pixels = np.rint(image * 255).astype(np.uint8)
        return self._window(pixels, mask, place)

    def _window(self, pixels: Grey, mask: Grey, place: int) -> tuple[Grey, Grey]:
        """The square of the recipe's side with a random pixel of the lung about its middle."""
        if not (side := self.data.window):
            return pixels, mask
        random = np.random.default_rng([self.recipe.seed, place, 0x57])
        lung = np.argwhere(lung_field(mask))
        centre = lung[random.integers(len(lung))] if len(lung) else np.array(mask.shape) // 2
        top, left = np.clip(centre - side // 2, 0, np.array(mask.shape) - side)
        part = slice(top, top + side), slice(left, left + side)
        return pixels[part], mask[part]

    def pairs(self, pixels: Grey, maps: Grey) -> tuple[Tensor, Tensor]:
        """uint8 (n, h, w) slices and maps as a step takes them, the lung alone where the recipe says so."""
        if self.data.area == "lung":
            pixels = lung_only(pixels, maps)
        device = self.fabric.device
        return one_hot(torch.from_numpy(maps)).to(device), to_float(torch.from_numpy(pixels).to(device))

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Of the slices kept for evaluations those that show more lung than half of them, spread evenly."""
        lung = lung_field(self.slices.held_maps).sum((1, 2))
        shown = np.flatnonzero(lung >= np.median(lung))
        chosen = shown[spread(len(shown), count)]
        return self.pairs(self.slices.held_pixels[chosen], self.slices.held_maps[chosen])

    def real(self, count: int) -> Grey:
        """Training slices, spread evenly, as the network is trained on them."""
        pixels, maps = (part[spread(len(part), count)] for part in (self.slices.pixels, self.slices.maps))
        return lung_only(pixels, maps) if self.data.area == "lung" else pixels

    def maps(self, count: int) -> Grey:
        """The label maps of `real`."""
        chosen: Grey = self.slices.maps[spread(len(self.slices.maps), count)]
        return chosen


def spread(total: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """At most `count` of the indices below `total`, spread evenly."""
    return np.linspace(0, total - 1, min(count, total)).astype(np.int64)


def coloured(maps: Tensor) -> Tensor:
    """One-hot maps (n, 4, h, w) in the paper's colours: (n, 3, h, w) in [-1, 1]."""
    colours = torch.tensor(COLOURS, dtype=torch.float32, device=maps.device) / 127.5 - 1
    return torch.einsum("nkhw,kc->nchw", maps, colours)
