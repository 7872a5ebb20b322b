"""Parquet shards of a release: rows with encoded images, written as they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from covid_synth_data import schema
from covid_synth_data.errors import CorruptRelease
from covid_synth_data.files.atomic import replacing
from covid_synth_data.release import manifest

ROW_GROUP: Final = 256
"""Rows a reader fetches together when it streams."""


def name_of(subset: str, index: int, count: int) -> str:
    """The file name of shard `index` of `count`."""
    return f"{subset}-{index:05d}-of-{count:05d}.parquet"


def write(
    path: Path,
    rows: Iterable[dict[str, Any]],
    tick: Callable[[int], None],
    columns: tuple[str, ...] = schema.SYNTHETIC_COLUMNS,
) -> None:
    """Write rows of these columns as one parquet file, atomically. `tick` gets rows done."""
    features = schema.features(columns)
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, features.arrow_schema, **_options(features.arrow_schema)) as writer,
    ):
        waiting: list[dict[str, Any]] = []

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema=features.arrow_schema))
            waiting.clear()

        for done, row in enumerate(rows, 1):
            waiting.append(row)
            if len(waiting) == ROW_GROUP:
                flush()
            tick(done)
        if waiting:
            flush()


def _options(columns: pa.Schema) -> dict[str, Any]:
    """How the columns are stored: encoded images as they are, the others by dictionary and snappy.

    Neither makes an encoded image smaller. Both would change all bytes after a changed row, so that a new
    version shared nearly none with the old one in the Hub's store of chunks.
    """
    structs = [column for column in columns if pa.types.is_struct(column.type)]
    images = [f"{column.name}.bytes" for column in structs]
    others = [column.name for column in columns if column not in structs]
    others += [f"{column.name}.{part.name}" for column in structs for part in column.type]
    others = [name for name in others if name not in images]
    return {
        "compression": dict.fromkeys(images, "none") | dict.fromkeys(others, "snappy"),
        "use_dictionary": others,
        "write_page_index": True,
    }


def entry(folder: Path, path: str, subset: str | None = None) -> manifest.File:
    """The manifest's entry for the file at `path` below `folder`. Raises `CorruptRelease`."""
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        rows = pq.read_metadata(folder / path).num_rows if subset else None
    except pa.ArrowException as error:
        raise CorruptRelease(
            f"{folder / path} is damaged", found=str(error), hint="delete it and run again"
        ) from error
    size = (folder / path).stat().st_size
    return manifest.File(path=path, sha256=digest, size=size, rows=rows, subset=subset)
