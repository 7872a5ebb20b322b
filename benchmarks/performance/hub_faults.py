"""The whole matrix of faults: every request of a push and of a pull meets every fault, then runs again.

    python benchmarks/performance/hub_faults.py [--parts single two local] [--pairs 20]

`single` is that matrix, `two` are pairs of faults drawn by a seed, `local` is damage to what a complete pull
left on the machine, alone and with each of five faults of the network. Clients are unmodified
`huggingface_hub` and `datasets`, the Hub is `tests/hub` on the loopback. Pushes are of a first version to a
new repository and of a second on top of it. Prints one line per operation and fault and writes
results/hub_faults.json, or results/hub_faults-PARTS.json for some of the parts; ends with 1 if anything was
lost. Takes an hour, most of it the waits of the client before it tries again.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from machine import write

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.hub import matrix
from tests.hub.client import Client
from tests.hub.releases import build
from tests.hub.server import WRITER, running

PARTS = ("single", "two", "local")


def main() -> None:
    """Run all, print the tallies and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="pairs of faults for each of three operations")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    rows, started = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = build(folder / "first" / "covid-synth-cxr")
        second = build(folder / "second" / "covid-synth-cxr", "1.1.0", {"gnc": (5, 8), "gpc": (4,)})
        with running(folder / "store") as hub:
            client = Client(hub.url, folder / "client", WRITER)
            parts = {
                "single": lambda: matrix.run(hub, client, first, second),
                "two": lambda: matrix.run_two(hub, client, first, second, asked.pairs),
                "local": lambda: matrix.run_local(hub, client, first),
            }
            tallies = itertools.chain.from_iterable(parts[name]() for name in asked.parts)
            for operation, kind, tally in tallies:
                rows.append({"operation": operation, "fault": kind, **asdict(tally)})
                print(
                    f"{operation:<14} {kind:<48} injected {tally.injected:>3}  at once {tally.at_once:>3}"
                    f"  run again {tally.again:>3}  lost {len(tally.lost)}",
                    flush=True,
                )
                for lost in tally.lost:
                    print(f"  {lost}", flush=True)
            client.close()
    total = {key: sum(row[key] for row in rows) for key in ("injected", "at_once", "again")}
    total["survived"] = total["at_once"] + total["again"]
    total["lost"] = sum(len(row["lost"]) for row in rows)
    some = "" if set(asked.parts) == set(PARTS) else "-" + "-".join(asked.parts)
    write(
        f"hub_faults{some}",
        {
            "command": "python benchmarks/performance/hub_faults.py"
            f" --parts {' '.join(asked.parts)} --pairs {asked.pairs}",
            "huggingface_hub": importlib.metadata.version("huggingface_hub"),
            "seconds": round(time.perf_counter() - started),
            "total": total,
            "rows": rows,
        },
    )
    raise SystemExit(total["lost"] > 0)


if __name__ == "__main__":
    main()
