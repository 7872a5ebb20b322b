"""Whether imported images are copies of real films, known by what they look like.

A benchmark that trains on a copy of a test film measures memory. An image that states its real film
(`source_dataset`, `source_id`) is a translation of that film, and may look like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from covid_synth_data.errors import LeakError
from covid_synth_data.files.pixels import bytes_of
from covid_synth_data.metrics import approximate
from covid_synth_data.sources import list_sources, read_source, source_status
from covid_synth_data.splits import duplicates

NOT_FILMS: Final = ("covid-ct", "phantom", "ct-phantom")
"""Sources that hold no chest films on disk."""

NAMED: Final = 5
"""Copies that the error names one by one."""


def check(shards: Sequence[Path], root: Path, search: str = approximate.EXACT) -> None:
    """Raise `LeakError` naming images of the shards that look like a real film below `root`.

    `search` is "exact" or "approximate", which may miss some.
    """
    names, paths = _real_films(root)
    ids, contents, stated = _images(shards)
    films = duplicates.fingerprints([*paths, *ids], [*([None] * len(paths)), *contents])
    copies = []
    for first, second in duplicates.between(films, len(paths), duplicates.SAME_FILM, search=search).tolist():
        image = second - len(paths)
        if stated[image] != names[first]:
            copies.append(f"{ids[image]} = {names[first]}")
    copies = sorted(set(copies))
    if copies:
        raise LeakError(
            "images are copies of real films",
            found=f"{len(copies)}, e.g. {copies[0]}",
            expected="none",
            hint="remove them; for translations of films, state source_dataset and source_id of each",
            lines=copies[:NAMED],
        )


def _real_films(root: Path) -> tuple[list[str], list[str]]:
    """The `image_id` and the file of every film of every source that `root` has."""
    names: list[str] = []
    paths: list[str] = []
    for info in list_sources():
        if info.name in NOT_FILMS or source_status(info.name, root).folder is None:
            continue
        frame = read_source(info.name, root)
        frame = frame[frame["path"] != ""]
        names += [str(name) for name in frame["image_id"]]
        paths += [str(path) for path in frame["path"]]
    return names, paths


def _images(shards: Sequence[Path]) -> tuple[list[str], list[bytes], list[str]]:
    """Of each image its id, its encoded bytes, and the `image_id` of the film it was made from, or ""."""
    import pyarrow.parquet as pq

    ids: list[str] = []
    contents: list[bytes] = []
    stated: list[str] = []
    for path in shards:
        table = pq.read_table(path, columns=["image", "image_id", "source_dataset", "source_id"])
        ids += table["image_id"].to_pylist()
        cells = zip(table["image"].to_pylist(), table["image_id"].to_pylist(), strict=True)
        contents += [bytes_of(cell, name) for cell, name in cells]
        pairs = zip(table["source_dataset"].to_pylist(), table["source_id"].to_pylist(), strict=True)
        stated += [f"{dataset}/{name}" if dataset and name else "" for dataset, name in pairs]
    return ids, contents, stated
