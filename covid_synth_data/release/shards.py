"""The parquet shards of a release, read in batches after a look at what they claim to be.

A shard is read without `datasets` and without decoding a picture, in memory that does not depend on the
number of rows. It is compared with the manifest first (`verification.difference`, the quick part).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from covid_synth_data.errors import CorruptRelease
from covid_synth_data.release import manifest
from covid_synth_data.release.verification import difference

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BUFFER: Final = 2**16
"""Bytes read at a time."""


def of(listed: manifest.Manifest, subset: str) -> list[manifest.File]:
    """The shards of a subset, in the order of its rows."""
    return sorted((file for file in listed.files if file.subset == subset), key=lambda file: file.path)


@contextlib.contextmanager
def opened(folder: Path, file: manifest.File) -> Iterator[pq.ParquetFile]:
    """The shard as a `ParquetFile`. Raises `CorruptRelease` where it is not what the manifest says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / file.path
    problem = difference(folder, file, content=False)
    if problem:
        raise CorruptRelease(
            f"{path} is not as released", found=problem.found, expected=problem.expected, hint=problem.hint
        )
    try:
        with path.open("rb") as handle:  # pyarrow opens no path that is not UTF-8
            # Without these options the whole file is read ahead.
            yield pq.ParquetFile(handle, pre_buffer=False, buffer_size=BUFFER)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorruptRelease(
            f"{path} cannot be read",
            found=reason,
            expected="a parquet file as released",
            hint="fetch the release again, or run covid-synth verify",
        ) from error


def batches(
    folder: Path, file: manifest.File, columns: Sequence[str] | None = None, size: int = 64
) -> Iterator[pa.RecordBatch]:
    """The rows of a shard, `size` at a time. Raises `CorruptRelease`."""
    with opened(folder, file) as shard:
        yield from shard.iter_batches(batch_size=size, columns=list(columns) if columns else None)
