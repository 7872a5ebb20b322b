"""Translation: films of the source class of training patients, whole and cropped, into the target class."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from lightning_fabric import Fabric

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.trained import Translator
from covid_synth_data.release import crops
from covid_synth_data.release.crops import THOUSANDTHS, WHOLE
from generation.data.batches import PairBatches
from generation.data.films import Progress, TrainingImages, of_class, read_pair, training_rows
from generation.kinds.kind import TrainedKind, required
from generation.kinds.maker import WORKERS, Made, Row, SourceImages, TrainedMaker, no_lineage
from generation.recipe import PairRecipe, Release

AHEAD: Final = 2
"""Batches decoded before the network asks for them."""


class Translation(TrainedKind[Translator]):
    """Generators that translate a film of one class into another."""

    card_kind = "translator"

    def read(self, recipe: PairRecipe, root: Path | None, progress: Progress) -> list[TrainingImages]:
        """The films of both domains."""
        return read_pair(recipe, root, progress)

    def batches(self, recipe: PairRecipe, images: Sequence[TrainingImages], fabric: Fabric) -> PairBatches:
        """Films of both domains side by side."""
        return PairBatches(recipe, images, fabric)

    def maker(
        self, recipe: PairRecipe, root: Path | None, weights: Path | None, device: str = "auto"
    ) -> Translations:
        """Translates the films of the recipe's source class."""
        path = required(weights, recipe)
        return Translations(recipe, root, path, self.load(path, device))


TRANSLATION: Final = Translation()


class Translations(TrainedMaker):
    """Translated films. Films of test patients are left out, so that none enters a training set."""

    def __init__(self, recipe: PairRecipe, root: Path | None, weights: Path, translator: Translator) -> None:
        """Raises the errors of `films.training_rows`."""
        super().__init__(weights, translator)
        assert recipe.release is not None  # noqa: S101 - `Kind.maker` asks for it
        self.size, self.batch_size, self.translator = recipe.data.size, recipe.release.batch_size, translator
        self.images = SourceImages(of_class(training_rows(recipe.data, root), recipe.data.source_class))
        self.rows = plan(recipe.release, len(self.images), recipe.seed)
        self.sources = self.images.fingerprints
        self.licences = list(self.images.films["source_license"])

    def make(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Made]]:
        """Threads decode the next batches while the network runs; both release the interpreter lock."""
        return contextlib.closing(self._make(rows))

    def _make(self, rows: Sequence[Row]) -> Generator[Made]:
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                waiting: deque[list[Future[Grey]]] = deque()
                for i, batch in enumerate(batches):
                    while len(waiting) < AHEAD + 1 and i + len(waiting) < len(batches):
                        waiting.append([pool.submit(self._read, row) for row in batches[i + len(waiting)]])
                    films = np.stack([future.result() for future in waiting.popleft()])
                    yield Made(self.translator.forward(films).cpu().numpy(), [{}] * len(batch))
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, row: Row) -> Grey:
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        return self.images.read(row.source, self.size, crops.parse_variant(row.variant))

    def columns(self, row: Row) -> dict[str, Any]:
        """Those of the film that is translated."""
        assert row.source is not None  # noqa: S101 - every row of this kind has one
        return {**self.images.lineage(row.source), "variant": row.variant}

    def read_row(self, record: dict[str, Any], index: int) -> Row:
        """The film and the crop that a record names."""
        source, variant = self.images.find(record), str(record["variant"])
        try:
            crop = crops.parse_variant(variant)
        except ValueError as error:
            raise no_lineage(record, "full or crop:LEFT,TOP,RIGHT,BOTTOM") from error
        if min(crop) < 0 or max(crop[0] + crop[2], crop[1] + crop[3]) >= THOUSANDTHS:
            raise CorruptRelease(
                f"the row {record['image_id']} has an impossible crop",
                found=variant,
                expected="margins that leave something of the film",
                hint="fetch the release again",
            )
        return Row(index, source, variant)

    def used(self) -> set[str]:
        """Those of the rows."""
        return self.images.used(self.rows)


def plan(release: Release, films: int, seed: int) -> list[Row]:
    """`release.count` rows over `films` films: each film whole first, then crops of it, in rounds.

    Row i depends on (seed, i) alone. A crop cuts up to `max_crop` from each side. Where there are more films
    than rows, the seed draws which are translated.
    """
    chosen = np.sort(np.random.default_rng([seed]).permutation(films)[: release.count])
    limit = round(release.max_crop * THOUSANDTHS)
    rows = []
    for index in range(release.count):
        crop = WHOLE
        if index >= len(chosen):
            random = np.random.default_rng([seed, index])
            left, top, right, bottom = random.integers(0, limit + 1, 4).tolist()
            # A crop that cuts nothing would repeat the whole film.
            crop = (left, top, right, bottom) if left + top + right + bottom else (1, 0, 0, 0)
        rows.append(Row(index, int(chosen[index % len(chosen)]), crops.variant_of(crop)))
    return rows
