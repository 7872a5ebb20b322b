"""Which tested films look like a film that a released generator learned from, or an image was made from.

    python benchmarks/statistics/tested_copies.py --root DIR

Two sets may have the same film under two names, so films are compared by look, as a run of the benchmark
does. A run passes over films that its task trains on; here every film behind a config is compared with the
films that the predictions in the archives are of.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import covid_synth_data as csd
from covid_synth_data.benchmark.running.other_names import copies, files_of, made_from
from covid_synth_data.files.atomic import write_text
from covid_synth_data.release import loading

BENCHMARKS = Path(__file__).resolve().parents[1]
OUT = BENCHMARKS / "statistics/results/tested-copies.json"
DATASET = "covid-synth-cxr"
CONFIGS = ("gnc", "gpc", "pairs", "diffaug-gan")
ARCHIVES = (
    "external-2.0.0",
    "zunair2021-3.0.0",
    "zunair2021-pneumonia-3.0.0",
    "menon2020-binary-3.0.0",
    "source-matched-2.0.0",
    "same-source-1.0.0",
    "same-source-cv-1.0.0",
    "hussain2022-2.0.0",
)
"""One for each suite and task; regimes of one suite are tested on the same films."""


def tested(archive: str) -> set[str]:
    """The ids of all films that the results of an archive are tested on: all regimes and seeds share them."""
    names: set[str] = set()
    (path,) = BENCHMARKS.glob(f"*results/{archive}.tar.xz")
    with tarfile.open(path) as packed:
        for member in packed:
            if re.search(r"/real/seed-0\.", member.name) and (file := packed.extractfile(member)):
                names |= {row["image_id"] for row in json.load(file)["predictions"]}
    return names


def behind(config: str) -> dict[str, set[str]]:
    """The ids of the films that a config's generator learned from, and of those its images were made from."""
    rows = csd.load_dataset(DATASET, config)
    learned = loading.release_manifest(DATASET).subsets[config].learned_from
    return {"learned from": set(learned.films) if learned else set(), "made from": made_from(rows)}


def main() -> None:
    """Compare every archive with every config and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", required=True)
    root = parser.parse_args().root
    names = {f"{config}, {how}": ids for config in CONFIGS for how, ids in behind(config).items()}
    known = files_of(set().union(*names.values()), root)
    suites: dict[str, Any] = {}
    for archive in ARCHIVES:
        films = files_of(tested(archive), root)
        pairs = copies(known, {name: (path, None) for name, path in films.items()})
        alike = {what: {one for one, other in pairs if other in ids} for what, ids in names.items()}
        suites[archive] = {"tested": len(films), "copies": {k: len(v) for k, v in alike.items() if v}}
        sys.stdout.write(f"{archive} {suites[archive]}\n")
        sys.stdout.flush()
    content = {
        "command": "python benchmarks/statistics/tested_copies.py --root DIR",
        "films behind": {what: len(ids & known.keys()) for what, ids in names.items()},
        "suites": suites,
    }
    write_text(OUT, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
