"""By how many grey levels the films of a release differ from their sources.

python benchmarks/training/tone_change.py --root DIR --out benchmarks/training/nc-tone/tone-change.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import covid_synth_data as csd

CONFIG, SOURCE, FILMS = "gnc", "radiography", 120


def main() -> None:
    """Compare films that were translated whole, drawn from a fixed seed, with their sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--release", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    made = csd.load_dataset("covid-synth-cxr", CONFIG, root=options.release)
    of_source = np.asarray(made["source_dataset"][:]) == SOURCE
    rows = np.flatnonzero(of_source & (np.asarray(made["variant"][:]) == "full"))
    real = csd.load_source(SOURCE, options.root)
    place = {name.partition("/")[2]: number for number, name in enumerate(real["image_id"][:])}
    changes = []
    for number in np.random.default_rng(0).permutation(rows)[:FILMS].tolist():
        row = made[number]
        film = np.asarray(row["image"], float)
        source = real.with_format(None)[place[row["source_id"]]]["image"]
        resized = np.asarray(source.resize(film.shape[::-1], 3), float)
        changes.append(float(np.abs(film - resized).mean()))
    low, middle, high = np.percentile(changes, [10, 50, 90])
    found = {
        "dataset": "covid-synth-cxr",
        "config": CONFIG,
        "films": len(changes),
        "mean_absolute_change": round(float(np.mean(changes)), 2),
        "percentiles_10_50_90": [round(float(value), 2) for value in (low, middle, high)],
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
