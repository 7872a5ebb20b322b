"""The parquet shards of a release, read in batches after a look at what they claim to be.

What is here reads a shard without `datasets` and without decoding a picture, in memory that does not
depend on the number of rows. Whatever a shard promises is checked against the manifest first: where it
lies, its size, its rows, the columns it must have, and how large its pages unpack.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.release import manifest

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

NEEDED: Final = ("image", "image_id", "subset")
"""Columns that a shard of any version has."""

MAX_UNPACKED: Final = 2 * 2**30
"""Bytes that a row group may unpack to. Ours have 256 images, some 10 MB."""

MAX_RATIO: Final = 200
"""How much a row group above a few megabytes may shrink by compression; images hardly shrink at all."""

BUFFER: Final = 2**16
"""Bytes read at a time."""

_SMALL: Final = 8 * 2**20


def of(listed: manifest.Manifest, subset: str) -> list[manifest.File]:
    """The shards of a subset, in the order of its rows."""
    return sorted((file for file in listed.files if file.subset == subset), key=lambda file: file.path)


@contextlib.contextmanager
def opened(folder: Path, file: manifest.File) -> Iterator[pq.ParquetFile]:
    """The shard as a `ParquetFile`. Raises `CorruptRelease` where it is not what the manifest says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / file.path
    if not manifest.is_inside(folder, file.path) or not path.is_file():
        found = "no file" if manifest.is_inside(folder, file.path) else "a symbolic link"
        raise _refused(path, found, "a file of the release")
    if path.stat().st_size != file.size:
        raise _refused(path, f"{path.stat().st_size} bytes", f"{file.size} bytes")
    try:
        with path.open("rb") as handle:  # pyarrow opens no path that is not UTF-8
            # Otherwise the whole file is read ahead.
            shard = pq.ParquetFile(handle, pre_buffer=False, buffer_size=BUFFER)
            problem = unlike_a_shard(shard.metadata, file.rows)
            if problem:
                raise _refused(path, *problem)
            yield shard
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorruptRelease(
            f"{path} cannot be read",
            found=found,
            expected="a parquet file as released",
            hint="fetch the release again, or run covid-synth verify",
        ) from error


def unlike_a_shard(metadata: pq.FileMetaData, rows: int | None) -> tuple[str, str] | None:
    """What a shard's metadata says that it must not, as (found, expected); None where all is well."""
    import pyarrow as pa

    if rows is not None and metadata.num_rows != rows:
        return f"{metadata.num_rows} rows", f"{rows}"
    if metadata.num_rows > manifest.MAX_ROWS:
        return f"{metadata.num_rows} rows", f"at most {manifest.MAX_ROWS}"
    columns = metadata.schema.to_arrow_schema()
    missing = [name for name in NEEDED if name not in columns.names]
    if missing:
        return f"columns {', '.join(columns.names)[:120]}", f"{', '.join(NEEDED)} among them"
    image = columns.field("image").type
    if not pa.types.is_struct(image) or {field.name for field in image} != {"bytes", "path"}:
        return f"the column image of type {str(image)[:80]}", "struct<bytes: binary, path: string>"
    for name in NEEDED[1:]:
        if not pa.types.is_string(columns.field(name).type):
            return f"the column {name} of type {str(columns.field(name).type)[:80]}", "string"
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        packed = sum(group.column(i).total_compressed_size for i in range(group.num_columns))
        unpacked = group.total_byte_size
        if unpacked > MAX_UNPACKED or unpacked > max(_SMALL, MAX_RATIO * packed):
            return f"a row group that unpacks from {packed:,} to {unpacked:,} bytes", "pictures"
    return None


def batches(
    folder: Path, file: manifest.File, columns: Sequence[str] | None = None, size: int = 64
) -> Iterator[pa.RecordBatch]:
    """The rows of a shard, `size` at a time. Raises `CorruptRelease`."""
    with opened(folder, file) as shard:
        yield from shard.iter_batches(batch_size=size, columns=list(columns) if columns else None)


def _refused(path: Path, found: str, expected: str) -> CorruptRelease:
    return CorruptRelease(
        f"{path} is not as released",
        found=found,
        expected=expected,
        hint="fetch the release again, or run covid-synth verify",
    )
