"""`mix()` over 40,000 rows: seconds, and memory beside that of the datasets themselves.

    python benchmarks/performance/mixing.py [--rounds 7]

20,525 normals and 180 COVID-19 films are mixed with 21,295 synthetic rows (the counts of zunair2021) to the
skew that takes them all. Real rows refer to files, synthetic rows hold encoded images of the size a release
has, in Arrow files that are mapped into memory, as `datasets` keeps them. A process of its own measures, so
that no memory freed while the rows were made hides what the call takes: the resident set is sampled each
millisecond during the first call and compared with that before it; it grows by what is allocated and by
every mapped page that is read. The peak of what Python and NumPy allocate is taken in another call.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import statistics
import tempfile
import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from machine import resident_mib, seconds, write

from covid_synth_data import mix, schema, skew

REAL, POSITIVES, SYNTHETIC = 20_705, 180, 21_295
IMAGE_BYTES = 4_000
TARGETS = {"seconds": 1.0, "extra_mib": 50.0}


def rows(columns: tuple[str, ...], count: int, embedded: bool) -> datasets.Dataset:
    """Rows as a source or a release has them; images are never decoded here."""
    cells: dict[str, list[Any]] = {name: [f"{name}-{i}" for i in range(count)] for name in columns}
    cells["label"] = [schema.COVID if embedded or i < POSITIVES else 0 for i in range(count)]
    if embedded:
        random = np.random.default_rng([0])
        cells["image"] = [{"bytes": random.bytes(IMAGE_BYTES), "path": None} for _ in range(count)]
        cells["seed"] = list(range(count))
    else:
        cells["image"] = [{"bytes": None, "path": f"images/film-{i}.png"} for i in range(count)]
    return datasets.Dataset.from_dict(cells, features=schema.features(columns))


def store(dataset: datasets.Dataset, path: str) -> None:
    """As an Arrow file; `save_to_disk` would want the files that real rows refer to."""
    table = dataset.data.table
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)


class Sampler(threading.Thread):
    """The largest resident size while it runs, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = self.before = resident_mib()
        self.samples = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.001):
            self.note()

    def note(self) -> None:
        self.most = max(self.most, resident_mib())
        self.samples += 1

    def stop(self) -> float:
        """MiB beyond what there was before."""
        self.done.set()
        self.join()
        self.note()
        return self.most - self.before


def measure(folder: str, rounds: int) -> dict[str, Any]:
    """Times and memory of mixing the two sets in `folder`; for a process that has done nothing else."""
    real, synthetic = (datasets.Dataset.from_file(f"{folder}/{name}.arrow") for name in ("real", "synthetic"))
    wanted = (REAL - POSITIVES) / (POSITIVES + SYNTHETIC)
    gc.collect()
    arrow, sampler, kept = pa.total_allocated_bytes(), Sampler(), []
    sampler.start()
    first = seconds(lambda: kept.append(mix(real, synthetic, skew=wanted)))
    resident, held = sampler.stop(), (pa.total_allocated_bytes() - arrow) / 2**20
    assert len(kept[0]) == REAL + SYNTHETIC
    times = [seconds(lambda: mix(real, synthetic, skew=wanted)) for _ in range(rounds)]
    tracemalloc.start()
    mix(real, synthetic, skew=wanted)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    before = resident_mib()
    touched = sum(
        len(cell) for cell in synthetic.data.column("image").combine_chunks().field("bytes").to_pylist()
    )
    control = resident_mib() - before
    assert touched == SYNTHETIC * IMAGE_BYTES
    return {
        "rows": len(kept[0]),
        "real": REAL,
        "synthetic": SYNTHETIC,
        "skew": skew(kept[0]),
        "synthetic_image_mib": SYNTHETIC * IMAGE_BYTES / 2**20,
        "seconds": {"first_call": first, "median": statistics.median(times), "most": max(times)},
        "extra_mib": {"resident_peak": resident, "arrow_held": held, "python_peak": peak},
        "resident_samples": sampler.samples,
        "control_mib_of_reading_every_image": control,
        "targets": TARGETS,
        "met": max(first, *times) < TARGETS["seconds"] and max(resident, peak) < TARGETS["extra_mib"],
    }


def main() -> None:
    """Measure and write results/mixing.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store(rows(schema.REAL_COLUMNS, REAL, False), f"{folder}/real.arrow")
        store(rows(schema.SYNTHETIC_COLUMNS, SYNTHETIC, True), f"{folder}/synthetic.arrow")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            found = fresh.submit(measure, folder, asked.rounds).result()
    write("mixing", {"command": f"python benchmarks/performance/mixing.py --rounds {asked.rounds}", **found})


if __name__ == "__main__":
    main()
