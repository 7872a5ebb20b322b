"""Fidelity, copies and privacy of an audit at the size of its target, with descriptors that are kept already.

    python benchmarks/performance/scorecard.py [--made 20000] [--real 10000]

The sections run as `covid-synth audit --only fidelity --only copies --only privacy` runs them, from stores on
disk. What lies in the stores is made: features of the extractor's width, thumbnails that are those of
released images of gnc with another grain each. Each image therefore has near copies, and most pairs are
aligned to the end, which takes longer than for other films. Real films are four tenths source films,
three tenths training films, and the rest in equal parts held out and of another hospital. The target is
20 minutes on two cores and 2 GB. Writes results/scorecard.json: time of the processor over all threads, the
wall clock, and the largest resident size of a process that does nothing else. That size counts the pages of
the stores.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import peak_mib, write
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.audit import copies, fidelity, privacy
from covid_synth_data.audit.contract import Context, Material
from covid_synth_data.audit.descriptors import Descriptors
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.result import Subject
from covid_synth_data.files.pixels import resize

WIDTH = 1280
LOOKS = 500


class MadeExtractor:
    """The name and width of an extractor that is never asked."""

    name, width, sha256 = "made", WIDTH, "0" * 64

    def __call__(self, films: np.ndarray) -> np.ndarray:
        raise AssertionError("all features are made")


class MadeDescriptors(Descriptors):
    """Rows follow from the key of a film, and are kept and read as those of films are."""

    def __init__(self, folder: Path, looks: np.ndarray) -> None:
        super().__init__(MadeExtractor(), folder=folder)
        self.looks = looks

    def _kept(self, kind: str, films: FilmSet, shape: Any, dtype: Any, make: Any, *ignored: Any) -> Any:
        def row(film: np.ndarray, place: int) -> np.ndarray:
            random = np.random.default_rng(int(films.keys[place][:15], 16))
            if kind.startswith("features"):
                return random.gamma(1.0, 1.0, WIDTH).astype(np.float32)
            look = self.looks[random.integers(LOOKS)]
            return np.clip(look + random.integers(-8, 9, look.shape), 0, 255).astype(np.uint8)

        return super()._kept(kind, films, shape, dtype, row, np.arange(len(films)))


def films(what: str, count: int, origins: tuple[str, ...] = ()) -> FilmSet:
    """Films of three to a patient, of an own grey and size so that each has a key of its own."""

    def cell(place: int) -> dict[str, Any]:
        image, content = Image.new("L", (64, 64), place % 256), io.BytesIO()
        image.save(content, "png")
        return {"bytes": content.getvalue() + f"{what} {place}".encode(), "path": None}

    ids = tuple(f"{what}/{place}" for place in range(count))
    groups = origins or tuple(f"{what}:{place // 3}" for place in range(count))
    return FilmSet(what, ids, groups, (what,) * count, cell, origins)


def material(made: int, real: int) -> Material:
    """The sets of an audit of translated images."""
    sources, training = films("sources", 4 * real // 10), films("training", 3 * real // 10)
    rest = (real - len(sources) - len(training)) // 2
    return Material(
        subject=Subject(name="made", config="made", version=None, manifest_sha256=None, label="covid-19"),
        synthetic=films("synthetic", made, tuple(sources.ids[place % len(sources)] for place in range(made))),
        training=training,
        held_out=films("held out", rest),
        elsewhere=films("elsewhere", rest),
        sources=sources,
        mapped=films("mapped", 0),
        training_known=True,
    )


def looks() -> np.ndarray:
    """Small released images, int16 (n, 64, 64)."""
    rows = csd.load_dataset("covid-synth-cxr", "gnc").select(range(LOOKS))
    return np.stack([resize(np.asarray(row["image"].convert("L")), 64) for row in rows]).astype(np.int16)


def main() -> None:
    """Measure and write results/scorecard.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--made", type=int, default=20_000)
    parser.add_argument("--real", type=int, default=10_000)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        context = Context(material(asked.made, asked.real), MadeDescriptors(Path(name), looks()), 0)
        for kind in ("features", "small", "thumbnails"):
            for part in context.material.sets.values():
                if len(part):
                    getattr(context.descriptors, kind)(part)
        found["mib_before"] = peak_mib()
        for section in (fidelity, copies, privacy):
            cpu, wall = time.process_time(), time.perf_counter()
            values = section.measure(context).values
            found[section.__name__.rpartition(".")[2]] = {
                "cpu_seconds": round(time.process_time() - cpu, 1),
                "wall_seconds": round(time.perf_counter() - wall, 1),
                "values": len(values),
                "peak_mib": round(peak_mib()),
            }
            print(section.__name__, found[section.__name__.rpartition(".")[2]], flush=True)
        digest = hashlib.sha256(" ".join(context.material.synthetic.keys).encode()).hexdigest()
    parts = [found[name] for name in ("fidelity", "copies", "privacy")]
    write(
        "scorecard",
        {
            "command": f"python benchmarks/performance/scorecard.py --made {asked.made} --real {asked.real}",
            "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
            "load": os.getloadavg()[0],
            "sections": found,
            "cpu_seconds": round(sum(part["cpu_seconds"] for part in parts), 1),
            "wall_seconds": round(sum(part["wall_seconds"] for part in parts), 1),
            "peak_mib": round(peak_mib()),
            "target": {"seconds": 1200, "cores": 2, "mb": 2000},
            "keys": digest,
        },
    )


if __name__ == "__main__":
    main()
