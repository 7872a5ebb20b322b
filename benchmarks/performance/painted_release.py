"""Lesion pairs as a release: lungs found, painted, encoded and written; time of the processor, and memory.

    python benchmarks/performance/painted_release.py [--pairs 20000]

Phantoms of 256 x 256 lie in a folder as PNG files. `lesions.release.release_pairs` does what `covid-synth
paint FILMS -o OUT --format release` does. The target is 20,000 pairs in 20 minutes on two cores, in flat
memory. Painting takes one core: `seconds_for_20000` is the measured processor time, scaled by the number of
pairs. Memory is the resident size after each tenth of the pairs; growth is
counted from the second tenth on. Writes results/painted_release.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from machine import peak_mib, resident_mib, write
from PIL import Image

from covid_synth_data.lesions.folder import Job
from covid_synth_data.lesions.release import release_pairs
from covid_synth_data.sources import phantom

SIDE = 256
GOAL = 20_000


def main() -> None:
    """Measure and write results/painted_release.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1000)
    count = parser.parse_args().pairs
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        films = Path(name) / "films"
        films.mkdir()
        for place in range(count):
            Image.fromarray(phantom.draw("normal", SIDE, 5, place, 1)).save(films / f"{place:06d}.png")
        ticks = 0

        def tick(done: int, total: int, *what: object) -> None:
            nonlocal ticks
            if done * 10 // max(total, 1) > ticks:
                ticks = done * 10 // total
                memory.append(round(resident_mib(), 1))

        wall, cpu = time.perf_counter(), time.process_time()
        listed, records = release_pairs(
            Job(films, Path(name) / "out", 0, "covid-19", None, None, None, False), "painted", "CC0-1.0", tick
        )
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    pairs = listed.subsets["painted"].rows // 2
    seconds = cpu / pairs * GOAL
    write(
        "painted_release",
        {
            "command": f"python benchmarks/performance/painted_release.py --pairs {count}",
            "films": len(records),
            "pairs": pairs,
            "load": os.getloadavg()[0],
            "cpu_seconds": round(cpu, 1),
            "wall_seconds": round(wall, 1),
            "cpu_ms_per_pair": round(1000 * cpu / pairs, 1),
            "seconds_for_20000": round(seconds),
            "resident_mib_by_tenth": memory,
            "resident_growth_mib": round(memory[-1] - memory[1], 1) if len(memory) > 2 else None,
            "peak_mib": round(peak_mib()),
            "target_seconds": 1200,
            "met": seconds < 1200,
        },
    )


if __name__ == "__main__":
    main()
