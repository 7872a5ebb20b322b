"""The longer run of the generated inputs of tests/generated: how many of each kind, and what became of them.

    python benchmarks/robustness/generated.py --examples 100000 [--seconds 3600]

Run from the root of a checkout. Writes benchmarks/robustness/results/generated.json: per kind the inputs,
the verdicts, and the errors that were none of ours (which must be 0). The kinds take turns, in the shares in
which the tests make them. The file is written after each turn, and the same command goes on where it stands:
a run that was ended, by `--seconds` or otherwise, is a sitting of the whole. Inputs follow from the kind and
the number of the turn alone, so no sitting makes those of another again.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
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
from covid_synth_data import machine
from covid_synth_data.files import atomic
from tests.generated import kinds

OUT = Path(__file__).parent / "results" / "generated.json"
TURNS = 100
"""Turns in which all inputs are made: each makes a hundredth of every kind."""


def turn(kind: str, number: int, examples: int) -> tuple[Counter[str], list[str]]:
    """Make some inputs of one kind and count what becomes of them: verdicts, and errors none of ours."""
    strategy, check, _ = kinds.KINDS[kind]
    verdicts: Counter[str] = Counter()
    failures: list[str] = []
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

        limits = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(limits(given(st.data())(one)))()
    return verdicts, failures


def begin(examples: int, path: Path) -> dict[str, Any]:
    """The run that stands in the file, if it is of as many inputs and not at its end; else a new one."""
    if path.exists():
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if result.get("asked") == examples and result.get("turns", TURNS) < TURNS:
            return result
    empty: dict[str, Any] = {"inputs": 0, "seconds": 0.0, "verdicts": {}, "failures": []}
    return {
        "asked": examples,
        "turns": 0,
        "kinds": {kind: dict(empty) for kind in kinds.KINDS},
        "sittings": [],
    }


def main() -> None:
    """Make the turns that are left, and write the result after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="no turn begins after that")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    logging.disable()  # nibabel tells of every header that it mends
    total = sum(count for _, _, count in kinds.KINDS.values())
    result = begin(arguments.examples, arguments.out)
    sitting = {
        "commit": machine.commit(),
        "python": platform.python_version(),
        "libraries": {
            name: version(name) for name in ("pillow", "pydicom", "nibabel", "pandas", "hypothesis")
        },
    }
    start = time.perf_counter()
    for number in range(result["turns"], TURNS):
        if time.perf_counter() - start > arguments.seconds:
            break
        for kind, (_, _, count) in kinds.KINDS.items():
            share = arguments.examples * count / total / TURNS
            examples = round((number + 1) * share) - round(number * share)
            began = time.perf_counter()
            verdicts, failures = turn(kind, number, examples) if examples else (Counter(), [])
            found = result["kinds"][kind]
            found["inputs"] += sum(verdicts.values())
            found["seconds"] = round(found["seconds"] + time.perf_counter() - began, 1)
            found["verdicts"] = dict(sorted((Counter(found["verdicts"]) + verdicts).items()))
            found["failures"] = [*found["failures"], *failures][:20]
        result["turns"] = number + 1
        if sitting not in result["sittings"]:
            result["sittings"].append(sitting)
        atomic.write_text(arguments.out, json.dumps(summary(result), indent=1) + "\n")
        print(f"turn {number + 1} of {TURNS}: {summary(result)['inputs']} inputs", flush=True)


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its command and its sums on top."""
    return {
        "command": f"python benchmarks/robustness/generated.py --examples {result['asked']}",
        "asked": result["asked"],
        "inputs": sum(kind["inputs"] for kind in result["kinds"].values()),
        "tracebacks": sum(kind["verdicts"].get("traceback", 0) for kind in result["kinds"].values()),
        "turns": result["turns"],
        "kinds": result["kinds"],
        "sittings": result["sittings"],
    }


if __name__ == "__main__":
    main()
