"""Build a release folder, which the Hub and `datasets.load_dataset` read, from a maker of images.

Shards are made in a hidden folder beside the release, one at a time, and moved into it when all are there, so
a release never holds half a subset. Batches never straddle shards and depend on the plan alone, so a release
that was killed and continued has the same bytes as one that was not. One process at a time works in a release
folder (`files.lock`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from covid_synth_data import __version__, machine, schema
from covid_synth_data.errors import ConfigError, ReleaseError, VersionExists
from covid_synth_data.files.atomic import copy_file, output_errors, write_text
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.lock import locked
from covid_synth_data.files.pixels import Grey
from covid_synth_data.release import manifest, writing
from generation.kinds.maker import Maker, Row
from generation.recipe import Recipe, Release
from generation.releasing import documents, licensing

Progress = Callable[[int, int], None]

WORKERS: Final = 2
AHEAD: Final = 2
"""Batches that may be encoded while the network makes the next."""


@dataclass(frozen=True)
class Job:
    """Everything that determines the bytes of a subset."""

    recipe: Recipe
    release: Release
    maker: Maker

    def digest(self) -> str:
        """sha256 over recipe, weights and source films: what a continued release must agree on."""
        content = {
            "recipe": self.recipe.model_dump(),
            "weights": self.maker.card.sha256 if self.maker.card else None,
            "sources": {name: films.model_dump() for name, films in self.maker.sources.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def release(
    recipe: Recipe,
    maker: Maker,
    out: Path,
    root: Path | None,
    progress: Progress,
    licences: str = "permissive",
) -> Path:
    """Make the subset of `recipe` in the release folder `out`; returns `out`.

    `maker` is that of the recipe (`kinds.kind.maker_of`); `root` holds the real sets, which name the authors
    to credit. `licences` "permissive" refuses films whose licence does not allow publishing the result, "any"
    labels the release as restricted where there are such. Other subsets of the folder stay as they are.
    Where `recipe` has a later version than the folder and a subset that the folder lacks, the folder becomes
    that version. Raises `VersionExists` when the folder holds this subset made otherwise, or another version;
    `CorruptRelease` when a file of it is damaged; `ReleaseError` for a licence; `BadImage`; `OutputError`
    also where another process works in the folder.
    """
    job = Job(recipe, table_of(recipe), maker)
    on_weights = maker.card.licences if maker.card else []
    licensing.check({*maker.licences, *on_weights}, licences)
    with locked(out, f"a release of {job.release.subset!r}"):
        _release(job, out, root, progress)
    return out


def table_of(recipe: Recipe) -> Release:
    """The table [release] of a recipe. Raises `ConfigError` where it has none."""
    if recipe.release is None:
        raise ConfigError(
            f"the recipe {recipe.name} has no table [release]",
            found="a recipe for training alone",
            expected="what to make with the weights",
            hint="add the table, see generation/recipes/",
        )
    return recipe.release


def _release(job: Job, out: Path, root: Path | None, progress: Progress) -> None:
    settings, rows = job.release, job.maker.rows
    # What is there already: the whole subset, or shards of an earlier call.
    work = out.parent / f".{out.name}-{settings.subset}.work"
    before = _existing(out, job)
    if before is not None and settings.subset in before.subsets:
        shutil.rmtree(work, ignore_errors=True)
        return
    _open_work(work, out, job)
    # Make the missing shards.
    parts = [rows[i : i + settings.shard_rows] for i in range(0, len(rows), settings.shard_rows)]
    names = [writing.name_of(settings.subset, i, len(parts)) for i in range(len(parts))]
    columns = schema.synthetic_columns(settings.dataset, settings.subset)
    done = 0
    for name, part in zip(names, parts, strict=True):
        if not _finished(out, settings, work, name):
            start = done

            def tick(count: int, start: int = start) -> None:
                progress(start + count, len(rows))

            with contextlib.closing(_records(job, part)) as records:
                writing.write(work / name, records, tick, columns)
        done += len(part)
        progress(done, len(rows))
    # Documents, and the manifest last.
    credits = documents.credits_for(job.maker.used(), job.maker.trained_on.films, root)
    _publish(out, work, names, job, credits)


def _existing(out: Path, job: Job) -> manifest.Manifest | None:
    """The manifest that `out` has; None for a new release. Raises `VersionExists`, `CorruptRelease`."""
    if not (out / manifest.NAME).is_file():
        return None
    before = manifest.read(out)
    identity = (job.release.dataset, job.release.version)
    subset = before.subsets.get(job.release.subset)
    # A subset that is new makes the folder the next version; the others stay in it byte for byte.
    next_version = subset is None and manifest.order(job.release.version) > manifest.order(before.version)
    if before.name != job.release.dataset or not (next_version or before.version == job.release.version):
        raise VersionExists(
            f"{out} holds another release",
            found=f"{before.name} {before.version}",
            expected=" ".join(identity),
            hint="choose another folder with --out; a version never changes",
        )
    if subset is not None:
        same = (
            subset.recipe == job.recipe.model_dump()
            and {name: films.sha256 for name, films in subset.sources.items()}
            == {name: films.sha256 for name, films in job.maker.sources.items()}
            and _weights_of(before, subset) == (job.maker.card.sha256 if job.maker.card else None)
        )
        if not same:
            raise VersionExists(
                f"{out} holds {job.release.subset!r} made from another recipe, weights or films",
                found=f"version {before.version}",
                expected="the same inputs",
                hint="raise release.version in the recipe and choose another folder with --out",
            )
    return before


def _weights_of(listed: manifest.Manifest, subset: manifest.Subset) -> str | None:
    """sha256 of the weights of a subset; None where it has none."""
    return next((file.sha256 for file in listed.files if file.path == subset.weights), None)


def _open_work(work: Path, out: Path, job: Job) -> None:
    """Make the hidden folder, or empty it where it belongs to other inputs.

    Raises `ReleaseError` when `out` has shards of the subset that are in no manifest and not from this job:
    nothing says what they were made from.
    """
    mark = work / "job"
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == job.digest()):
        strays = sorted((out / job.release.folder).glob(f"{job.release.subset}-*.parquet"))
        if strays:
            raise ReleaseError(
                f"{out} has shards that are in no manifest",
                found=str(strays[0]),
                expected=f"no {job.release.subset}-*.parquet yet",
                hint="remove them, or choose another --out",
            )
        with output_errors(work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        write_text(mark, job.digest())


def _finished(out: Path, settings: Release, work: Path, name: str) -> bool:
    """Whether a shard is there already; moved shards count, a stop may come between two moves."""
    return (work / name).is_file() or (out / settings.folder / name).is_file()


def _records(job: Job, rows: Sequence[Row]) -> Generator[dict[str, Any]]:
    """The rows as the columns of the dataset have them, in order. The network and encoding overlap."""
    settings = job.release
    with ThreadPoolExecutor(WORKERS) as pool, job.maker.make(rows) as batches:

        def encode(film: Grey) -> bytes:
            return encode_image(film, settings.codec, settings.quality)

        waiting: deque[list[tuple[Future[bytes], dict[str, Any]]]] = deque()
        left = iter(rows)

        def finished() -> Generator[dict[str, Any]]:
            for future, columns in waiting.popleft():
                yield {**record(job.recipe, job.maker, next(left), future.result()), **columns}

        try:
            for films, columns in batches:
                if len(waiting) == AHEAD:
                    yield from finished()
                futures = [pool.submit(encode, film) for film in films]
                waiting.append(list(zip(futures, columns, strict=True)))
            while waiting:
                yield from finished()
        finally:
            pool.shutdown(cancel_futures=True)


def record(recipe: Recipe, maker: Maker, row: Row, encoded: bytes | None = None) -> dict[str, Any]:
    """The columns of a row that are known before its image is made, with the image that was."""
    settings = table_of(recipe)
    image_id = f"{settings.subset}-{row.index:05d}"
    return {
        "image": {"bytes": encoded, "path": f"{image_id}.{settings.codec}"},
        "label": schema.LABELS.index(settings.label),
        "image_id": image_id,
        "subset": settings.subset,
        "generator": maker.name,
        "seed": recipe.seed,
        **maker.columns(row),
    }


def _publish(out: Path, work: Path, names: list[str], job: Job, credits: list[documents.Credit]) -> None:
    """Move the shards in, then weights and cards; the manifest comes last and makes it a release."""
    settings = job.release
    with output_errors(out):
        (out / settings.folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            if (work / name).is_file():
                (work / name).replace(out / settings.folder / name)
    weights = _copy_weights(out, job.maker.weights)
    files = [writing.entry(out, path) for path in weights]
    files += [writing.entry(out, f"{settings.folder}/{name}", settings.subset) for name in names]
    new = {file.path for file in files}
    # Read again: cards may have been written since this release began.
    before = _existing(out, job)
    kept = [file for file in (before.files if before else []) if file.path not in new]
    lineage = _lineage(job, weights[0] if weights else None)
    subsets = {**(before.subsets if before else {}), settings.subset: lineage}
    listed = manifest.Manifest(
        format=1,
        name=settings.dataset,
        version=settings.version,
        subsets=subsets,
        files=[*kept, *files],
        restricted=licensing.restricted(name for subset in subsets.values() for name in subset.licences),
    )
    manifest.write(out, documents.complete(out, listed, credits))
    shutil.rmtree(work, ignore_errors=True)


def _copy_weights(out: Path, weights: Path | None) -> list[str]:
    """Copy the weights and their card into the release; returns their paths in it."""
    if weights is None:
        return []
    path = f"weights/{weights.name}"
    card = str(Path(path).with_suffix(".json"))
    copy_file(weights, out / path)
    copy_file(weights.with_suffix(".json"), out / card)
    return [path, card]


def _lineage(job: Job, weights: str | None) -> manifest.Subset:
    maker = job.maker
    libraries = dict.fromkeys(("torch", "pillow", "pyarrow", "datasets", *maker.libraries))
    return manifest.Subset(
        rows=len(maker.rows),
        generator=maker.name,
        weights=weights,
        recipe=job.recipe.model_dump(),
        sources=maker.sources,
        learned_from=maker.trained_on,
        licences=sorted({*maker.licences, *(maker.card.licences if maker.card else [])}),
        code_version=__version__,
        git=machine.commit() or "",
        device=maker.device,
        libraries=machine.libraries(list(libraries)),
    )
