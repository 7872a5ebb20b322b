"""What a release will hold, row by row, before any pixel is made."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_synth_data.errors import BadImage
from covid_synth_data.manifest import SourceFilms
from covid_synth_data.pixels import Grey, load_grey, resize
from generation.films import of_class, training_rows
from generation.recipe import Recipe, Release

if TYPE_CHECKING:
    import datasets

THOUSANDTHS = 1000
Crop = tuple[int, int, int, int]
"""Margins (left, top, right, bottom) cut from a film, in thousandths of its width and height."""

WHOLE: Crop = (0, 0, 0, 0)


@dataclass(frozen=True)
class Row:
    """One image to make: the index of its source film, and the crop of it that is translated."""

    index: int
    source: int
    crop: Crop

    @property
    def variant(self) -> str:
        """The crop as it is recorded in the column `variant`."""
        return "full" if self.crop == WHOLE else "crop:" + ",".join(map(str, self.crop))


def parse_variant(variant: str) -> Crop:
    """The crop that a `variant` records. Raises `ValueError`."""
    if variant == "full":
        return WHOLE
    kind, _, numbers = variant.partition(":")
    left, top, right, bottom = map(int, numbers.split(","))
    if kind != "crop":
        raise ValueError(f"no variant {variant!r}")
    return left, top, right, bottom


def source_films(recipe: Recipe, root: Path | None) -> datasets.Dataset:
    """The real films that a release translates: those of the source class among the training patients.

    Test patients are left out so that no synthetic image carries a test film into a training set.
    """
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
    if crop == WHOLE:
        return load_grey(cell, size)
    film = load_grey(cell)
    height, width = film.shape
    left, top, right, bottom = crop
    x0, x1 = round(width * left / THOUSANDTHS), width - round(width * right / THOUSANDTHS)
    y0, y1 = round(height * top / THOUSANDTHS), height - round(height * bottom / THOUSANDTHS)
    return resize(np.ascontiguousarray(film[y0:y1, x0:x1]), size)


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
    content = cell["bytes"]
    if content is None:
        try:
            content = Path(cell["path"]).read_bytes()
        except OSError as error:
            raise BadImage(
                f"cannot read {cell['path']}", found=str(error), hint="restore that file and run again"
            ) from error
    return hashlib.sha256(content).hexdigest()
