"""The cache of 40,000 films of 256 x 256: bytes on disk, and memory while it is filled and read.

    python benchmarks/performance/cache.py [--films 40000] [--epochs 1] [--folder DIR]

A process of its own fills a store as the benchmark does (JPEG films decoded in two threads, a shard at a
time), another opens it and goes through it in random batches of 64. Both record, after each shard or each 512
films, the anonymous resident memory: what the process itself holds, without the pages of the mapped files,
which the system may drop whenever it likes. Flat is when it does not grow after a tenth of the way. The store
lies in a temporary folder (below `--folder`), which needs 2.7 GB and is removed.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import write
from PIL import Image

from covid_synth_data.files.pixels import load_grey
from covid_synth_data.files.store import SHARD_ROWS, Store, content_key

SIDE, BATCH, DRAWINGS = 256, 64, 32
TARGETS = {"disk_gb": 2.7, "growth_mib": 30.0}


class Films:
    """As many different JPEG files as are asked for; they show `DRAWINGS` different pictures."""

    def __init__(self) -> None:
        self.pictures = []
        for seed in range(DRAWINGS):
            coarse = np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG")
            self.pictures.append(file.getvalue())

    def cell(self, number: int) -> dict[str, Any]:
        """The film `number`: behind the end of the picture, where no decoder looks, stands the number."""
        return {"bytes": self.pictures[number % DRAWINGS] + number.to_bytes(8), "path": None}


def memory() -> dict[str, float]:
    """Resident MiB of this process now: its own and that of mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {"anonymous": int(fields["RssAnon"]) / 1024, "mapped_files": int(fields["RssFile"]) / 1024}


class Course:
    """Memory at each step of a process."""

    def __init__(self) -> None:
        self.began, self.start, self.steps = time.perf_counter(), memory(), []

    def note(self, *_done: object) -> None:
        self.steps.append(memory())

    def result(self) -> dict[str, Any]:
        own = [step["anonymous"] for step in self.steps]
        tenth = own[: max(1, len(own) // 10)]
        return {
            "seconds": time.perf_counter() - self.began,
            "anonymous_mib": {
                "before": self.start["anonymous"],
                "after_a_tenth": tenth[-1],
                "peak": max(own),
                "end": own[-1],
            },
            "growth_mib_after_a_tenth": max(own) - max(tenth),
            "mapped_files_mib_at_the_end": self.steps[-1]["mapped_files"],
        }


def fill(folder: str, count: int) -> dict[str, Any]:
    """Decode all films into the store."""
    films = Films()
    numbers = {content_key(films.cell(number)): number for number in range(count)}
    course, store = Course(), Store(Path(folder), (SIDE, SIDE), np.uint8)
    with ThreadPoolExecutor(2) as threads:
        store.add(
            list(numbers),
            lambda part: np.stack(
                list(threads.map(lambda key: load_grey(films.cell(numbers[key]), SIDE), part))
            ),
            course.note,
        )
    return course.result()


def read(folder: str, count: int, epochs: int) -> dict[str, Any]:
    """Epochs of random batches of the whole store."""
    films = Films()
    keys = [content_key(films.cell(number)) for number in range(count)]
    course, store = Course(), Store(Path(folder), (SIDE, SIDE), np.uint8)
    opened = time.perf_counter() - course.began
    places, random, total = store.places(keys), np.random.default_rng(0), 0
    for _ in range(epochs):
        order = random.permutation(count)
        for start in range(0, count, BATCH):
            total += len(store.take(places[order[start : start + BATCH]]))
            if start % SHARD_ROWS == 0:
                course.note()
    found = course.result()
    return {
        "seconds_to_open": opened,
        "films_per_second": total / (found["seconds"] - opened),
        "same_pixels": bool(np.array_equal(store.rows(keys[:1])[0], load_grey(films.cell(0), SIDE))),
        **found,
    }


def on_disk(folder: Path) -> dict[str, int]:
    """Bytes in the files of a folder, and bytes that the disk gives them."""
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return {
        "files": len(stats),
        "bytes": sum(one.st_size for one in stats),
        "allocated": 512 * sum(one.st_blocks for one in stats),
    }


def main() -> None:
    """Measure and write results/cache.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        found = []
        for job in ((fill, folder, asked.films), (read, folder, asked.films, asked.epochs)):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                found.append(fresh.submit(*job).result())
        disk = on_disk(Path(folder))
    most = max(part["growth_mib_after_a_tenth"] for part in found)
    write(
        "cache",
        {
            "command": "python benchmarks/performance/cache.py"
            f" --films {asked.films} --epochs {asked.epochs}",
            "films": asked.films,
            "side": SIDE,
            "disk": disk,
            "bytes_per_film": disk["bytes"] / asked.films,
            "filling": found[0],
            "reading": found[1],
            "targets": TARGETS,
            "met": max(disk["bytes"], disk["allocated"]) <= TARGETS["disk_gb"] * 1e9
            and most <= TARGETS["growth_mib"]
            and found[1]["same_pixels"],
        },
    )


if __name__ == "__main__":
    main()
