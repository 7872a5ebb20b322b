"""How fast `import` is beside decoding and encoding the same PNG files in plain threads.

    python benchmarks/performance/importing.py --images 20000 [--out results/importing.json]

The rounds of both alternate, and the fastest of each counts. `share` is how much of the plain speed `import`
reaches, by seconds of the processor over all threads and by the wall clock; on a machine with other work the
first says more. The target is 0.8. Writes results/importing.json beside this file, or the file that --out
names.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, describe
from PIL import Image

from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.importing import Stated, import_images

ROUNDS = 3


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--out", type=Path, default=RESULTS / "importing.json")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _write(folder / "images", asked.images, asked.side)
        rounds = []
        for number in range(ROUNDS):
            plain = _timed(lambda: _plain(paths))
            ours = _timed(lambda number=number: _ours(folder / "images", folder / f"release-{number}"))
            rounds.append({"plain": plain, "import": ours})
            print(json.dumps(rounds[-1]), flush=True)
    best = {
        what: {clock: min(one[what][clock] for one in rounds) for clock in ("cpu_seconds", "wall_seconds")}
        for what in ("plain", "import")
    }
    share = {clock: best["plain"][clock] / best["import"][clock] for clock in best["plain"]}
    found: dict[str, Any] = {
        "machine": describe(),
        "command": f"python benchmarks/performance/importing.py --images {asked.images} --side {asked.side}",
        "images": len(paths),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "rounds": rounds,
        "share": {clock: round(value, 3) for clock, value in share.items()},
        "target": 0.8,
        "met": share["cpu_seconds"] >= 0.8,
    }
    text = json.dumps(found, indent=1)
    asked.out.write_text(text + "\n", encoding="utf-8")
    print(text)


def _timed(run: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}


def _write(folder: Path, count: int, side: int) -> list[Path]:
    """Smooth pictures with some noise, as films have."""
    folder.mkdir()
    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = random.integers(0, 255, (8, 8), dtype=np.uint8)
        film = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), np.int16)
        film = np.clip(film + random.integers(-3, 4, film.shape), 0, 255).astype(np.uint8)
        paths.append(folder / f"{number:06d}.png")
        Image.fromarray(film).save(paths[-1])
    return paths


def _plain(paths: list[Path]) -> None:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(lambda path: len(encode_image(load_grey(path), "png", 0)), paths):
            pass


def _ours(folder: Path, out: Path) -> None:
    import_images(folder, out, "mine", Stated(label="covid-19"))


if __name__ == "__main__":
    main()
