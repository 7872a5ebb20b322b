"""Each kind of preprocessing on released images: milliseconds of one core for one image.

    python benchmarks/performance/preprocessing.py [--images 100] [--rounds 5]

Images are decoded before the clock starts, so what is timed is what a kind does to the pixels of an image. It
is the time of the processor, which other work on the machine changes less than it changes the wall clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np
from machine import write

import covid_synth_data as csd
from covid_synth_data.files import pixels
from covid_synth_data.preprocessing import films

SIDE = 224


def milliseconds(greys: list[pixels.Grey], kind: str) -> float:
    """Of the processor, for one image."""
    start = time.process_time()
    films.prepare_batch(greys, SIDE, kind)
    return 1000 * (time.process_time() - start) / len(greys)


def main() -> None:
    """Time all kinds in turn and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = csd.load_dataset("covid-synth-cxr", "gnc")
    chosen = np.linspace(0, len(rows) - 1, options.images).astype(int)
    greys = [pixels.load_grey(rows[int(row)]["image"]) for row in chosen]
    for kind in films.KINDS:
        films.prepare(greys[0], SIDE, kind)  # loads what it needs
    times: dict[str, list[float]] = {kind: [] for kind in films.KINDS}
    for _ in range(options.rounds):
        for kind in films.KINDS:
            times[kind].append(milliseconds(greys, kind))
    write(
        "preprocessing",
        {
            "command": f"python benchmarks/performance/preprocessing.py --images {options.images}"
            f" --rounds {options.rounds}",
            "images": f"{options.images} of gnc, 256 x 256 pixels, to {SIDE} x {SIDE}",
            "milliseconds of the processor": {
                kind: {"median": statistics.median(values), "least": min(values), "most": max(values)}
                for kind, values in times.items()
            },
        },
    )


if __name__ == "__main__":
    main()
