"""Shards are stored so that a new version shares what did not change, and readers see the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from covid_synth_data import schema
from covid_synth_data.release import writing


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of pairs, each with an image and a mask of its own."""
    random = np.random.default_rng(4)

    def image() -> dict[str, Any]:
        return {"bytes": random.bytes(3000), "path": None}

    cells = dict.fromkeys(schema.PAIR_COLUMNS)
    return [
        {**cells, "image": image(), "mask": image(), "image_id": f"made/{row}", "label": 0}
        for row in range(count)
    ]


def test_images_are_stored_as_they_are_and_other_columns_are_compressed(tmp_path: Path) -> None:
    written = rows(300)
    writing.write(tmp_path / "a.parquet", written, lambda done: None, schema.PAIR_COLUMNS)
    shard = pq.ParquetFile(tmp_path / "a.parquet")
    assert shard.metadata.num_row_groups == 2
    group = shard.metadata.row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    for name in ("image.bytes", "mask.bytes"):
        assert columns[name].compression == "UNCOMPRESSED"
        assert not columns[name].has_dictionary_page
    assert columns["image_id"].compression == "SNAPPY"
    assert columns["image_id"].has_dictionary_page
    assert all(column.has_offset_index for column in columns.values())
    read = shard.read().to_pylist()
    assert [row["image_id"] for row in read] == [row["image_id"] for row in written]
    assert [row["mask"]["bytes"] for row in read] == [row["mask"]["bytes"] for row in written]


def test_images_after_a_removed_row_keep_their_bytes_in_the_file(tmp_path: Path) -> None:
    written = rows(200)
    for name, part in (("old", written), ("new", written[3:])):
        writing.write(tmp_path / name, part, lambda done: None, schema.PAIR_COLUMNS)
    # A stretch of images with their lengths between them, as chunks of the Hub's store have it.
    old, new = ((tmp_path / name).read_bytes() for name in ("old", "new"))
    start, end = old.index(written[10]["image"]["bytes"]), old.index(written[100]["image"]["bytes"])
    assert end - start == 90 * 3004
    assert old[start:end] in new
