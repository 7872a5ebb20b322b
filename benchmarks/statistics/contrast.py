"""Regimes of a suite against each other, where neither is the baseline that the report compares with.

    python benchmarks/statistics/contrast.py SUITE REGIME OTHER [REGIME OTHER ...] --out FILE
        [--results benchmarks/results]

Differences REGIME less OTHER of every judged metric, with 95 % intervals and p over films and seeds, not
corrected. RESULTS may hold archives. Plain films, one model. FILE holds one object, for several pairs a list.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from covid_synth_data.benchmark.reporting import gains
from covid_synth_data.benchmark.reporting.collect import collect, comparable
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.files.atomic import write_text
from covid_synth_data.metrics import crossed


def main() -> None:
    """Write and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("regimes", nargs="+", metavar="REGIME OTHER")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if len(asked.regimes) % 2:
        parser.error("regimes come in pairs: REGIME OTHER")
    pairs = list(zip(asked.regimes[::2], asked.regimes[1::2], strict=True))
    every = collect(asked.results, suite=asked.suite)
    groups = [group for group in every if group.first.preprocessing == "plain"]
    samples = {
        group.first.regime: group.sample
        for group in comparable(groups)[0]
        if group.first.regime in asked.regimes
    }
    if missing := sorted(set(asked.regimes) - set(samples)):
        parser.error(f"no results of {', '.join(missing)} in the suite {asked.suite}")
    contrasts = [
        {"suite": asked.suite, "regime": regime, "less": other}
        | _differences(samples[regime], samples[other])
        for regime, other in pairs
    ]
    content = contrasts if len(contrasts) > 1 else contrasts[0]
    text = json.dumps(content, indent=1) + "\n"
    write_text(asked.out, text)
    sys.stdout.write(text)


def _differences(regime: Sample, other: Sample) -> dict[str, object]:
    """`regime` less `other` over the seeds that both have, by metric."""
    content: dict[str, object] = {}
    shared = [seed for seed in regime.seeds if seed in other.seeds]
    of_regime, of_other = regime.of_seeds(shared), other.of_seeds(shared)
    for metric in gains.JUDGED:
        name = gains.METRICS[metric]
        found = crossed.contrast(of_other[name], of_regime[name])  # the second less the first
        content[metric] = {
            key: float(f"{getattr(found, key):.4g}") for key in ("difference", "low", "high", "p")
        }
    return content


if __name__ == "__main__":
    main()
