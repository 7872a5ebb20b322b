"""Two regimes of a suite against each other, where neither is the baseline that the report compares with.

    python benchmarks/statistics/contrast.py SUITE REGIME OTHER --out FILE [--results benchmarks/results]

Differences REGIME less OTHER of every judged metric, with 95 % intervals and p over films and seeds, not
corrected. RESULTS may hold archives. Plain films, one model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from covid_synth_data.benchmark.reporting import gains
from covid_synth_data.benchmark.reporting.collect import collect, comparable
from covid_synth_data.files.atomic import write_text
from covid_synth_data.metrics import crossed


def main() -> None:
    """Write and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("regime")
    parser.add_argument("other")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    every = collect(asked.results, suite=asked.suite)
    groups = [group for group in every if group.first.preprocessing == "plain"]
    wanted = {asked.regime, asked.other}
    samples = {
        group.first.regime: group.sample for group in comparable(groups)[0] if group.first.regime in wanted
    }
    missing = sorted(wanted - set(samples))
    if missing:
        parser.error(f"no results of {', '.join(missing)} in the suite {asked.suite}")
    content: dict[str, object] = {"suite": asked.suite, "regime": asked.regime, "less": asked.other}
    for metric in gains.JUDGED:
        name = gains.METRICS[metric]
        one, other = (samples[regime].statistics[name] for regime in (asked.regime, asked.other))
        found = crossed.contrast(other, one)  # the second less the first
        content[metric] = {
            key: float(f"{getattr(found, key):.4g}") for key in ("difference", "low", "high", "p")
        }
    text = json.dumps(content, indent=1) + "\n"
    write_text(asked.out, text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
