"""Coverage, false differences and power of the crossed bootstrap, on drawn predictions of known truth.

    python benchmarks/statistics/simulation.py --out benchmarks/statistics/results/simulation.json

Each test set has 60 patients with one to three films, 20 of them ill; films of a patient are alike under all
seeds, and each training has a strength of its own. `covered` are 95 % intervals that hold the mean over
trainings and patients, `different` pairs of identical regimes with p below 0.05, `found` gains of the
smallest detectable size with p below 0.05.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from covid_synth_data.metrics import crossed, detection, resampling

METRICS = ("auc", "sensitivity", "accuracy", "sensitivity at specificity 0.90")
REPLICATES = 500


def films(
    seed: list[int], seeds: int, patients: int = 60, training: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float64]]:
    """Labels (n,), patients (n,) and logits (S, n)."""
    rng = np.random.default_rng(seed)
    whose = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    truth = (np.arange(patients) < patients // 3)[whose].astype(np.int64)
    level = rng.normal(0, 0.8, patients)[whose] + rng.normal(0, 0.5, len(whose))
    strength = 1.2 + rng.normal(0, training, (seeds, 1))
    return (
        truth,
        whose.astype(str),
        strength * (truth - 0.5) + level + rng.normal(0, 0.5, (seeds, len(whose))),
    )


def evaluated(
    truth: NDArray[np.int64],
    whose: NDArray[np.str_],
    logits: NDArray[np.float64],
    replicates: int = REPLICATES,
):
    """The statistics of these films."""
    draws = resampling.draw(truth, whose, replicates=replicates)
    return resampling.evaluate(draws, 1 / (1 + np.exp(-logits)))


def coverage(seeds: int, draws: int) -> dict[str, object]:
    """Intervals that hold the truth."""
    many = [evaluated(*films([9, n], 60, 1500), replicates=1) for n in range(20)]
    truth = {name: float(np.mean([one[name].value for one in many])) for name in METRICS}
    held = dict.fromkeys(METRICS, 0)
    for n in range(draws):
        found = evaluated(*films([1, seeds, n], seeds))
        for name in METRICS:
            limits = crossed.interval(found[name])
            held[name] += limits.low <= truth[name] <= limits.high
    return {name: detection.proportion(count, draws).model_dump() for name, count in held.items()}


def false_differences(seeds: int, draws: int) -> dict[str, object]:
    """Identical regimes that are told apart, seeds paired."""
    significant = dict.fromkeys(METRICS, 0)
    for n in range(draws):
        truth, whose, logits = films([2, seeds, n], 2 * seeds)
        a, b = (evaluated(truth, whose, part) for part in (logits[:seeds], logits[seeds:]))
        for name in METRICS:
            significant[name] += crossed.contrast(a[name], b[name]).p < 0.05
    return {name: detection.proportion(count, draws).model_dump() for name, count in significant.items()}


def power(seeds: int, draws: int) -> dict[str, object]:
    """Gains in the AUC of the smallest detectable size, at 0.05 and without a correction, that are found."""
    found, sizes = 0, []
    shifts = np.linspace(0, 3, 31)
    for n in range(draws):
        truth, whose, logits = films([3, seeds, n], 2 * seeds)
        a, b = (evaluated(truth, whose, part)["auc"] for part in (logits[:seeds], logits[seeds:]))
        size = crossed.contrast(a, b).detectable(0.05)
        reached = [
            evaluated(truth, whose, logits[seeds:] + shift * truth, replicates=1)["auc"].value - b.value
            for shift in shifts
        ]
        shift = float(np.interp(size, reached, shifts))
        moved = evaluated(truth, whose, logits[seeds:] + shift * truth)["auc"]
        found += crossed.contrast(a, moved).p < 0.05
        sizes.append(size)
    return {"size": float(np.mean(sizes)), "found": detection.proportion(found, draws).model_dump()}


def main() -> None:
    """Run all three and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    content = {
        "draws": asked.draws,
        "covered": {str(seeds): coverage(seeds, asked.draws) for seeds in (10, 20)},
        "different": {str(seeds): false_differences(seeds, asked.draws) for seeds in (3, 10, 20)},
        "power": {"20": power(20, asked.draws // 3)},
    }
    asked.out.write_text(json.dumps(content, indent=1) + "\n")
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
