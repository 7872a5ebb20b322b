"""From films and trained weights to a folder that the Hub and `datasets.load_dataset` take as it is.

Shards are made in a hidden folder beside the release, one at a time, and moved into it when all are there:
a release never holds half a subset. Batches never straddle shards and depend on the plan alone, so a
release that was killed and continued has the same bytes as one that was not.
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
from covid_synth_data.errors import ReleaseError, VersionExists, WeightsError
from covid_synth_data.files.atomic import copy_file, output_errors, write_text
from covid_synth_data.files.pixels import Grey
from covid_synth_data.generators.trained import Trained, load_file
from covid_synth_data.release import manifest, writing
from generation.recipe import Recipe, Release
from generation.releasing import documents, licensing, makers

Progress = Callable[[int, int], None]

WORKERS: Final = 2
AHEAD: Final = 2
"""Batches that may be encoded while the network makes the next."""


@dataclass(frozen=True)
class Job:
    """All that the bytes of a subset depend on."""

    recipe: Recipe
    release: Release
    generator: Trained
    maker: makers.Maker
    weights: Path

    def digest(self) -> str:
        """sha256 over recipe, weights and source films: what a continued release must agree on."""
        content = {
            "recipe": self.recipe.model_dump(),
            "weights": self.generator.card.sha256,
            "sources": {name: films.model_dump() for name, films in self.maker.sources.items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def release(
    recipe: Recipe,
    root: Path | None,
    weights: Path,
    out: Path,
    device: str,
    progress: Progress,
    licences: str = "permissive",
) -> Path:
    """Make the subset of `recipe` in the release folder `out`; returns `out`.

    `licences` "permissive" refuses films whose licence does not allow publishing the result, "any" labels
    the release as restricted where there are such. Other subsets that the folder already holds stay as they
    are. Raises `VersionExists` when the folder holds this subset made otherwise, or another version;
    `CorruptRelease` when a file of it is damaged; `ReleaseError` for a licence; `BadImage`, `OutputError`,
    `WeightsError`.
    """
    settings = recipe.release
    assert settings is not None  # noqa: S101 - the shell refuses recipes without [release]
    generator = load_file(weights, device)
    if "learned_from" not in generator.card.training:
        raise WeightsError(
            f"the card of {weights} does not say whom the generator learned from",
            found="no training.learned_from",
            expected="a card of this version",
            hint="run the training's command again, it rewrites the card",
        )
    maker = makers.maker(recipe, settings, generator, root)
    licensing.check({*maker.licences, *generator.card.licences}, licences)
    job = Job(recipe, settings, generator, maker, weights)
    rows = maker.rows
    work = out.parent / f".{out.name}-{settings.subset}.work"
    before = _existing(out, job)
    if before is not None and settings.subset in before.subsets:
        shutil.rmtree(work, ignore_errors=True)
        return out
    _open_work(work, out, job)
    parts = [rows[i : i + settings.shard_rows] for i in range(0, len(rows), settings.shard_rows)]
    names = [writing.name_of(settings.subset, i, len(parts)) for i in range(len(parts))]
    done = 0
    for name, part in zip(names, parts, strict=True):
        if not _finished(out, settings, work, name):
            start = done

            def tick(count: int, start: int = start) -> None:
                progress(start + count, len(rows))

            with contextlib.closing(_records(job, part)) as records:
                writing.write(work / name, records, tick, schema.synthetic_columns(settings.dataset))
        done += len(part)
        progress(done, len(rows))
    learned = generator.card.training["learned_from"]["films"]
    owed = documents.credits_for(maker.translated(), learned, root)
    _publish(out, work, names, job, before, owed)
    return out


def _existing(out: Path, job: Job) -> manifest.Manifest | None:
    """The manifest that `out` has; None for a new release. Raises `VersionExists`, `CorruptRelease`."""
    if not (out / manifest.NAME).is_file():
        return None
    before = manifest.read(out)
    wanted = (job.release.dataset, job.release.version)
    if (before.name, before.version) != wanted:
        raise VersionExists(
            f"{out} holds another release",
            found=f"{before.name} {before.version}",
            expected=" ".join(wanted),
            hint="choose another folder with --out; a version never changes",
        )
    subset = before.subsets.get(job.release.subset)
    if subset is not None:
        same = (
            subset.recipe == job.recipe.model_dump()
            and {name: films.sha256 for name, films in subset.sources.items()}
            == {name: films.sha256 for name, films in job.maker.sources.items()}
            and any(f.path == subset.weights and f.sha256 == job.generator.card.sha256 for f in before.files)
        )
        if not same:
            raise VersionExists(
                f"{out} holds {job.release.subset!r} made from another recipe, weights or films",
                found=f"version {before.version}",
                expected="the same inputs",
                hint="raise release.version in the recipe and choose another folder with --out",
            )
    return before


def _open_work(work: Path, out: Path, job: Job) -> None:
    """Make the hidden folder, or empty it where it belongs to other inputs.

    Raises `ReleaseError` when `out` has shards of the subset that are in no manifest and not from this job:
    nothing tells what they were made from.
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


