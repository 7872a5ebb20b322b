"""What the approximate search misses of what the exact search finds, and the time of both.

    python benchmarks/performance/approximate.py [ROOT] [--films 2500 5000 10000] [--part NAME ...]

Three parts: planted copies of phantoms (crops, negatives, borders, tones); copies among the real films in
ROOT, drawn from all of its sets by seed; and the neighbours of the audit, in EfficientNet-Lite0 features of
phantoms and of real films. Without ROOT phantoms alone are measured. Of real films counts alone are kept.
Times are those of the processor. Writes results/approximate.json beside this file; --part measures some parts
anew and keeps the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
from copies import CHANGES, thumb
from machine import RESULTS, write

from covid_synth_data.files.pixels import load_grey
from covid_synth_data.metrics import approximate, neighbours
from covid_synth_data.sources import list_sources, phantom, read_source, source_status, table
from covid_synth_data.splits import copies
from covid_synth_data.splits.duplicates import SAME_FILM, SAME_PATIENT, fingerprints

SEED: Final = 23
THRESHOLDS: Final = (SAME_PATIENT, SAME_FILM)
PHANTOMS: Final = 40
"""Phantoms of which each of the changes makes a copy."""

QUERIES: Final = 1_000
REFERENCES: Final = 3_000
NEIGHBOURS: Final = 3
NOT_FILMS: Final = ("covid-ct", "phantom", "ct-phantom")
RESULT: Final = RESULTS / "approximate.json"

Found = dict[tuple[int, int], float]


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The answer, and the processor seconds that it took."""
    start = time.process_time()
    return run(), time.process_time() - start


def searched(thumbs: npt.NDArray[np.uint8], how: str) -> tuple[Found, float]:
    """The pairs of films that are found, with their likeness, and the seconds."""
    (pairs, alike), seconds = timed(lambda: copies.search(thumbs, how=how))
    return dict(zip(map(tuple, pairs.tolist()), alike.tolist(), strict=True)), seconds


