"""How time and memory grow with size: releases, mixing, leaks, duplicates, neighbours, leaderboards.

    python benchmarks/performance/growth.py [--step NAME ...]

Rows are made: images of 16 x 16 noise, so that what is measured is the work per row and not the pixels. Each
size runs in a process of its own. Time is that of the processor over all threads, because the wall clock
says more about a busy machine than about growth; memory is the largest resident size beyond that before the
step. The exponent is the slope of a line through the logarithms of size and time: 1 is linear, 2 is every
row against every other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from machine import RESULTS, peak_mib, resident_mib, write

SIDE = 16
RESULT = RESULTS / "growth.json"

KEPT = Path(os.environ.get("COVID_SYNTH_GROWTH", tempfile.gettempdir())) / "covid-synth-growth"
"""Where the step import leaves its releases for the steps that read them."""

TABLES = (10_000, 30_000, 100_000)
LARGE = (10_000, 100_000, 1_000_000)
NAMES = (10_000, 100_000)
LOOKS = (500, 1_000, 2_000)
FEATURES = (2_000, 4_000, 8_000, 20_000)
LOOKS_BY_GRAPH = (2_500, 5_000, 10_000)
FEATURES_BY_GRAPH = (5_000, 10_000, 20_000)
RESULT_FILES = (100, 200, 400, 800)
ONE_BOARD = (400, 800, 1_600)


def images(folder: Path, count: int) -> Path:
    """An npz file of `count` images and their labels."""
    path = folder / "images.npz"
    random = np.random.default_rng([3, count])
    pictures = random.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
    np.savez(path, images=pictures, labels=(random.random(count) < 0.5).astype(np.int64) * 2)
    return path


def rows(count: int, part: str, patients: int) -> Any:
    """A Dataset of `count` rows that refer to no file."""
    import datasets

    cells = {
        "image_id": [f"{part}-{row}" for row in range(count)],
        "patient_id": [f"{part}:{row % patients}" for row in range(count)],
        "label": (np.arange(count) % 8 == 0).astype(int).tolist(),
        "source_dataset": ["made"] * count,
        "source_id": [str(row) for row in range(count)] if part == "train" else ["-"] * count,
    }
    data = datasets.Dataset.from_dict(cells)
    return data.cast_column("label", datasets.ClassLabel(names=["normal", "covid-19"]))


def importing(folder: Path, count: int) -> Callable[[], object]:
    from covid_synth_data.importing import Stated, import_images

    path, release = images(folder, count), KEPT / f"release-{count}"
    return lambda: import_images(path, release, "made", Stated())


def verifying(folder: Path, count: int) -> Callable[[], object]:
    """The release that the step import has left."""
    from covid_synth_data.release.verification import verify

    return lambda: verify(KEPT / f"release-{count}")


def loading(folder: Path, count: int) -> Callable[[], object]:
    """The release that the step import has left; its Arrow copy is made anew."""
    import covid_synth_data as csd

    return lambda: csd.load_dataset("covid-synth-cxr", "made", root=KEPT / f"release-{count}")


def mixing(folder: Path, count: int) -> Callable[[], object]:
    import covid_synth_data as csd

    real, synthetic = rows(count, "real", count // 3), rows(count, "made", count // 3)
    return lambda: csd.mix(real, synthetic, skew=4.0)


def leaks(folder: Path, count: int) -> Callable[[], object]:
    import covid_synth_data as csd

    splits = {part: rows(count // 3, part, count // 9) for part in ("train", "validation", "test")}
    return lambda: csd.find_leaks(splits, pixels=False)


def equal_files(folder: Path, count: int) -> Callable[[], object]:
    from covid_synth_data.splits import duplicates

    random = np.random.default_rng([5])
    digests = [f"{value:016x}" for value in random.integers(0, count, count)]
    return lambda: duplicates.components(count, duplicates.equal_pairs(digests))


def looks(folder: Path, count: int) -> Callable[[], object]:
    from covid_synth_data.splits import copies

    thumbs = np.random.default_rng([7]).integers(0, 256, (count, copies.SIDE, copies.SIDE), dtype=np.uint8)
    return lambda: copies.search(thumbs)


def neighbours(folder: Path, count: int) -> Callable[[], object]:
    from covid_synth_data.metrics.neighbours import nearest

    features = np.random.default_rng([9]).standard_normal((count, 1280)).astype(np.float32)
    return lambda: nearest(features, features, k=5, same=True)


def looks_by_graph(folder: Path, count: int) -> Callable[[], object]:
    """The approximate search, on films as in `looks`: none of them is like another."""
    from covid_synth_data.splits import copies

    thumbs = np.random.default_rng([7]).integers(0, 256, (count, copies.SIDE, copies.SIDE), dtype=np.uint8)
    return lambda: copies.search(thumbs, how="approximate")


def neighbours_by_graph(folder: Path, count: int) -> Callable[[], object]:
    """The approximate search, on features near a surface of 32 dimensions.

    In noise of 1,280 dimensions all rows are equally far, and there is no path to follow to the nearest.
    """
    from covid_synth_data.metrics.approximate import Graph
    from covid_synth_data.metrics.neighbours import nearest

    random = np.random.default_rng([9])
    surface = random.standard_normal((32, 1280), np.float32)
    features = np.empty((count, 1280), np.float32)
    for start in range(0, count, 10_000):
        part = features[start : start + 10_000]
        part[:] = np.tanh(random.standard_normal((len(part), 32), np.float32) @ surface / 6)
        part += 0.05 * random.standard_normal(part.shape, np.float32)
    return lambda: nearest(features, features, k=5, same=True, graph=Graph(features))


def board(folder: Path, count: int) -> Callable[[], object]:
    """Result files of trainings that never were: two regimes of five seeds in each version of a suite.

    No file was validated before; what is known of a file is kept by its content.
    """
    from covid_synth_data import leaderboard
    from tests.leaderboard.made import made, write

    for version in range(count // 10):
        for seed in range(5):
            changed = {"seed": seed, "suite_version": f"0.{version}.0"}
            results = (made(regime="real", **changed), made(regime="real-balanced", **changed))
            write(folder / "results" / str(version), *results)
    return lambda: leaderboard.build(folder / "results", folder / "out")


def one_board(folder: Path, count: int) -> Callable[[], object]:
    """One board: as many regimes of ten seeds as there are results for, and two of them are baselines.

    The version is one that no suite has, so that the regimes may have any name.
    """
    from covid_synth_data import leaderboard
    from tests.leaderboard.made import made, write

    mixed = made(regime="mixed").regime_rule
    for number in range(count // 10):
        name = ("real", "real-balanced")[number] if number < 2 else f"mixed-{number}"
        for seed in range(10):
            known = name if number < 2 else "mixed"
            result = made(regime=known, seed=seed, skill=1 + number % 7 / 10, suite_version="0.1.0")
            if number >= 2:
                digest = hashlib.sha256(f"{name} {seed}".encode()).hexdigest()
                result = result.model_copy(update={"regime": name, "regime_rule": mixed, "inputs": digest})
            write(folder / "results", result)
    return lambda: leaderboard.build(folder / "results", folder / "out")


def repeats(folder: Path, count: int) -> Callable[[], object]:
    """Films of which a third are copies of others, as a protocol finds them."""
    import pandas as pd

    from covid_synth_data.splits.protocols import joining

    films = np.random.default_rng([11, count]).integers(0, count, count)
    cells = {"label": "covid-19", "reason": "", "source_dataset": "made"}
    frame = pd.DataFrame({name: [text] * count for name, text in cells.items()})
    joined = joining.Joined(np.arange(count), films=films, patients=films)
    return lambda: joining.drop_repeats(frame, joined)


STEPS: dict[str, tuple[Callable[[Path, int], Callable[[], object]], tuple[int, ...], str]] = {
    "import": (importing, TABLES, "images"),
    "verify": (verifying, TABLES, "images"),
    "load": (loading, TABLES, "images"),
    "mix": (mixing, LARGE, "real rows, and as many synthetic ones"),
    "leak check, by names": (leaks, NAMES, "rows in three parts"),
    "duplicates, equal files": (equal_files, LARGE, "rows"),
    "duplicates, by looks": (looks, LOOKS, "films"),
    "duplicates, by looks, approximate": (looks_by_graph, LOOKS_BY_GRAPH, "films"),
    "audit neighbours": (neighbours, FEATURES, "images, 1,280 features"),
    "audit neighbours, approximate": (neighbours_by_graph, FEATURES_BY_GRAPH, "images, 1,280 features"),
    "repeated films": (repeats, TABLES, "films of a task"),
    "leaderboard": (board, RESULT_FILES, "result files"),
    "leaderboard, one board": (one_board, ONE_BOARD, "result files of one suite and version"),
}


def one(name: str, count: int) -> dict[str, float]:
    """Processor seconds and MiB of a step, in a process that did nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COVID_SYNTH_CACHE": f"{folder}/cache", "HF_DATASETS_CACHE": f"{folder}/hf"}
        run = STEPS[name][0](Path(folder), count)
        before, start, wall = resident_mib(), time.process_time(), time.perf_counter()
        run()
        spent = time.process_time() - start
        return {
            "rows": count,
            "cpu_seconds": spent,
            "wall_seconds": time.perf_counter() - wall,
            # The peak of what came before the step hides a smaller one of the step itself.
            "extra_mib_at_most": max(0.0, peak_mib() - before),
        }


def exponent(found: list[dict[str, float]]) -> float:
    """The slope of log seconds over log rows."""
    size, spent = (np.log([line[key] for line in found]) for key in ("rows", "cpu_seconds"))
    return float(np.polyfit(size, spent, 1)[0])


def main() -> None:
    """Measure and write results/growth.json; --step measures some steps anew and keeps the others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", choices=list(STEPS), action="append", help="one step alone; again for more")
    asked = parser.parse_args()
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if asked.step and RESULT.is_file() else {}
    found: dict[str, Any] = kept.get("steps", {})
    if not asked.step:
        shutil.rmtree(KEPT, ignore_errors=True)
    for name in asked.step or STEPS:
        lines = []
        for count in STEPS[name][1]:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                lines.append(fresh.submit(one, name, count).result())
            print(name, json.dumps(lines[-1]), flush=True)
        found[name] = {"what": STEPS[name][2], "exponent": exponent(lines), "sizes": lines}
    if not asked.step:
        shutil.rmtree(KEPT)
    write("growth", {"command": "python benchmarks/performance/growth.py", "steps": found})


if __name__ == "__main__":
    main()
