"""Rows of a release are made again by the maker of their kind, and compared with the plan and the pixels.

Whole batches are made again, put together as they were when the release was made, because on some devices a
network's last digits depend on what else is in the batch. On the same kind of device with the same versions
of the libraries every pixel must be the same; elsewhere a row passes above `comparison.BOUND`. Every other
column must be what the recipe and the weights give.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, CorruptRelease, WeightsError
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.models import invalid
from covid_synth_data.release import manifest, references, shards, verification
from generation.kinds.kind import maker_of
from generation.kinds.maker import Maker
from generation.recipe import Recipe, Release, family
from generation.releasing import build
from generation.releasing.comparison import Report, RowComparison, SourceMatch, compare

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Batch:
    """Released rows that were made together; `first` is the number of the first row in its subset."""

    first: int
    records: list[dict[str, Any]]
    count: int


@dataclass(frozen=True)
class _Job:
    """All that rows of one subset are made again from. `offsets`: the number of each shard's first row."""

    folder: Path
    name: str
    files: list[manifest.File]
    offsets: list[int]
    recipe: Recipe
    settings: Release
    maker: Maker
    agree: dict[str, bool]
    unlike: list[str]


def reproduce(
    reference: str | Path, root: Path | None, rows: int, seed: int, device: str, progress: Progress
) -> Report:
    """Make `rows` rows of a release again, spread over its subsets; the `seed` draws which.

    `reference` is a release folder or "ORG/NAME@v1.0.0", `root` holds the real films. Rows are drawn as
    whole batches, of which the last may be used in part. Raises `ReleaseError`, `CorruptRelease` also where
    a file is not what the manifest says, `WeightsError`, `MissingSource` where a film is not at hand,
    `BadImage`.
    """
    if rows < 1:
        raise ConfigError("no rows to make again", found=str(rows), expected="at least 1")
    folder = references.resolve(reference, ("weights/",))
    listed = manifest.read(folder)
    shares = _shares({name: subset.rows for name, subset in sorted(listed.subsets.items())}, rows)
    outcomes: list[RowComparison] = []
    why: dict[str, None] = {}
    films, used = [], ""
    for number, (name, share) in enumerate(shares.items()):
        job = _job(folder, listed, name, root, device)
        used = job.maker.device
        why |= dict.fromkeys(job.unlike)
        films.append(SourceMatch(name, job.agree))
        for batch in _draw(job, share, np.random.default_rng([seed, number])):
            outcomes += _compare(job, batch)
            progress(len(outcomes), sum(shares.values()))
    return Report(f"{listed.name} {listed.version}", used, not why, list(why), films, outcomes)


def _shares(rows: dict[str, int], count: int) -> dict[str, int]:
    """How many rows of each subset are made again: equal parts, as far as a subset has them."""
    shares = dict.fromkeys(rows, 0)
    left = min(count, sum(rows.values()))
    while left:
        for name in sorted(rows, key=lambda name: shares[name]):
            if left and shares[name] < rows[name]:
                shares[name] += 1
                left -= 1
    return {name: share for name, share in shares.items() if share}


def _job(folder: Path, listed: manifest.Manifest, name: str, root: Path | None, device: str) -> _Job:
    """Check the files of a subset, then make its plan again from recipe, weights and films."""
    subset = listed.subsets[name]
    recipe = _recipe(folder, subset)
    settings = recipe.release
    if settings is None or settings.subset != name:
        raise CorruptRelease(
            f"the recipe of {name!r} in {folder} makes another subset",
            found=repr(settings.subset if settings else None),
            expected=repr(name),
            hint="fetch the release again",
        )
    # Before anything is drawn from the numbers that the manifest claims.
    files = shards.of(listed, name)
    for file in files:
        _check(folder, file)
    weights = _weights(folder, listed, name)
    try:
        maker = maker_of(recipe, root, weights, device)
    except (ConfigError, WeightsError) as error:
        raise CorruptRelease(
            f"the recipe of {name!r} in {folder} does not go with its weights",
            found=str(error),
            expected="a recipe and weights that make the release",
            hint="fetch the release again",
        ) from error
    counts = [file.rows or 0 for file in files]
    if sum(counts) != len(maker.rows) or subset.rows != len(maker.rows):
        raise CorruptRelease(
            f"{name!r} in {folder} has another number of rows than its recipe makes",
            found=f"{sum(counts)} rows, {subset.rows} by the manifest",
            expected=str(len(maker.rows)),
            hint="fetch the release again",
        )
    agree = {source: maker.sources.get(source) == known for source, known in subset.sources.items()}
    offsets = [sum(counts[:number]) for number in range(len(counts))]
    unlike = _unlike(subset, maker)
    return _Job(folder, name, files, offsets, recipe, settings, maker, agree, unlike)


