"""The functions of `covid-synth sample`: images of a trained generator as PNG files, or as a release."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data import schema
from covid_synth_data._version import __version__
from covid_synth_data.errors import ConfigError, VersionExists
from covid_synth_data.files.atomic import copy_file, remove_leftovers, replacing, write_text
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.release import manifest, writing

if TYPE_CHECKING:
    from covid_synth_data.files.pixels import Grey
    from covid_synth_data.generators.trained import Sampler, Translator

Progress = Callable[[int, int], None]
SHARD_ROWS = 2048
_BATCH = 64
"""Films that are held in memory while a folder is translated."""
VERSION = "0.0.0"
"""The version of a set that is not published."""


def write_png(
    sampler: Sampler, n: int, seed: int, label: str | None, out: Path, tick: Progress
) -> list[Path]:
    """Images 0 to `n` of `seed` as `out`/NAME-sSEED-INDEX.png; returns the paths. Raises `OutputError`."""
    from PIL import Image

    paths = []
    for index, film in enumerate(_films(sampler, 0, n, seed, label)):
        path = out / f"{sampler.card.name}-s{seed}-{index:05d}.png"
        with replacing(path) as temporary:
            Image.fromarray(film).save(temporary, format="PNG")
        paths.append(path)
        tick(index + 1, n)
    return paths


def write_release(
    sampler: Sampler, weights: Path, n: int, seed: int, label: str | None, out: Path, tick: Progress
) -> Path:
    """Images 0 to `n` of `seed` as a release folder: parquet shards, the weights, a card, a manifest.

    `covid-synth verify` takes it, and `datasets.load_dataset(out)` too. Shards that are there already are
    kept, so that the same command goes on after a stop. Raises `VersionExists` when `out` holds anything
    else, `ConfigError`, `UnknownName` for a class that is not made, `OutputError`.
    """
    card = sampler.card
    subset = card.architecture
    job = {"weights": card.sha256, "seed": seed, "label": label, "rows": n}
    sampler.blocks(0, n, seed, label)  # what cannot be sampled leaves no mark in the folder
    _claim(out, job)
    count = -(-n // SHARD_ROWS)
    files: list[tuple[str, str | None]] = []
    for shard in range(count):
        start, stop = shard * SHARD_ROWS, min(n, (shard + 1) * SHARD_ROWS)
        path = f"{subset}/{writing.name_of(subset, shard, count)}"
        if not (out / path).is_file():
            rows = _rows(sampler, subset, start, stop, seed, label)
            writing.write(out / path, rows, lambda done, start=start: tick(start + done, n))  # type: ignore[misc]
        files.append((path, subset))
        tick(stop, n)
    copy_file(weights, out / "weights" / weights.name)
    copy_file(weights.with_suffix(".json"), out / "weights" / weights.with_suffix(".json").name)
    write_text(out / "README.md", _readme(sampler, subset, n, seed))
    files += [(f"weights/{weights.name}", None), (f"weights/{weights.stem}.json", None), ("README.md", None)]
    listed = manifest.Manifest(
        format=1,
        name=f"{card.name}-samples",
        version=VERSION,
        subsets={subset: _lineage(sampler, f"weights/{weights.name}", n, job)},
        files=[writing.entry(out, path, owner) for path, owner in files],
    )
    manifest.write(out, listed)
    (out / MARK).unlink(missing_ok=True)
    return out


MARK = ".samples.json"


def _claim(out: Path, job: dict[str, Any]) -> None:
    """Mark `out` as being made by `job`. Raises `VersionExists` unless it is empty or was begun by it."""
    mark = out / MARK
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == job:
        return
    if (out / manifest.NAME).is_file():
        made = next(iter(manifest.read(out).subsets.values())).recipe.get("samples")
        if made == job:
            return
    if out.is_dir():
        remove_leftovers(out)
    if out.is_dir() and any(out.iterdir()):
        raise VersionExists(
            f"{out} is not empty",
            found="other files",
            expected="an empty folder, or one of the same samples",
            hint="choose another folder with -o",
        )
    write_text(mark, json.dumps(job))


def _films(sampler: Sampler, start: int, stop: int, seed: int, label: str | None) -> Iterator[Grey]:
    for block in sampler.blocks(start, stop, seed, label):
        yield from block.cpu().numpy()


def _rows(
    sampler: Sampler, subset: str, start: int, stop: int, seed: int, label: str | None
) -> Iterator[dict[str, Any]]:
    card = sampler.card
    for index, film in enumerate(_films(sampler, start, stop, seed, label), start):
        image_id = f"{subset}-s{seed}-{index:05d}"
        shown = sampler.label_of(index, label)
        yield {
            "image": {"bytes": encode_image(film, "png", 0), "path": f"{image_id}.png"},
            "label": None if shown is None else schema.LABELS.index(shown),
            "image_id": image_id,
            "subset": subset,
            "generator": card.name,
            "seed": seed,
            "source_dataset": None,
            "source_id": None,
            "source_class": None,
            "source_license": " AND ".join(card.licences),
            "variant": f"noise:{index}",
        }


def _lineage(sampler: Sampler, weights: str, n: int, job: dict[str, Any]) -> manifest.Subset:
    card = sampler.card
    trained_on = card.training.get("learned_from", {"films": [], "patients": []})
    return manifest.Subset(
        rows=n,
        generator=card.name,
        weights=weights,
        recipe={**card.training.get("recipe", {}), "samples": job},
        sources={},
        learned_from=manifest.Learned.model_validate(trained_on),
        licences=card.licences,
        code_version=__version__,
        git="",
        libraries={
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "pillow", "pyarrow", "datasets")},
        },
    )


def _readme(sampler: Sampler, subset: str, n: int, seed: int) -> str:
    card = sampler.card
    return (
        f"---\nconfigs:\n- config_name: {subset}\n  default: true\n  data_files:\n  - split: train\n"
        f"    path: {subset}/{subset}-*.parquet\n---\n# {n:,} samples of {card.name}\n\n"
        f"Every image is synthetic: noise of seed {seed} through `{card.name}`, image i from (seed, i) alone."
        f" Not for diagnosis.\n\nLicences of the films that it learned from: {', '.join(card.licences)}.\n"
    )


def translate(
    translator: Translator, films: Path, count: int | None, out: Path, tick: Progress
) -> tuple[int, int]:
    """The first `count` films of the folder `films` (None: all), translated, as PNG files in `out`.

    Returns (films translated, films in the folder). Films are read a batch at a time. `tick` gets (films
    translated, films to translate).

    Raises `ConfigError` when there is nothing to translate, `BadImage`, `OutputError`.
    """
    import numpy as np
    from PIL import Image

    from covid_synth_data.files.pixels import SUFFIXES, load_grey
    from covid_synth_data.sources.disk import list_images
    from covid_synth_data.sources.table import unique_ids

    if not films.is_dir():
        raise ConfigError(
            f"no folder {films}", expected="a folder of PNG, JPEG or DICOM films", hint="check --from"
        )
    if out.resolve() == films.resolve():
        raise ConfigError(
            "the films would be overwritten by their translations",
            found=f"{out} for both",
            expected="another folder",
            hint="change -o",
        )
    names = list_images(films)
    if not names:
        raise ConfigError(
            f"no film in {films}", expected="files ending in " + ", ".join(SUFFIXES), hint="check --from"
        )
    # Over all names, so that a film's output is called the same whatever `count` is.
    outputs = unique_ids(names)[:count]
    for start in range(0, len(outputs), _BATCH):
        part = names[start : min(start + _BATCH, len(outputs))]
        inputs = np.stack([load_grey(films / name, translator.card.size) for name in part])
        for output, film in zip(outputs[start:], translator.translate(inputs), strict=False):
            with replacing(out / f"{output}.png") as temporary:
                Image.fromarray(film).save(temporary, format="PNG")
        tick(start + len(part), len(outputs))
    return len(outputs), len(names)
