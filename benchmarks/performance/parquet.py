"""Parquet for the Hub: what content-defined pages and a page index cost, and what a new version shares.

    python benchmarks/performance/parquet.py SHARD [--rounds 3]

SHARD is a shard of a release. Its rows are written in row groups of 256 with snappy, as the releases up to
covid-synth-cxr 1.1.0 have them, and with each of pyarrow's options `use_content_defined_chunking` and
`write_page_index`. "Images as they are" has encoded images without snappy and without a dictionary, which
cannot make them smaller; with a page index it is what `release.writing` does. Measured are bytes, and
processor seconds to write, to load with `datasets`, to stream with `datasets`, and to read the row groups of
single rows; rounds alternate, and the least counts. Then two new versions are written: one with 5 % of the
images encoded anew, one that lacks the first rows. `shared` is the part of the bytes of the new file that lie
in chunks of the old one. Chunks are cut as the Hub's store cuts them: by a gear hash over 64 bytes, 64 KiB on
average, 8 to 128 KiB. Writes results/parquet.json.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import write
from PIL import Image

from covid_synth_data.release.writing import ROW_GROUP

OPTIONS: dict[str, dict[str, Any]] = {
    "snappy": {},
    "page index": {"write_page_index": True},
    "content-defined pages": {"use_content_defined_chunking": True},
    "both": {"write_page_index": True, "use_content_defined_chunking": True},
    "images as they are": {"plain_images": True},
    "images as they are, page index": {"plain_images": True, "write_page_index": True},
    "images as they are, both": {
        "plain_images": True,
        "write_page_index": True,
        "use_content_defined_chunking": True,
    },
}
IMAGES = ("image.bytes", "mask.bytes")
CHANGED = 0.05
REMOVED = 3
SINGLE_ROWS = 40
LEAST, MOST, MASK = 8 * 1024, 128 * 1024, np.uint64(0xFFFF << 48)


def leaves(schema: pa.Schema) -> list[str]:
    """The names of the columns as parquet has them: a struct has one for each of its fields."""
    return [
        name
        for field in schema
        for name in (
            [f"{field.name}.{part.name}" for part in field.type]
            if pa.types.is_struct(field.type)
            else [field.name]
        )
    ]


def save(table: pa.Table, path: Path, options: dict[str, Any]) -> None:
    """The rows, as the writer of a release puts them."""
    options = dict(options)
    compression: Any = "snappy"
    if options.pop("plain_images", False):
        columns = leaves(table.schema)
        compression = {name: "none" if name in IMAGES else "snappy" for name in columns}
        options["use_dictionary"] = [name for name in columns if name not in IMAGES]
    with pq.ParquetWriter(path, table.schema, compression=compression, **options) as writer:
        for start in range(0, len(table), ROW_GROUP):
            writer.write_table(table.slice(start, ROW_GROUP).combine_chunks())


def altered(table: pa.Table) -> pa.Table:
    """The table with some images encoded anew, at another quality."""
    random = np.random.default_rng(0)
    chosen = set(random.choice(len(table), round(CHANGED * len(table)), replace=False).tolist())
    images = table["image"].to_pylist()
    for row in chosen:
        content = io.BytesIO()
        image = Image.open(io.BytesIO(images[row]["bytes"]))
        image.save(content, image.format, quality=80)
        images[row] = {**images[row], "bytes": content.getvalue()}
    place = table.schema.get_field_index("image")
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(images, field.type))


def chunks(content: bytes) -> dict[bytes, int]:
    """Digest and length of each chunk."""
    gear = np.random.default_rng(64).integers(0, 2**64, 256, dtype=np.uint64)
    marks = gear[np.frombuffer(content, np.uint8)]
    for width in (1, 2, 4, 8, 16, 32):
        # Sums over twice as many bytes; the older half is shifted by its age.
        marks[width:] = marks[width:] + (marks[:-width] << np.uint64(width))
    found, start = {}, 0
    edges = np.flatnonzero((marks & MASK) == 0) + 1
    while start < len(content):
        place = np.searchsorted(edges, start + LEAST)
        end = int(edges[place]) if place < len(edges) else len(content)
        end = min(end, start + MOST, len(content))
        found[hashlib.sha256(content[start:end]).digest()] = end - start
        start = end
    return found


def shared(old: Path, new: Path) -> float:
    """The part of the bytes of `new` that lie in chunks of `old`."""
    known, wanted = chunks(old.read_bytes()), chunks(new.read_bytes())
    return sum(size for digest, size in wanted.items() if digest in known) / sum(wanted.values())


def spent(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def load(path: Path) -> None:
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        rows = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=cache)
        assert len(rows)


def stream(path: Path) -> None:
    import datasets

    rows = datasets.load_dataset("parquet", data_files=str(path), split="train", streaming=True)
    rows = rows.cast_column("image", datasets.Image(decode=False))
    assert sum(1 for _ in rows)


def single(path: Path) -> None:
    """Rows here and there, as the Hub's viewer asks for them."""
    shard = pq.ParquetFile(path)
    groups = shard.metadata.num_row_groups
    for row in range(SINGLE_ROWS):
        shard.read_row_group(row * 7 % groups)


def main() -> None:
    """Measure and write results/parquet.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shard", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    table = pq.read_table(asked.shard)
    versions = {"changed": altered(table), "removed": table.slice(REMOVED)}
    times: dict[str, dict[str, list[float]]] = {name: {} for name in OPTIONS}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        paths = {option: Path(name) / f"{place}.parquet" for place, option in enumerate(OPTIONS)}
        for _ in range(asked.rounds):
            for option, path in paths.items():
                runs = {
                    "write": lambda option=option, path=path: save(table, path, OPTIONS[option]),
                    "load": lambda path=path: load(path),
                    "stream": lambda path=path: stream(path),
                    "single rows": lambda path=path: single(path),
                }
                for what, run in runs.items():
                    times[option].setdefault(what, []).append(spent(run))
        for option, path in paths.items():
            found[option] = {"bytes": path.stat().st_size}
            found[option] |= {f"{what}_cpu_seconds": min(all_) for what, all_ in times[option].items()}
            assert pq.read_table(path).equals(table)
            for version, rows in versions.items():
                new = Path(name) / "new.parquet"
                save(rows, new, OPTIONS[option])
                found[option][f"shared_{version}"] = round(shared(path, new), 4)
    write(
        "parquet",
        {
            "command": f"python benchmarks/performance/parquet.py SHARD --rounds {asked.rounds}",
            "shard": asked.shard.name,
            "sha256": hashlib.sha256(asked.shard.read_bytes()).hexdigest(),
            "rows": len(table),
            "rows_changed": CHANGED,
            "rows_removed": REMOVED,
            "load": os.getloadavg()[0],
            "options": found,
        },
    )


if __name__ == "__main__":
    main()
