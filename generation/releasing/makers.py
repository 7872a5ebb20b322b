"""What a release will hold, row by row, before any pixel is made: translated films, or samples from noise."""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from covid_synth_data.errors import BadImage, ConfigError
from covid_synth_data.files.pixels import Grey, bytes_of, file_of, load_grey
from covid_synth_data.generators.trained import LabelTranslator, Sampler, Trained, Translator
from covid_synth_data.release.manifest import SourceFilms
from generation.data import crops
from generation.data.crops import THOUSANDTHS, WHOLE, Crop
from generation.data.films import of_class, training_rows
from generation.recipe import FilmData, PairData, Recipe, Release, SliceRelease

if TYPE_CHECKING:
    import datasets

WORKERS: Final = 2
AHEAD: Final = 2
"""Batches decoded before the network asks for them."""

LINEAGE: Final = ("source_dataset", "source_id", "source_class", "source_license")
"""The columns that say what an image was made from."""


@dataclass(frozen=True)
class Row:
    """One image to make. A translation has the index of its source film, and the crop of it."""

    index: int
    source: int | None = None
    crop: Crop = WHOLE

    @property
    def variant(self) -> str:
        """How the image was made, as the column `variant` records it."""
        return f"noise:{self.index}" if self.source is None else crops.variant_of(self.crop)


class Maker(ABC):
    """Makes the images of a release, and knows what they come from."""

    rows: list[Row]
    sources: dict[str, SourceFilms]
    licences: list[str]

    @abstractmethod
    def images(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Grey]]:
        """Batches uint8 (n, size, size) of the images of `rows`, in order."""

    @abstractmethod
    def translated(self) -> set[str]:
        """`image_id`s of the films that images are translated from."""

    @abstractmethod
    def lineage(self, row: Row) -> dict[str, Any]:
        """The columns source_dataset, source_id, source_class and source_license of a row, and `mask`."""


class Translations(Maker):
    """Films of the source class among the training patients, whole and cropped, through a translator.

    Films of test patients are left out, so that no synthetic image carries one into a training set.
    """

    def __init__(self, recipe: Recipe, release: Release, translator: Translator, root: Path | None) -> None:
        """Raises the errors of `films.training_rows`."""
        self.size, self.batch_size, self.translator = recipe.data.size, release.batch_size, translator
        self.films = source_films(recipe, root)
        self.rows = rows(release, len(self.films), recipe.seed)
        self.sources = fingerprints(self.films)
        self.licences = list(self.films["source_license"])

    def images(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Grey]]:
        """Decoding runs ahead of the network; threads suffice, both let go of the interpreter."""
        return contextlib.closing(self._images(rows))

    def _images(self, rows: Sequence[Row]) -> Generator[Grey]:
        cells = self.films["image"]
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                waiting: deque[list[Future[Grey]]] = deque()
                for i in range(len(batches)):
                    while len(waiting) < AHEAD + 1 and i + len(waiting) < len(batches):
                        ahead = batches[i + len(waiting)]
                        waiting.append([pool.submit(cut, cells[r.source], r.crop, self.size) for r in ahead])
                    films = np.stack([future.result() for future in waiting.popleft()])
                    yield self.translator.forward(films).cpu().numpy()
            finally:
                pool.shutdown(cancel_futures=True)

    def translated(self) -> set[str]:
        """Those of the rows."""
        names = self.films["image_id"]
        return {names[row.source] for row in self.rows if row.source is not None}

    def lineage(self, row: Row) -> dict[str, Any]:
        """Those of the film that is translated."""
        film = self.films[row.source]
        return {name: film[name] for name in LINEAGE}


