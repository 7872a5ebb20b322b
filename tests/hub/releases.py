"""Releases made in milliseconds, with everything that a real one has but real pictures."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from covid_synth_data import catalog, schema
from covid_synth_data.release import manifest

NAME = "covid-synth-cxr"


def picture(seed: int, side: int) -> bytes:
    """Noise as PNG, another for each seed."""
    buffer = io.BytesIO()
    values = np.random.default_rng([5, seed]).integers(0, 256, (side, side), dtype=np.uint8)
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def rows(subset: str, start: int, stop: int, seed: int, side: int) -> pa.Table:
    """Rows start to stop of a subset, in the columns of a release."""
    features = schema.features(schema.SYNTHETIC_COLUMNS)
    made = [
        {
            "image": {"bytes": picture(1000 * seed + i, side), "path": f"{subset}-{i:05d}.png"},
            "label": schema.COVID,
            "image_id": f"{subset}-{i:05d}",
            "subset": subset,
            "generator": "cyclegan-unet.nc",
            "seed": seed,
            "source_dataset": "phantom",
            "source_id": f"film-{i}",
            "source_class": "normal",
            "source_license": "CC0 1.0",
            "variant": "full",
        }
        for i in range(start, stop)
    ]
    return pa.Table.from_pylist(made, schema=features.arrow_schema)


def build(
    folder: Path,
    version: str = "1.0.0",
    subsets: dict[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    side: int = 12,
    licence: str = "CC0 1.0",
) -> Path:
    """A release with shards of so many rows for each subset (default: gnc of 5, 5 and 3 rows)."""
    parts = subsets or {"gnc": (5, 5, 3)}
    files: list[manifest.File] = []

    def add(path: str, content: bytes, subset: str | None = None, count: int | None = None) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(manifest.File(path=path, sha256=digest, size=len(content), rows=count, subset=subset))

    for subset, counts in parts.items():
        start = 0
        for number, count in enumerate(counts):
            buffer = io.BytesIO()
            pq.write_table(rows(subset, start, start + count, seed, side), buffer)
            name = f"cyclegan/{subset}-{number:05d}-of-{len(counts):05d}.parquet"
            add(name, buffer.getvalue(), subset, count)
            start += count
    weights = b"weights of " + version.encode() + b"\0" * 40
    for subset in parts:  # each subset has weights and a card of its own, which says what it was trained on
        trained_on = {"films": [f"phantom/{subset}"], "patients": [f"phantom:{subset}"]}
        card = {
            "name": f"cyclegan-unet.{subset}",
            "architecture": "cyclegan-unet",
            "options": {},
            "size": 32,
            "licences": [],
            "package_version": "0",
            "sha256": hashlib.sha256(weights).hexdigest(),
            "training": {"learned_from": trained_on},
        }
        add(f"weights/{subset}.safetensors", weights)
        add(f"weights/{subset}.json", json.dumps(card).encode())
    add("weights/recipe.toml", b"seed = 0\n")  # the same in every version
    add("README.md", _card(set(parts), version).encode())
    lineage = {
        subset: manifest.Subset(
            rows=sum(counts),
            generator="cyclegan-unet.nc",
            weights=f"weights/{subset}.safetensors",
            recipe={"seed": seed},
            sources={"phantom": manifest.SourceFilms(films=3, sha256="0" * 64)},
            learned_from=manifest.Learned(films=[f"phantom/{subset}"], patients=[f"phantom:{subset}"]),
            licences=[licence],
            code_version="0.1.0",
            git="",
            libraries={},
        )
        for subset, counts in parts.items()
    }
    manifest.write(
        folder, manifest.Manifest(format=1, name=NAME, version=version, subsets=lineage, files=files)
    )
    return folder


def _card(subsets: set[str], version: str) -> str:
    """A card whose YAML gives `datasets` the configs."""
    configs = [
        {
            "config_name": entry.config,
            "data_files": [{"split": "train", "path": [f"cyclegan/{s}-*.parquet" for s in entry.subsets]}],
        }
        for entry in catalog.DATASETS
        if entry.dataset == NAME and set(entry.subsets) <= subsets
    ]
    return f"---\n{yaml.safe_dump({'license': 'cc0-1.0', 'configs': configs})}---\n\n# {version}\n"


def content(folder: Path) -> dict[str, str]:
    """Path to sha256 of everything in a release folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
