"""Batches of training films: all films on the device as bytes, drawn by (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor

from covid_synth_data.errors import ConfigError
from covid_synth_data.files.pixels import Grey
from generation.data.films import TrainingImages
from generation.recipe import FilmRecipe, PairRecipe, TrainedRecipe


class Batches(Protocol):
    """The batches of any kind of generator: training images, and images for evaluations."""

    per_epoch: int

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """The tensors that the family's step takes."""

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Fixed films for the sample grid, in the form of a batch."""

    def real(self, count: int) -> Grey:
        """At most `count` films, spread evenly, that samples are compared with: uint8 (n, h, w)."""


def to_float(pixels: Tensor) -> Tensor:
    """uint8 (n, h, w) to float (n, 1, h, w) in [-1, 1]."""
    layout = torch.channels_last if pixels.device.type == "cuda" else torch.contiguous_format
    return pixels.unsqueeze(1).float().div_(127.5).sub_(1).contiguous(memory_format=layout)


def _mirrored(
    x: Tensor, recipe: TrainedRecipe, random: np.random.Generator, rows: int, mine: slice
) -> Tensor:
    if not recipe.training.flip:
        return x
    flips = torch.from_numpy(random.random(rows)[mine] < 0.5).to(x.device)
    return torch.where(flips[:, None, None, None], x.flip(-1), x)


def check_share(size: int, fabric: Fabric) -> None:
    """Raise `ConfigError` unless the devices of `fabric` can share a batch of `size` evenly."""
    if size % fabric.world_size:
        raise ConfigError(
            f"a batch of {size} cannot be shared by {fabric.world_size} devices",
            expected="a multiple of the number of devices",
            hint="change training.batch_size or --devices",
        )


def _spread(pixels: Tensor, count: int) -> Grey:
    chosen = np.linspace(0, len(pixels) - 1, min(count, len(pixels))).astype(int)
    films: Grey = pixels[torch.from_numpy(chosen).to(pixels.device)].cpu().numpy()
    return films


class PairBatches:
    """Two domains of the same size, each in an order of its own."""

    def __init__(self, recipe: PairRecipe, films: Sequence[TrainingImages], fabric: Fabric) -> None:
        """`films` are the source and the target domain. Raises `ConfigError` for an indivisible batch."""
        self.recipe, self.fabric = recipe, fabric
        self.pixels = [torch.from_numpy(side.pixels).to(fabric.device) for side in films]
        self.count = len(films[0].pixels)
        self.batch_size = min(recipe.training.batch_size, self.count)
        full, left_out = self.count // self.batch_size, recipe.data.leave_out_batches
        if left_out >= full:
            raise ConfigError(
                f"{recipe.name} leaves out all batches of an epoch",
                found=f"data.leave_out_batches = {left_out}",
                expected=f"less than the {full} batches that {self.count} films fill",
                hint="lower data.leave_out_batches or training.batch_size",
            )
        self.per_epoch = full - left_out
        check_share(self.batch_size, fabric)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """This device's share of the batch of `step`: two float tensors (n, 1, h, w) in [-1, 1]."""
        epoch, index = divmod(step, self.per_epoch)
        mine = slice(
            index * self.batch_size + self.fabric.global_rank,
            (index + 1) * self.batch_size,
            self.fabric.world_size,
        )
        parts = []
        for domain, pixels in enumerate(self.pixels):
            random = np.random.default_rng([self.recipe.seed, 1 + epoch, domain])
            rows = torch.from_numpy(random.permutation(self.count)[mine]).to(pixels.device)
            parts.append(_mirrored(to_float(pixels[rows]), self.recipe, random, self.count, mine))
        return tuple(parts)

    def first(self, count: int) -> tuple[Tensor, ...]:
        """The first films of both domains."""
        return tuple(to_float(pixels[:count]) for pixels in self.pixels)

    def sources(self, count: int) -> Tensor:
        """At most `count` films of the source domain, uint8 on the device."""
        return self.pixels[0][:count]

    def real(self, count: int) -> Grey:
        """Films of the target domain."""
        return _spread(self.pixels[1], count)


class FilmBatches:
    """Films of one or several classes with their labels.

    A label is the index of the class in the recipe. Balanced batches hold the classes in turn (the rank's
    share too); each class goes through its films in an order of its own and starts again when they end.
    """

    def __init__(
        self, recipe: FilmRecipe, films: Sequence[TrainingImages], fabric: Fabric, per_step: int
    ) -> None:
        """`per_step` films are drawn a step. Raises `ConfigError` for an indivisible number."""
        self.recipe, self.fabric, self.per_step = recipe, fabric, per_step
        pixels = [side.pixels for side in films]
        labels = [np.full(len(side.pixels), i) for i, side in enumerate(films)]
        if not recipe.data.balanced:
            pixels, labels = [np.concatenate(pixels)], [np.concatenate(labels)]
        self.pools = [torch.from_numpy(part).to(fabric.device) for part in pixels]
        self.labels = [torch.from_numpy(part).to(fabric.device) for part in labels]
        self.per_epoch = max(1, sum(len(pool) for pool in self.pools) // per_step)
        self._orders: dict[int, tuple[int, npt.NDArray[np.int64]]] = {}
        check_share(per_step, fabric)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """This device's share: float films (n, 1, h, w) in [-1, 1], and int64 labels (n,)."""
        share = self.per_step // self.fabric.world_size
        # A block for each rank: every second place would be of one class where two ranks take two classes.
        places = step * self.per_step + self.fabric.global_rank * share + np.arange(share)
        kinds, turns = places % len(self.pools), places // len(self.pools)
        x = torch.empty((len(places), *self.pools[0].shape[1:]), dtype=torch.uint8, device=self.fabric.device)
        y = torch.empty(len(places), dtype=torch.int64, device=self.fabric.device)
        for kind, pool in enumerate(self.pools):
            at = np.flatnonzero(kinds == kind)
            rounds, positions = np.divmod(turns[at], len(pool))
            rows = np.empty(len(at), np.int64)
            for turn in np.unique(rounds):
                rows[rounds == turn] = self._order(kind, int(turn))[positions[rounds == turn]]
            at_rows = torch.from_numpy(at).to(x.device)
            chosen = torch.from_numpy(rows).to(x.device)
            x[at_rows], y[at_rows] = pool[chosen], self.labels[kind][chosen]
        random = np.random.default_rng([self.recipe.seed, 0, step, self.fabric.global_rank])
        return _mirrored(to_float(x), self.recipe, random, len(places), slice(None)), y

    def _order(self, kind: int, turn: int) -> npt.NDArray[np.int64]:
        """The order of a class in its round `turn`, kept for the next step, which mostly wants it too."""
        if kind not in self._orders or self._orders[kind][0] != turn:
            random = np.random.default_rng([self.recipe.seed, 1 + turn, kind])
            self._orders[kind] = turn, random.permutation(len(self.pools[kind]))
        return self._orders[kind][1]

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Films of the classes in turn, spread over each."""
        kinds = [i % len(self.pools) for i in range(count)]
        rows = [round((len(self.pools[kind]) - 1) * i / max(1, count - 1)) for i, kind in enumerate(kinds)]
        x = torch.stack([self.pools[kind][row] for kind, row in zip(kinds, rows, strict=True)])
        y = torch.stack([self.labels[kind][row] for kind, row in zip(kinds, rows, strict=True)])
        return to_float(x), y

    def real(self, count: int) -> Grey:
        """Films of all classes, as many of each as a balanced draw has."""
        share = -(-count // len(self.pools))
        return np.concatenate([_spread(pool, share) for pool in self.pools])
