"""Faults in a copy of a release of real size: files at rest, caches, killed writers, answers of the Hub.

    python benchmarks/robustness/release_faults.py [--release releases/covid-synth-cxr] [--parts ...]

The release is copied first, and only the copy is touched. Each fault is made alone, and some in pairs; after
each the damaged files are copied again, and the same command has to work. `rest` damages files of the
release; `caches` damages what a complete load left; `writers` kills and starves an import that adds a config
to a release; `answers` lets every request of a pull meet every fault of the network. Lost is: rows that
differ from those released, `verify` that says whole of a file that differs, an ending that is neither 0 nor
one line with exit code 2, a command that still fails when the fault is gone, a release that is not whole.
Writes results/release_faults.json after each kind of fault; ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT))
from faults_at_rest import rest
from faults_of_answers import answers
from faults_of_caches import caches
from faults_of_writers import writers
from release_copy import ReleaseCopy, Tally, contents, files_of

from covid_synth_data import machine
from covid_synth_data.files import atomic
from tests.hub.client import Client
from tests.hub.matrix import check

OUT = HERE.parent / "results" / "release_faults.json"
PARTS = ("rest", "caches", "writers", "answers")


def main() -> None:
    """Run the parts, print a line per kind of fault, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, default=ROOT / "releases" / "covid-synth-cxr")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--each", type=int, default=3, help="shards that meet each damage")
    parser.add_argument("--pairs", type=int, default=20, help="of faults at once")
    parser.add_argument("--only", nargs="*", default=[], help="damages at rest that hold one of these words")
    parser.add_argument("--images", type=int, default=2500, help="of the import that is killed")
    parser.add_argument("--moments", type=int, default=12, help="at which the import is killed")
    parser.add_argument("--config", default="pairs", help="what is pulled")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    asked.started = time.strftime("%F %T %z")
    started, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        client = Client("http://127.0.0.1:9", folder / "client")
        release = ReleaseCopy(asked.release.resolve(), folder, client)
        before = contents(release.original)
        parts: dict[str, Callable[[], Iterator[tuple[str, Tally]]]] = {
            "rest": lambda: rest(release, Random(0), asked.each, asked.pairs, asked.only),
            "caches": lambda: caches(release, Random(0)),
            "writers": lambda: writers(release, folder, asked.images, asked.moments),
            "answers": lambda: answers(release, folder, asked.config),
        }
        for part in asked.parts:
            for what, counts in parts[part]():
                rows.append({"part": part, "fault": what, **vars(counts)})
                print(json.dumps(rows[-1]), flush=True)
                _record(asked, rows, time.perf_counter() - started)
        client.close()
        check(contents(release.original) == before, "the original was touched")
    raise SystemExit(any(row["lost"] for row in rows))


def _record(asked: argparse.Namespace, rows: list[dict[str, Any]], seconds: float) -> None:
    """Write what was found so far: a run that is stopped leaves what it did, and the next adds a sitting."""
    sitting = {
        "command": " ".join(["python benchmarks/robustness/release_faults.py", *sys.argv[1:]]),
        "started": asked.started,
        "commit": machine.commit(),
        "seconds": round(seconds),
        "faults": rows,
    }
    recorded = json.loads(asked.out.read_text())["sittings"] if asked.out.exists() else []
    sittings = [earlier for earlier in recorded if earlier["started"] != asked.started] + [sitting]
    total: Counter[str] = Counter()
    for row in (row for taken in sittings for row in taken["faults"]):
        total.update({key: row[key] for key in ("injected", "refused", "unharmed")}, lost=len(row["lost"]))
    size = sum(path.stat().st_size for path in files_of(asked.release))
    result = {
        "release": {"name": asked.release.name, "bytes": size},
        "total": dict(total),
        "sittings": sittings,
    }
    atomic.write_text(asked.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