def _recipe(folder: Path, subset: manifest.Subset) -> Recipe:
    """The recipe in the manifest, as its family's model. Raises `CorruptRelease`, `UnknownName`."""
    model: type[Recipe] = family(str(subset.recipe.get("family"))).Recipe
    try:
        return model.model_validate(subset.recipe)
    except ValidationError as error:
        what = f"a recipe in {folder / manifest.NAME} cannot be used"
        hint = "take the version of the code that the manifest names"
        raise invalid(CorruptRelease, what, error, model, hint) from error


def _weights(folder: Path, listed: manifest.Manifest, name: str) -> Path | None:
    """The weights of a subset, once they and their card are known to be those of the manifest.

    Raises `CorruptRelease`.
    """
    subset = listed.subsets[name]
    verification.trained_on(folder, listed, name)
    if subset.weights is None:
        return None
    _check(folder, next(file for file in listed.files if file.path == subset.weights))
    return folder / subset.weights


def _check(folder: Path, file: manifest.File) -> None:
    """Raise `CorruptRelease` unless every byte of a file is as the manifest says."""
    problem = verification.difference(folder, file)
    if problem:
        raise CorruptRelease(
            f"{folder / file.path} is not as released",
            found=problem.found,
            expected=problem.expected,
            hint="fetch the release again",
        )


def _unlike(subset: manifest.Subset, maker: Maker) -> list[str]:
    """How this machine differs from that of the release, as far as pixels may depend on it."""
    same = subset.device == maker.device
    differences = [] if same else [f"made on {subset.device or 'an unknown device'}"]
    for name in maker.libraries:
        installed, recorded = importlib.metadata.version(name), subset.libraries.get(name)
        differences += [] if installed == recorded else [f"{name} {recorded} then, {installed} now"]
    return differences


def _draw(job: _Job, share: int, random: np.random.Generator) -> list[Batch]:
    """Batches as they were made, one from each of equal stretches, and more where these have too few rows."""
    size = job.settings.batch_size
    places = [
        (number, start) for number, file in enumerate(job.files) for start in range(0, file.rows or 0, size)
    ]
    needed = min(len(places), -(-share // size))
    edges = np.linspace(0, len(places), needed + 1).astype(int)
    chosen = [int(random.integers(low, high)) for low, high in pairwise(edges)]
    taken = set(chosen)
    rest = [place for place in random.permutation(len(places)).tolist() if place not in taken]
    batches: list[Batch] = []
    left = share
    # A shard's last batch may be short, so that more are needed.
    for place in [*chosen, *rest]:
        if not left:
            break
        number, start = places[place]
        records = _read(job, job.files[number], start)
        batches.append(Batch(job.offsets[number] + start, records, min(left, len(records))))
        left -= batches[-1].count
    return batches


def _read(job: _Job, file: manifest.File, start: int) -> list[dict[str, Any]]:
    """The rows of the batch that begins at row `start` of a shard."""
    stop = min(start + job.settings.batch_size, file.rows or 0)
    expected = schema.synthetic_columns(job.settings.dataset, job.name)
    with shards.opened(job.folder, file) as shard:
        if tuple(shard.schema_arrow.names) != expected:
            raise CorruptRelease(
                f"{job.folder / file.path} has other columns than a release",
                found=", ".join(shard.schema_arrow.names)[:200],
                expected=", ".join(expected),
                hint="fetch the release again",
            )
        before, records = 0, []
        for group in range(shard.num_row_groups):
            count = shard.metadata.row_group(group).num_rows
            if before < stop and before + count > start:
                table = shard.read_row_group(group)
                first = max(start - before, 0)
                records += table.slice(first, stop - before - first).to_pylist()
            before += count
    return records


def _compare(job: _Job, batch: Batch) -> list[RowComparison]:
    """Make a batch as its rows say, and compare each row with the plan.

    Where the films at hand are not those of the release, the plan cannot be made again; rows are then
    compared with what they say themselves.
    """
    maker, exact = job.maker, not job.unlike
    rows = [maker.read_row(record, batch.first + i) for i, record in enumerate(batch.records)]
    planned = rows if not all(job.agree.values()) else maker.rows[batch.first : batch.first + len(rows)]
    outcomes: list[RowComparison] = []
    with maker.make(rows) as made:
        cells = [pair for part in made for pair in zip(part.images, part.columns, strict=True)]
    for record, row, (image, columns) in zip(batch.records, planned, cells, strict=True):
        if len(outcomes) == batch.count:
            break
        encoded = encode_image(image, job.settings.codec, job.settings.quality)
        expected = {**build.record(job.recipe, maker, row, encoded), **columns}
        outcomes.append(compare(record, expected, job.name, exact))
    return outcomes
