"""Painting of lesions: pairs a second with lungs at hand, against the first sketch, and with lungs found.

    python benchmarks/performance/painting.py --sketch FILE [--films 64] [--rounds 5]

One thread paints phantoms of 256 x 256 and, in turns with the sketch (a Python file with a function `lesion`
of a film, a lung mask and a random generator, for 224 x 224 alone), phantoms of 224 x 224. A pair is a film
with and without the lesion. Writes results/painting.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from machine import ratio, resident_mib, write

from covid_synth_data import lesions
from covid_synth_data.files.pixels import resize
from covid_synth_data.sources import phantom

SIDE = 256
SKETCH_SIDE = 224
TARGETS = {"pairs_per_second_and_core": 30, "times_the_sketch": 3.0}


def films(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal phantoms (n, SIDE, SIDE) and their lungs."""
    drawn = [phantom.draw("normal", SIDE, 5, i, 1) for i in range(count)]
    return np.stack(drawn), np.stack(
        [phantom.lung_mask("normal", SIDE, 5, i, 1) >= 0.5 for i in range(count)]
    )


def load(path: Path) -> ModuleType:
    """The sketch as a module."""
    found = importlib.util.spec_from_file_location("sketch", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def processor(run) -> float:
    """Processor time of one call: it does not count what others do on the machine meanwhile."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """Measure and write results/painting.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sketch", type=Path, required=True)
    parser.add_argument("--films", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    sketch = load(asked.sketch)
    large, lungs = films(asked.films)
    small = np.stack([resize(film, SKETCH_SIDE) for film in large])
    small_lungs = np.stack([resize(lung.astype(np.uint8) * 255, SKETCH_SIDE) >= 128 for lung in lungs])

    def as_sketched() -> None:
        for i, (film, lung) in enumerate(zip(small, small_lungs, strict=True)):
            sketch.lesion(film, lung, np.random.default_rng([0, i]))

    runs = {
        "ours_256": lambda: lesions.paint(large, 0, "covid-19", lungs),
        "ours_224": lambda: lesions.paint(small, 0, "covid-19", small_lungs),
        "sketch_224": as_sketched,
        "ours_256_lungs_found": lambda: lesions.paint(large, 0, "covid-19"),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    memory = []
    for run in runs.values():
        run()
    for _ in range(asked.rounds):
        for name, run in runs.items():
            times[name].append(processor(run))
        memory.append(resident_mib())
    rates = {name: asked.films / statistics.median(values) for name, values in times.items()}
    faster = ratio(times["sketch_224"], times["ours_224"])
    write(
        "painting",
        {
            "command": f"python benchmarks/performance/painting.py --sketch FILE --films {asked.films}"
            f" --rounds {asked.rounds}",
            "time": "processor seconds of one thread",
            "films": asked.films,
            "rounds": asked.rounds,
            "pairs_per_second_and_core": rates,
            "times_the_sketch": faster,
            "resident_growth_mib": memory[-1] - memory[0],
            "targets": TARGETS,
            "met": rates["ours_256"] >= TARGETS["pairs_per_second_and_core"]
            and faster["median"] >= TARGETS["times_the_sketch"],
        },
    )


if __name__ == "__main__":
    main()
