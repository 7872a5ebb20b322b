"""The audit's parts at a size: exact nearest neighbours, distances of sets, precision to coverage, copies.

    python benchmarks/performance/audit.py [--made 2000] [--real 1000] [--width 1280] [--films 128]

The target of a release, 20,000 images against 10,000 real films, is `--made 20000 --real 10000`; these parts
run on random features. The neighbours are compared with scikit-learn's brute force in the same run, and with
the flat index of faiss where that is installed. What is computed of each film once and kept, such as its
features and the outline of its lungs, is measured on the first `--films` images of gnc in the release of the
checkout, in time of the processor, which other work on the machine changes little. Writes results/audit.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import write
from sklearn.neighbors import NearestNeighbors

import covid_synth_data as csd
from covid_synth_data.audit.descriptors import Descriptors
from covid_synth_data.audit.material import of_dataset
from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.metrics import copies, diversity, fidelity, manifold, neighbours, privacy


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def flat_index(made: np.ndarray, real: np.ndarray) -> float | None:
    """Seconds of the flat index of faiss, None where it is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    def work() -> Any:
        index = faiss.IndexFlatL2(real.shape[1])
        index.add(real)
        return index.search(made, 1)

    return timed(work)[0]


def per_film(count: int) -> dict[str, float]:
    """Milliseconds of the processor for what is computed of each film, and kept; caches start empty."""
    films = of_dataset("gnc", csd.load_dataset("covid-synth-cxr", "gnc").select(range(count)))
    extractor = Extractor("cpu")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Descriptors(extractor, folder=Path(folder))
        # The first film loads networks and opens the release.
        descriptors.features(films.take([0]))
        descriptors.lungs(films.take([0]))
        others = films.take(range(1, count))
        for name in ("features", "lungs", "inside", "outside", "thumbnails"):
            started = time.process_time()
            getattr(descriptors, name)(others)
            found[name] = 1000 * (time.process_time() - started) / len(others)
    return found


def main() -> None:
    """Measure and write results/audit.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--made", type=int, default=2000)
    parser.add_argument("--real", type=int, default=1000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--films", type=int, default=128)
    asked = parser.parse_args()
    each = per_film(asked.films)
    random = np.random.default_rng(0)
    made, real = (
        random.gamma(1.0, 1.0, (n, asked.width)).astype(np.float32) for n in (asked.made, asked.real)
    )
    held_out = random.gamma(1.0, 1.0, (max(asked.real // 4, 100), asked.width)).astype(np.float32)
    n = min(asked.made, asked.real, 5000)
    groups = [str(number) for number in range(n)]
    seconds, ours = timed(lambda: neighbours.nearest(made, real))
    brute, theirs = timed(
        lambda: NearestNeighbors(n_neighbors=1, algorithm="brute").fit(real).kneighbors(made)
    )
    parts = {
        "frechet": lambda: fidelity.frechet_distance(real[:n], made[:n]),
        "kernel": lambda: fidelity.kernel_distance_between_groups(real[:n], made[:n], groups, groups),
        "manifold": lambda: manifold.measure(real[:n], made[:n]),
        "vendi": lambda: diversity.vendi_score(made[:n]),
        "authentic": lambda: copies.authentic(real, made),
        "membership": lambda: privacy.attack_scores(held_out, made),
    }
    write(
        "audit",
        {
            "command": "python benchmarks/performance/audit.py"
            f" --made {asked.made} --real {asked.real} --width {asked.width} --films {asked.films}",
            "per_film_cpu_ms": each,
            "nearest_seconds": seconds,
            "sklearn_seconds": brute,
            "faiss_seconds": flat_index(made, real),
            "same_neighbours": bool((ours.rows == theirs[1]).mean() > 0.999),
            "seconds": {name: timed(work)[0] for name, work in parts.items()},
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
    )


if __name__ == "__main__":
    main()
