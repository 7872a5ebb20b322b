"""From films and trained weights to a folder that the Hub and `datasets.load_dataset` take as it is.

Shards are made in a hidden folder beside the release, one at a time, and moved into it when all are there:
a release never holds half a subset. Batches never straddle shards and depend on the plan alone, so a
release that was killed and continued has the same bytes as one that was not.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import platform
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from covid_synth_data import __version__, manifest, schema
from covid_synth_data.atomic import copy_file, output_errors, replacing, write_text
from covid_synth_data.errors import CorruptRelease, ReleaseError, VersionExists, WeightsError
from covid_synth_data.generators.trained import Translator, load_file
from covid_synth_data.pixels import Grey
from generation import cards, licensing, plan
from generation.recipe import Recipe, Release

Progress = Callable[[int, int], None]

ROW_GROUP: Final = 256
"""Rows a reader fetches together when it streams."""

WORKERS: Final = 2
AHEAD: Final = 2
"""Batches decoded before the network asks for them."""


@dataclass(frozen=True)
class Job:
    """All that the bytes of a subset depend on."""

    recipe: Recipe
    release: Release
    films: Any
    rows: list[plan.Row]
    translator: Translator
    weights: Path
    sources: dict[str, manifest.SourceFilms]

    def digest(self) -> str:
        """sha256 over recipe, weights and source films: what a continued release must agree on."""
        content = {
            "recipe": self.recipe.model_dump(),
            "weights": self.translator.card.sha256,
            "sources": {name: films.model_dump() for name, films in self.sources.items()},
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
    translator = load_file(weights, device)
    if "learned_from" not in translator.card.training:
        raise WeightsError(
            f"the card of {weights} does not say whom the generator learned from",
            found="no training.learned_from",
            expected="a card of this version",
            hint="run the training's command again, it rewrites the card",
        )  # fmt: skip
    films = plan.source_films(recipe, root)
    licensing.check({*films["source_license"], *translator.card.licences}, licences)
    rows = plan.rows(settings, len(films), recipe.seed)
    job = Job(recipe, settings, films, rows, translator, weights, plan.fingerprints(films))
    work = out.parent / f".{out.name}-{settings.subset}.work"
    before = _existing(out, job)
    if before is not None and settings.subset in before.subsets:
        shutil.rmtree(work, ignore_errors=True)
        return out
    _open_work(work, out, job)
    shards = [rows[i : i + settings.shard_rows] for i in range(0, len(rows), settings.shard_rows)]
    names = [f"{settings.subset}-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
    done = 0
    for name, part in zip(names, shards, strict=True):
        if not _finished(out, settings, work, name):
            start = done

            def tick(count: int, start: int = start) -> None:
                progress(start + count, len(rows))

            _write_shard(work / name, job, part, tick)
        done += len(part)
        progress(done, len(rows))
    translated = {films["image_id"][row.source] for row in rows}
    learned = translator.card.training["learned_from"]["films"]
    owed = cards.credits_for(translated, learned, root)
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
            f"{out} holds another release", found=f"{before.name} {before.version}",
            expected=" ".join(wanted),
            hint="choose another folder with --out; a version never changes",
        )  # fmt: skip
    subset = before.subsets.get(job.release.subset)
    if subset is not None:
        same = (
            subset.recipe == job.recipe.model_dump()
            and {name: films.sha256 for name, films in subset.sources.items()}
            == {name: films.sha256 for name, films in job.sources.items()}
            and any(f.path == subset.weights and f.sha256 == job.translator.card.sha256 for f in before.files)
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
                f"{out} has shards that are in no manifest", found=str(strays[0]),
                expected=f"no {job.release.subset}-*.parquet yet",
                hint="remove them, or choose another --out",
            )  # fmt: skip
        with output_errors(work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        write_text(mark, job.digest())


def _finished(out: Path, settings: Release, work: Path, name: str) -> bool:
    """Whether a shard is there already; moved shards count, a stop may come between two moves."""
    return (work / name).is_file() or (out / settings.folder / name).is_file()


def _write_shard(path: Path, job: Job, rows: list[plan.Row], tick: Callable[[int], None]) -> None:
    """Make the images of `rows` and write them as one parquet file, atomically."""
    features = schema.features(schema.SYNTHETIC_COLUMNS)
    with (
        replacing(path) as temporary,
        contextlib.closing(_images(job, rows)) as images,
        pq.ParquetWriter(temporary, features.arrow_schema, compression="snappy") as writer,
    ):
        waiting: list[dict[str, Any]] = []
        for done, (row, encoded) in enumerate(images, 1):
            waiting.append(_record(job, row, encoded))
            if len(waiting) == ROW_GROUP or done == len(rows):
                writer.write_table(pa.Table.from_pylist(waiting, schema=features.arrow_schema))
                waiting.clear()
            tick(done)


def _images(job: Job, rows: list[plan.Row]) -> Generator[tuple[plan.Row, bytes]]:
    """Rows with their encoded images, in order. Decoding, the network and encoding overlap.

    Threads suffice: Pillow and the network release the interpreter while they work.
    """
    size, settings = job.recipe.data.size, job.release
    cells = job.films["image"]
    batches = [rows[i : i + settings.batch_size] for i in range(0, len(rows), settings.batch_size)]
    with ThreadPoolExecutor(WORKERS) as pool:

        def decode(row: plan.Row) -> Grey:
            return plan.cut(cells[row.source], row.crop, size)

        def encode(film: Grey) -> bytes:
            return encode_image(film, settings.codec, settings.quality)

        try:
            decoding: deque[list[Future[Grey]]] = deque()
            encoding: deque[tuple[list[plan.Row], list[Future[bytes]]]] = deque()
            for i, batch in enumerate(batches):
                while len(decoding) < AHEAD + 1 and i + len(decoding) < len(batches):
                    decoding.append([pool.submit(decode, row) for row in batches[i + len(decoding)]])
                films = np.stack([future.result() for future in decoding.popleft()])
                made = job.translator.forward(films)
                if len(encoding) == AHEAD:
                    yield from _collect(*encoding.popleft())
                encoding.append((batch, [pool.submit(encode, film) for film in made.cpu().numpy()]))
            for pending in encoding:
                yield from _collect(*pending)
        finally:
            pool.shutdown(cancel_futures=True)


def _collect(rows: list[plan.Row], encoded: list[Future[bytes]]) -> Iterator[tuple[plan.Row, bytes]]:
    for row, future in zip(rows, encoded, strict=True):
        yield row, future.result()


def encode_image(film: Grey, codec: str, quality: int) -> bytes:
    """A grey film (height, width) as the bytes of a png, jpeg or webp file; `quality` is for the last two."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {
        "png": {"compress_level": 6},
        "jpeg": {"quality": quality, "optimize": True},
        "webp": {"quality": quality, "method": 4},
    }[codec]
    Image.fromarray(film).save(buffer, codec.upper(), **options)
    return buffer.getvalue()


