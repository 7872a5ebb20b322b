"""How long the page of a release takes, and how large it is.

    python benchmarks/performance/explore.py RELEASE

Writes results/explore.json: images, seconds by the wall clock and of the processor, and megabytes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import machine

from covid_synth_data.explore import write_page


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "explore.html"
        wall, processor = time.perf_counter(), time.process_time()
        images = write_page(Path(sys.argv[1]), path)
        found = {
            "images": images,
            "wall_s": round(time.perf_counter() - wall, 1),
            "processor_s": round(time.process_time() - processor, 1),
            "megabytes": round(path.stat().st_size / 1e6, 1),
        }
    machine.write("explore", found)


if __name__ == "__main__":
    main()
