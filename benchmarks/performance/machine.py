"""The facts that every measurement here records beside its numbers, and where it writes them."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from covid_synth_data import machine

RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, Any]:
    """Processor, cores this process may use, and the versions that matter for speed."""
    lines = (
        Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if Path("/proc/cpuinfo").exists()
        else []
    )
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    names = ("torch", "torchvision", "datasets", "pillow", "pyarrow", "numpy")
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), **machine.libraries(names)}


def write(name: str, content: dict[str, Any]) -> None:
    """Print the result and keep it as results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"machine": describe(), **content}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def alternate(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Wall times of several contenders in turn, so that a machine that drifts drifts for all of them."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return times


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Median, smallest and largest of the ratios pair by pair."""
    ratios = sorted(a / b for a, b in zip(slow, fast, strict=True))
    return {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}


def peak_mib() -> float:
    """Largest resident size of this process so far, in MiB."""
    # Not getrusage: what a process started by another reports there includes the size of that other one.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def resident_mib() -> float:
    """Resident size now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