def _records(job: Job, rows: Sequence[makers.Row]) -> Generator[dict[str, Any]]:
    """The rows as the columns of the dataset have them, in order. The network and encoding overlap."""
    settings = job.release
    with ThreadPoolExecutor(WORKERS) as pool, job.maker.images(rows) as batches:

        def encode(film: Grey) -> bytes:
            return writing.encode_image(film, settings.codec, settings.quality)

        try:
            waiting: deque[list[Future[bytes]]] = deque()
            left = iter(rows)
            for films in batches:
                if len(waiting) == AHEAD:
                    yield from (_record(job, next(left), future.result()) for future in waiting.popleft())
                waiting.append([pool.submit(encode, film) for film in films])
            for pending in waiting:
                yield from (_record(job, next(left), future.result()) for future in pending)
        finally:
            pool.shutdown(cancel_futures=True)


def _record(job: Job, row: makers.Row, encoded: bytes) -> dict[str, Any]:
    image_id = f"{job.release.subset}-{row.index:05d}"
    return {
        "image": {"bytes": encoded, "path": f"{image_id}.{job.release.codec}"},
        "label": schema.LABELS.index(job.release.label),
        "image_id": image_id,
        "subset": job.release.subset,
        "generator": job.generator.card.name,
        "seed": job.recipe.seed,
        "variant": row.variant,
        **job.maker.lineage(row),
    }


def _publish(
    out: Path,
    work: Path,
    names: list[str],
    job: Job,
    before: manifest.Manifest | None,
    owed: list[documents.Credit],
) -> None:
    """Move the shards in, then weights and cards; the manifest comes last and makes it a release."""
    settings = job.release
    with output_errors(out):
        (out / settings.folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            if (work / name).is_file():
                (work / name).replace(out / settings.folder / name)
    weights = f"weights/{job.weights.name}"
    copy_file(job.weights, out / weights)
    copy_file(job.weights.with_suffix(".json"), (out / weights).with_suffix(".json"))
    card_of_weights = str(Path(weights).with_suffix(".json"))
    files = [writing.entry(out, weights), writing.entry(out, card_of_weights)]
    files += [writing.entry(out, f"{settings.folder}/{name}", settings.subset) for name in names]
    new = {file.path for file in files}
    kept = [file for file in (before.files if before else []) if file.path not in new]
    subsets = {**(before.subsets if before else {}), settings.subset: _lineage(job, weights)}
    listed = manifest.Manifest(
        format=1,
        name=settings.dataset,
        version=settings.version,
        subsets=subsets,
        files=[*kept, *files],
        restricted=licensing.restricted(name for subset in subsets.values() for name in subset.licences),
    )
    manifest.write(out, documents.complete(out, listed, owed))
    shutil.rmtree(work, ignore_errors=True)


def _lineage(job: Job, weights: str) -> manifest.Subset:
    trained_on = job.generator.card.licences
    return manifest.Subset(
        rows=len(job.maker.rows),
        generator=job.generator.card.name,
        weights=weights,
        recipe=job.recipe.model_dump(),
        sources=job.maker.sources,
        learned_from=manifest.Learned.model_validate(job.generator.card.training["learned_from"]),
        licences=sorted({*job.maker.licences, *trained_on}),
        code_version=__version__,
        git=machine.commit() or "",
        device=machine.device_kind(job.generator.device),
        libraries=machine.libraries(["torch", "pillow", "pyarrow", "datasets"]),
    )
