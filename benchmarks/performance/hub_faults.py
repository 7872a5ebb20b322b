"""The whole matrix of faults: every request of a push and of a pull meets every fault, then runs again.

    python benchmarks/performance/hub_faults.py

Clients are unmodified `huggingface_hub` and `datasets`, the Hub is `tests/hub` on the loopback. Pushes are
of a first version to a new repository and of a second on top of it. Prints one line per operation and fault
and writes results/hub_faults.json; ends with 1 if anything was lost. Takes about ten minutes, most of it
the waits of the client before it tries again.
"""

from __future__ import annotations

import importlib.metadata
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


def main() -> None:
    rows, started = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = build(folder / "first" / "covid-synth-cxr")
        second = build(folder / "second" / "covid-synth-cxr", "1.1.0", {"gnc": (5, 8), "gpc": (4,)})
        with running(folder / "store") as hub:
            client = Client(hub.url, folder / "client", WRITER)
            for operation, kind, tally in matrix.run(hub, client, first, second):
                rows.append({"operation": operation, "fault": kind, **asdict(tally)})
                print(
                    f"{operation:<12} {kind:<12} injected {tally.injected:>3}  at once {tally.at_once:>3}"
                    f"  run again {tally.again:>3}  lost {len(tally.lost)}",
                    flush=True,
                )
                for lost in tally.lost:
                    print(f"  {lost}", flush=True)
            client.close()
    total = {key: sum(row[key] for row in rows) for key in ("injected", "at_once", "again")}
    total["survived"] = total["at_once"] + total["again"]
    total["lost"] = sum(len(row["lost"]) for row in rows)
    write(
        "hub_faults",
        {
            "command": "python benchmarks/performance/hub_faults.py",
            "huggingface_hub": importlib.metadata.version("huggingface_hub"),
            "seconds": round(time.perf_counter() - started),
            "total": total,
            "rows": rows,
        },
    )
    raise SystemExit(total["lost"] > 0)


if __name__ == "__main__":
    main()
