"""Sampling: images from noise, image i of a seed from (seed, i) alone."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightning_fabric import Fabric

from covid_synth_data.errors import ConfigError, CorruptRelease
from covid_synth_data.generators.trained import Sampler
from covid_synth_data.release.manifest import MAX_ROWS
from generation.data.batches import FilmBatches
from generation.data.films import Progress, TrainingImages, read_classes
from generation.kinds.kind import TrainedKind, required
from generation.kinds.maker import LINEAGE, Made, Row, TrainedMaker, no_lineage
from generation.recipe import FilmRecipe

PREFIX: Final = "noise:"


class Sampling(TrainedKind[Sampler]):
    """Generators that start from noise."""

    card_kind = "sampler"

    def read(self, recipe: FilmRecipe, root: Path | None, progress: Progress) -> list[TrainingImages]:
        """The films of each class."""
        return read_classes(recipe, root, progress)

    def batches(
        self, recipe: FilmRecipe, images: Sequence[TrainingImages], fabric: Fabric, per_step: int
    ) -> FilmBatches:
        """Films with their labels, `per_step` of them a step."""
        return FilmBatches(recipe, images, fabric, per_step)

    def maker(
        self, recipe: FilmRecipe, root: Path | None, weights: Path | None, device: str = "auto"
    ) -> Samples:
        """Samples of the recipe's seed; no film is needed."""
        path = required(weights, recipe)
        return Samples(recipe, path, self.load(path, device))


SAMPLING: Final = Sampling()


class Samples(TrainedMaker):
    """Images 0 to `release.count` of the recipe's seed."""

    def __init__(self, recipe: FilmRecipe, weights: Path, sampler: Sampler) -> None:
        """Raises `ConfigError` when the sampler does not make the class that the release asks for."""
        super().__init__(weights, sampler)
        release = recipe.release
        assert release is not None  # noqa: S101 - `Kind.maker` asks for it
        known = sampler.card.classes or [sampler.card.target_class or "several classes at once"]
        if release.label not in known:
            raise ConfigError(
                f"{sampler.card.name} makes no {release.label}",
                found=", ".join(known),
                expected=release.label,
                hint="change release.label, or give other weights",
            )
        self.sampler, self.seed, self.label = sampler, recipe.seed, release.label
        self.rows = [Row(index, variant=f"{PREFIX}{index}") for index in range(release.count)]
        self.sources = {}
        self.licences = list(sampler.card.licences)
        self.shard_rows = release.shard_rows

    def make(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Made]]:
        """In fixed blocks, so that image i does not depend on the shards.

        Raises `CorruptRelease` for rows read from a release that cannot have been made in one shard.
        """
        return contextlib.closing(self._make(rows))

    def _make(self, rows: Sequence[Row]) -> Generator[Made]:
        numbers = [int(row.variant.removeprefix(PREFIX)) for row in rows]
        first, stop = min(numbers), max(numbers) + 1
        if stop - first > self.shard_rows:
            raise CorruptRelease(
                "rows of one shard that were not made together",
                found=f"noise {first} and {stop - 1}",
                expected=f"less than {self.shard_rows} apart",
                hint="fetch the release again",
            )
        blocks = (b.cpu().numpy() for b in self.sampler.blocks(first, stop, self.seed, self.label))
        if numbers == list(range(first, stop)):
            yield from (Made(block, [{}] * len(block)) for block in blocks)
            return
        # Rows that a release has in another order than they were planned.
        made = np.concatenate(list(blocks))[np.array(numbers) - first]
        yield Made(made, [{}] * len(made))

    def columns(self, row: Row) -> dict[str, Any]:
        """Such an image has no source film; its licence is that of all training films."""
        licence = " AND ".join(self.licences)
        return {**dict.fromkeys(LINEAGE), "source_license": licence, "variant": row.variant}

    def read_row(self, record: dict[str, Any], index: int) -> Row:
        """The noise that a record names."""
        number = str(record["variant"]).removeprefix(PREFIX)
        if not (number.isascii() and number.isdigit() and len(number) < 9 and int(number) < MAX_ROWS):
            raise no_lineage(record, "noise:INDEX")
        return Row(index, variant=f"{PREFIX}{int(number)}")

    def used(self) -> set[str]:
        """None."""
        return set()
