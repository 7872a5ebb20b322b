"""Which tested films look like a film that a released generator learned from, or an image was made from.

    python benchmarks/statistics/tested_copies.py --root DIR

Names tell that two films are one only within a set; here films are compared by look. The tested films are
those of the predictions in the archives. A film that the suite itself trains on is behind a config
without harm, as long as no tested film looks like it: so all films behind a config are compared.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import covid_synth_data as csd
from covid_synth_data.files.atomic import write_text
from covid_synth_data.release import loading
from covid_synth_data.sources import read_source
from covid_synth_data.splits import duplicates

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
    rows = csd.load_dataset(DATASET, config).select_columns(["source_dataset", "source_id"])
    stated = zip(rows["source_dataset"][:], rows["source_id"][:], strict=True)
    learned = loading.release_manifest(DATASET).subsets[config].learned_from
    return {
        "learned from": set(learned.films) if learned else set(),
        "made from": {f"{source}/{name}" for source, name in stated if source and name},
    }


def files(names: Iterable[str], root: str) -> dict[str, str]:
    """The files of the films that are here, by id."""
    wanted = set(names)
    found: dict[str, str] = {}
    for source in sorted({name.partition("/")[0] for name in wanted}):
        frame = read_source(source, root)
        frame = frame[frame["image_id"].isin(wanted) & (frame["path"] != "")]
        found |= dict(zip(frame["image_id"].map(str), frame["path"].map(str), strict=True))
    return found


def copies(known: dict[str, str], films: dict[str, str]) -> list[tuple[str, str]]:
    """Films with each known one that they look like."""
    paths = [*known.values(), *films.values()]
    prints = duplicates.fingerprints(paths, [None] * len(paths))
    theirs, mine = list(known), list(films)
    pairs = duplicates.between(prints, len(known), duplicates.SAME_FILM).tolist()
    return [(mine[second - len(known)], theirs[first]) for first, second in pairs]


def main() -> None:
    """Compare every archive with every config and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--root", required=True)
    root = parser.parse_args().root
    names = {f"{config}, {how}": ids for config in CONFIGS for how, ids in behind(config).items()}
    known = files(set().union(*names.values()), root)
    suites: dict[str, Any] = {}
    for archive in ARCHIVES:
        films = files(tested(archive), root)
        pairs = copies(known, films)
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