def compared(thumbs: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Both searches over the same films."""
    exact, exact_seconds = searched(thumbs, "exact")
    near, near_seconds = searched(thumbs, "approximate")
    result: dict[str, Any] = {"films": len(thumbs)}
    result |= {"exact_seconds": exact_seconds, "approximate_seconds": near_seconds}
    for least in THRESHOLDS:
        wanted = {pair for pair, alike in exact.items() if alike >= least}
        found = {pair for pair, alike in near.items() if alike >= least}
        result[f"at {least:g}"] = {
            "exact": len(wanted),
            "found": len(wanted & found),
            "more": len(found - wanted),
        }
    return result


def real_films(root: Path) -> pd.DataFrame:
    """All films of all sets in the root that have a file."""
    here = [info.name for info in list_sources() if info.name not in NOT_FILMS]
    frames = [read_source(name, root) for name in here if source_status(name, root).folder is not None]
    frame = pd.concat(frames, ignore_index=True)
    return frame[(frame["path"] != "") & (frame["excluded"] != table.CT)].reset_index(drop=True)


def drawn(frame: pd.DataFrame, count: int) -> list[str]:
    """The files of so many films."""
    rows = np.random.default_rng([SEED, count]).choice(len(frame), min(count, len(frame)), replace=False)
    return [str(path) for path in frame["path"].iloc[np.sort(rows)]]


def different(paths: list[str]) -> npt.NDArray[np.uint8]:
    """Thumbnails of the readable files, equal files once, as `duplicates.compare` searches them."""
    prints = fingerprints(paths, [None] * len(paths))
    rows = sorted({digest: row for row, digest in enumerate(prints.digests) if digest}.values())
    return prints.thumbs[rows]


def phantoms(count: int, patients: int = 0) -> list[npt.NDArray[np.uint8]]:
    """Films of so many phantoms, half of them with COVID-19."""
    return [
        phantom.draw(("normal", "covid-19")[number % 2], 128, SEED, patients + number // 2, 1)
        for number in range(count)
    ]


def planted(root: Path | None, sizes: list[int]) -> dict[str, Any]:
    """Copies of phantoms, each changed in one way, among the phantoms and all copies."""
    random = np.random.default_rng([SEED, 1])
    originals = [Image.fromarray(film) for film in phantoms(PHANTOMS)]
    sets = [originals] + [[change(film, random) for film in originals] for change in CHANGES.values()]
    thumbs = np.stack([thumb(film) for films in sets for film in films])
    result = compared(thumbs)
    number = np.arange(len(thumbs))
    found = {how: searched(thumbs, how)[0] for how in approximate.SEARCHES}
    for how, pairs in found.items():
        own = {
            second
            for (first, second), alike in pairs.items()
            if alike >= SAME_FILM and first < PHANTOMS <= second and number[second] % PHANTOMS == first
        }
        result[f"planted_{how}"] = len(own)
    return {**result, "planted": len(CHANGES) * PHANTOMS}


def real_copies(root: Path | None, sizes: list[int]) -> list[dict[str, Any]]:
    """Copies among real films."""
    if root is None:
        return []
    frame = real_films(root)
    return [compared(different(drawn(frame, count))) for count in sizes]


def near(queries: npt.NDArray[np.float32], references: npt.NDArray[np.float32]) -> dict[str, Any]:
    """How many of the nearest references are found, and how much farther those are that stand for them."""
    exact, exact_seconds = timed(lambda: neighbours.nearest(queries, references, NEIGHBOURS))
    graph, building = timed(lambda: approximate.Graph(references))
    found, walking = timed(lambda: neighbours.nearest(queries, references, NEIGHBOURS, graph=graph))
    shared = [len(set(a) & set(b)) for a, b in zip(exact.rows.tolist(), found.rows.tolist(), strict=True)]
    return {
        "queries": len(queries),
        "references": len(references),
        "first_found": int((exact.rows[:, 0] == found.rows[:, 0]).sum()),
        f"of_{NEIGHBOURS}_found": int(sum(shared)),
        "farther_at_most": float((found.distances[:, 0] / np.maximum(exact.distances[:, 0], 1e-9)).max()),
        "exact_seconds": exact_seconds,
        "building_seconds": building,
        "searching_seconds": walking,
    }


def features(films: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    """EfficientNet-Lite0 features, as in the audit."""
    from covid_synth_data.classifiers.extractor import Extractor
    from covid_synth_data.files.pixels import resize

    extractor = Extractor("cpu")
    parts = [np.stack([resize(film, 224) for film in films[n : n + 64]]) for n in range(0, len(films), 64)]
    return np.concatenate([extractor(part) for part in parts])


def audit_neighbours(root: Path | None, sizes: list[int]) -> dict[str, Any]:
    """Neighbours in features: phantoms among phantoms, and real films among real films."""
    rows = features(phantoms(QUERIES + REFERENCES, 1000))
    result = {"phantoms": near(rows[:QUERIES], rows[QUERIES:])}
    if root is not None:
        paths = drawn(real_films(root), QUERIES + REFERENCES)
        rows = features([load_grey(path, 224) for path in paths])
        order = np.random.default_rng([SEED, 2]).permutation(len(rows))
        result["real films"] = near(rows[order[:QUERIES]], rows[order[QUERIES:]])
    return result


PARTS: Final[dict[str, Callable[[Path | None, list[int]], Any]]] = {
    "planted copies of phantoms": planted,
    "copies among real films": real_copies,
    "audit neighbours": audit_neighbours,
}


def main() -> None:
    """Measure and write results/approximate.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, nargs="?", help="the folder that holds the real sets")
    parser.add_argument("--films", type=int, nargs="+", default=[2_500, 5_000, 10_000])
    parser.add_argument("--part", choices=list(PARTS), action="append", help="one part alone; again for more")
    asked = parser.parse_args()
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if asked.part and RESULT.is_file() else {}
    found = dict(kept.get("parts", {}))
    for name in asked.part or PARTS:
        found[name] = PARTS[name](asked.root, asked.films)
        print(name, json.dumps(found[name]), flush=True)
    films = " ".join(map(str, asked.films))
    command = f"python benchmarks/performance/approximate.py{' ROOT' if asked.root else ''} --films {films}"
    settings = {"copies": copies.settings("approximate"), "neighbours": approximate.settings("approximate")}
    write("approximate", {"command": command, "faiss": approximate.version(), **settings, "parts": found})


if __name__ == "__main__":
    main()