class Samples(Maker):
    """Images 0 to `release.count` of the recipe's seed."""

    def __init__(self, recipe: Recipe, release: Release, sampler: Sampler) -> None:
        """Raises `ConfigError` when the sampler does not make the class that the release asks for."""
        known = sampler.card.classes or [sampler.card.target_class or "several classes at once"]
        if release.label not in known:
            raise ConfigError(
                f"{sampler.card.name} makes no {release.label}",
                found=", ".join(known),
                expected=release.label,
                hint="change release.label, or give other weights",
            )
        self.sampler, self.seed, self.label = sampler, recipe.seed, release.label
        self.rows = [Row(index) for index in range(release.count)]
        self.sources = {}
        self.licences = list(sampler.card.licences)

    def images(self, rows: Sequence[Row]) -> contextlib.closing[Generator[Grey]]:
        """In the blocks that make image i the same whatever the shards."""
        return contextlib.closing(self._images(rows))

    def _images(self, rows: Sequence[Row]) -> Generator[Grey]:
        for block in self.sampler.blocks(rows[0].index, rows[-1].index + 1, self.seed, self.label):
            yield block.cpu().numpy()

    def translated(self) -> set[str]:
        """None."""
        return set()

    def lineage(self, row: Row) -> dict[str, Any]:
        """No film is behind such an image; its licence is that of all films that were learned from."""
        return {**dict.fromkeys(LINEAGE), "source_license": " AND ".join(self.licences)}


def maker(recipe: Recipe, release: Release, generator: Trained, root: Path | None) -> Maker:
    """The maker that suits the recipe. Raises `ConfigError` when the weights are of the other kind."""
    if isinstance(generator, Translator) and isinstance(recipe.data, PairData):
        return Translations(recipe, release, generator, root)
    if isinstance(generator, Sampler) and isinstance(recipe.data, FilmData):
        return Samples(recipe, release, generator)
    if isinstance(generator, LabelTranslator) and isinstance(release, SliceRelease):
        from generation.releasing.label_maps import LabelMaps  # it builds on this module

        return LabelMaps(recipe, release, generator, root)
    raise ConfigError(
        f"{recipe.name} does not go with the weights {generator.card.name}",
        found=f"a {generator.card.kind}",
        expected="the other kind of generator",
        hint="give the weights that were trained by this recipe",
    )


def source_films(recipe: Recipe, root: Path | None) -> datasets.Dataset:
    """The real films that a release translates: those of the source class among the training patients."""
    assert isinstance(recipe.data, PairData)  # noqa: S101 - `maker` looks
    return of_class(training_rows(recipe.data, root), recipe.data.source_class)


def rows(release: Release, films: int, seed: int) -> list[Row]:
    """`release.count` rows over `films` films: each film whole first, then crops of it, in rounds.

    Row i depends on (seed, i) alone. A crop cuts up to `max_crop` from each side. Where there are more films
    than rows, the seed draws which are translated.
    """
    chosen = np.sort(np.random.default_rng([seed]).permutation(films)[: release.count])
    limit = round(release.max_crop * THOUSANDTHS)
    made = []
    for index in range(release.count):
        crop = WHOLE
        if index >= len(chosen):
            random = np.random.default_rng([seed, index])
            left, top, right, bottom = random.integers(0, limit + 1, 4).tolist()
            # A crop that cuts nothing would repeat the whole film.
            crop = (left, top, right, bottom) if left + top + right + bottom else (1, 0, 0, 0)
        made.append(Row(index, int(chosen[index % len(chosen)]), crop))
    return made


def cut(cell: Any, crop: Crop, size: int) -> Grey:
    """The film in an undecoded image cell, cropped and resized: uint8 (size, size). Raises `BadImage`."""
    return load_grey(cell, size) if crop == WHOLE else crops.cut(load_grey(cell), crop, size)


def fingerprints(films: datasets.Dataset) -> dict[str, SourceFilms]:
    """Per source set: the number of films and sha256 over their ids and file contents, sorted by id."""
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(_content_digest, films["image"]))
    lines = defaultdict(list)
    for source, name, digest in zip(films["source_dataset"], films["source_id"], digests, strict=True):
        lines[source].append(f"{name} {digest}\n")
    return {
        source: SourceFilms(
            films=len(names), sha256=hashlib.sha256("".join(sorted(names)).encode()).hexdigest()
        )
        for source, names in sorted(lines.items())
    }


def _content_digest(cell: dict[str, Any]) -> str:
    try:
        return hashlib.sha256(bytes_of(cell)).hexdigest()
    except OSError as error:
        raise BadImage(
            f"cannot read {file_of(cell['path'])}", found=str(error), hint="restore that file and run again"
        ) from error
