"""The longer run of the generated inputs of tests/generated: how many of each kind, and what became of them.

    python benchmarks/robustness/generated.py --examples 100000 [--seconds 3600]

Run from the root of a checkout. Writes benchmarks/robustness/results/generated.json: per kind the inputs,
the verdicts, and the errors that were none of ours (which must be 0). `--seconds` ends each kind early; what
was made by then is what is recorded.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import tempfile
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.generated import kinds

OUT = Path(__file__).parent / "results" / "generated.json"
ROUND = 400
"""Inputs between two looks at the clock."""


def run(kind: str, examples: int, seconds: float) -> dict[str, Any]:
    """Make inputs of one kind and count what becomes of them."""
    strategy, check, _ = kinds.KINDS[kind]
    verdicts: Counter[str] = Counter()
    failures: list[str] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:

        def one(data: st.DataObject) -> None:
            example = data.draw(strategy)
            try:
                verdicts[check(example, Path(folder))] += 1
            except Exception as error:
                verdicts["traceback"] += 1
                failures.append(
                    f"{type(error).__name__}: {str(error).splitlines()[:1]} from {example!r:.300}"
                )

        number = 0
        while sum(verdicts.values()) < examples and time.perf_counter() - start < seconds:
            limits = settings(
                max_examples=min(ROUND, examples - sum(verdicts.values())),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            seed(number)(limits(given(st.data())(one)))()
            number += 1
    return {
        "inputs": sum(verdicts.values()),
        "seconds": round(time.perf_counter() - start, 1),
        "verdicts": dict(sorted(verdicts.items())),
        "failures": failures[:20],
    }


def main() -> None:
    """Run all kinds, in the shares in which the tests make them, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="per kind")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    logging.disable()  # nibabel tells of every header that it mends
    total = sum(count for _, _, count in kinds.KINDS.values())
    found = {}
    for kind, (_, _, count) in kinds.KINDS.items():
        found[kind] = run(kind, round(arguments.examples * count / total), arguments.seconds)
        print(kind, json.dumps(found[kind], indent=1), flush=True)
    result = {
        "command": f"python benchmarks/robustness/generated.py --examples {arguments.examples}"
        + (f" --seconds {arguments.seconds:g}" if arguments.seconds < float("inf") else ""),
        "inputs": sum(one["inputs"] for one in found.values()),
        "tracebacks": sum(one["verdicts"].get("traceback", 0) for one in found.values()),
        "kinds": found,
        "python": platform.python_version(),
        "libraries": {
            name: version(name) for name in ("pillow", "pydicom", "nibabel", "pandas", "hypothesis")
        },
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