def _record(job: Job, row: plan.Row, encoded: bytes) -> dict[str, Any]:
    """The row as `schema.SYNTHETIC_COLUMNS` has it."""
    source = job.films[row.source]
    image_id = f"{job.release.subset}-{row.index:05d}"
    return {
        "image": {"bytes": encoded, "path": f"{image_id}.{job.release.codec}"},
        "label": schema.LABELS.index(job.recipe.data.target_class),
        "image_id": image_id,
        "subset": job.release.subset,
        "generator": job.translator.card.name,
        "seed": job.recipe.seed,
        "source_dataset": source["source_dataset"],
        "source_id": source["source_id"],
        "source_class": source["source_class"],
        "source_license": source["source_license"],
        "variant": row.variant,
    }


def _publish(
    out: Path,
    work: Path,
    names: list[str],
    job: Job,
    before: manifest.Manifest | None,
    owed: list[cards.Credit],
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
    files = [_entry(out, weights), _entry(out, card_of_weights)]
    files += [_entry(out, f"{settings.folder}/{name}", settings.subset) for name in names]
    new = {file.path for file in files}
    kept = [file for file in (before.files if before else []) if file.path not in new]
    subsets = {**(before.subsets if before else {}), settings.subset: _lineage(job, weights)}
    listed = manifest.Manifest(
        format=1, name=settings.dataset, version=settings.version, subsets=subsets, files=[*kept, *files],
        restricted=licensing.restricted(name for subset in subsets.values() for name in subset.licences),
    )  # fmt: skip
    manifest.write(out, cards.complete(out, listed, owed))
    shutil.rmtree(work, ignore_errors=True)


def _entry(out: Path, path: str, subset: str | None = None) -> manifest.File:
    with (out / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        rows = pq.read_metadata(out / path).num_rows if subset else None
    except pa.ArrowException as error:
        raise CorruptRelease(
            f"{out / path} is damaged", found=str(error), hint="delete it and run again"
        ) from error
    return manifest.File(path=path, sha256=digest, size=(out / path).stat().st_size, rows=rows, subset=subset)


def _lineage(job: Job, weights: str) -> manifest.Subset:
    trained_on = job.translator.card.licences
    return manifest.Subset(
        rows=len(job.rows),
        generator=job.translator.card.name,
        weights=weights,
        recipe=job.recipe.model_dump(),
        sources=job.sources,
        learned_from=manifest.Learned.model_validate(job.translator.card.training["learned_from"]),
        licences=sorted({*job.films["source_license"], *trained_on}),
        code_version=__version__,
        git=_git_commit(),
        device=device_kind(job.translator.device),
        libraries={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "pillow", "pyarrow", "datasets")},
        },
    )


def device_kind(device: torch.device) -> str:
    """What decides how a network rounds: the GPU, or the processor's instructions."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _git_commit() -> str:
    """The commit of the checkout, "-dirty" where it was changed, "" outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
