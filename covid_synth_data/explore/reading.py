"""The rows of a release and a thumbnail of each, read shard by shard and decoded in threads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.files.pixels import Grey, load_grey, resize
from covid_synth_data.release import manifest, shards

PICTURES: Final = ("image", "mask")

MAX_IMAGES: Final = 40_000
"""A page of this many thumbnails has about 25 MB; browsers of phones do not open much more."""

SIDES: Final = ((2_000, 128), (10_000, 96), (MAX_IMAGES, 64))
"""Up to so many images, thumbnails have so many pixels on a side."""

BATCH: Final = 256

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Rows:
    """Rows of a release.

    `columns` are all columns but the pictures, labels by name. `thumbnails` is uint8 (n, side, side). `masks`
    holds the mask of each row that has one, uint8 (side, side), by the row's number.
    """

    columns: dict[str, list[Any]]
    thumbnails: Grey
    masks: dict[int, Grey]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.thumbnails)


def read(
    folder: Path,
    listed: manifest.Manifest,
    configs: Sequence[str] = (),
    limit: int | None = None,
    tick: Tick = lambda done, total: None,
) -> Rows:
    """The rows of `configs`, or of all, `limit` of them at even distances.

    Raises `UnknownName` for a config, `ConfigError` for no row or too many, `CorruptRelease`, `BadImage`.
    """
    chosen = list(configs) or sorted(listed.subsets)
    for name in chosen:
        if name not in listed.subsets:
            raise UnknownName("config", name, listed.subsets)
    files = [file for name in dict.fromkeys(chosen) for file in shards.of(listed, name)]
    total = sum(file.rows or 0 for file in files)
    count = min(total, limit or total)
    if not 0 < count <= MAX_IMAGES:
        raise ConfigError(
            "the page would be too large to be opened" if count else "nothing to show",
            found=f"{count:,} images",
            expected=f"1 to {MAX_IMAGES:,}",
            hint=f"choose with --config, or add --limit {MAX_IMAGES}" if count else "check the release",
        )
    side = next(side for most, side in SIDES if count <= most)
    taken = np.zeros(total, bool)
    taken[np.linspace(0, total - 1, count).round().astype(int)] = True
    return _decoded(_records(folder, files, taken), count, side, tick)


def _records(folder: Path, files: Sequence[manifest.File], taken: Any) -> Iterator[list[dict[str, Any]]]:
    """The taken rows, some at a time, with pictures as they are stored."""
    start = 0
    for file in files:
        for batch in shards.batches(folder, file, size=BATCH):
            kept = np.flatnonzero(taken[start : start + batch.num_rows])
            start += batch.num_rows
            if len(kept):
                yield [{"subset": file.subset, **row} for row in batch.take(kept).to_pylist()]


def _decoded(batches: Iterator[list[dict[str, Any]]], count: int, side: int, tick: Tick) -> Rows:
    thumbnails = np.empty((count, side, side), np.uint8)
    masks: dict[int, Grey] = {}
    records: list[dict[str, Any]] = []

    def decode(number: int, row: Mapping[str, Any]) -> None:
        name = str(row.get("image_id") or f"row {number}")
        thumbnails[number] = resize(load_grey(row["image"], name=name), side)
        if row.get("mask") is not None:
            mask = Image.fromarray(load_grey(row["mask"], name=f"the mask of {name}"))
            # Values of a label map are names of tissues: they are never mixed.
            masks[number] = np.asarray(mask.resize((side, side), Image.Resampling.NEAREST))

    # Opening an image sets warning filters aside, which threads would put back in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for rows in batches:
            numbers = range(len(records), len(records) + len(rows))
            for _ in pool.map(decode, numbers, rows):
                pass
            records += [{key: row[key] for key in row if key not in PICTURES} for row in rows]
            tick(len(records), count)
    names = list(dict.fromkeys(name for row in records for name in row))
    columns = {name: [row.get(name) for row in records] for name in names}
    columns["label"] = [_label(value) for value in columns.get("label", [None] * count)]
    return Rows(columns, thumbnails, masks)


def _label(value: Any) -> str | None:
    if isinstance(value, int) and 0 <= value < len(schema.LABELS):
        return schema.LABELS[value]
    return None if value is None else str(value)
