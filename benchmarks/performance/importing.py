"""How fast `import` is beside decoding and encoding the same PNG files in plain threads.

    python benchmarks/performance/importing.py --images 20000

Prints one line of JSON: images, seconds of both, and the share of the plain speed that `import` reaches. The
three rounds of each alternate, and the fastest of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from covid_synth_data.files.pixels import load_grey
from covid_synth_data.importing import Stated, import_images
from covid_synth_data.release.writing import encode_image

ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _write(folder / "images", arguments.images, arguments.side)
        plain, ours = [], []
        for number in range(ROUNDS):
            plain.append(_plain(paths))
            ours.append(_ours(folder / "images", folder / f"release-{number}"))
    share = min(plain) / min(ours)
    found = {"images": len(paths), "plain_s": min(plain), "import_s": min(ours), "share": round(share, 3)}
    print(json.dumps({**found, "cores": os.cpu_count()}))


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


def _plain(paths: list[Path]) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(lambda path: len(encode_image(load_grey(path), "png", 0)), paths):
            pass
    return time.perf_counter() - start


def _ours(folder: Path, out: Path) -> float:
    start = time.perf_counter()
    import_images(folder, out, "mine", Stated(label="covid-19"))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
