"""The gains of a suite on the images that an earlier suite never tested on.

    python benchmarks/statistics/untested_images.py RESULTS EARLIER --out FILE

RESULTS is a folder of result files of one suite and model, EARLIER one of the earlier suite; both may hold
archives. Regimes are compared with the baseline to beat on three sets: all images of RESULTS, those that
EARLIER tested on, and the others. The others are a confirmation for whoever knew the results of EARLIER.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from covid_synth_data.benchmark.reporting import comparisons, gains
from covid_synth_data.benchmark.reporting.collect import Group, collect, comparable
from covid_synth_data.benchmark.reporting.samples import Sample, sample
from covid_synth_data.files.atomic import write_text


def restricted(group: Group, kept: frozenset[str]) -> Sample:
    """The seeds of a group on the images in `kept` alone; the validation values stay."""
    seeds = [
        replace(seed, predictions=tuple(row for row in seed.predictions if row.image_id in kept))
        for seed in group.seeds
    ]
    return sample(seeds, positive=group.first.classes.index(group.first.positive))


def contrasts(groups: list[Group], kept: frozenset[str]) -> dict[str, object]:
    """Each regime against the baseline to beat, on these images."""
    samples = [restricted(group, kept) for group in groups]
    positive = sum(label for _, label in samples[0].films)
    return {
        "positives": positive,
        "negatives": len(samples[0].films) - positive,
        "auc": {one.regime: round(one.statistics["auc"].value, 4) for one in samples},
        "over": next(pair.baseline for pair in comparisons.compare(samples) if pair.chosen),
        "gains": {
            pair.regime: {
                metric: {
                    key: float(f"{getattr(pair.contrasts[gains.METRICS[metric]], key):.4g}")
                    for key in ("difference", "low", "high", "p")
                }
                for metric in gains.JUDGED
            }
            for pair in comparisons.compare(samples)
            if pair.chosen and not pair.regime_is_baseline
        },
    }


def main() -> None:
    """Write the three comparisons, and print the gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--suite", help="of RESULTS, where there are several")
    parser.add_argument("--earlier-suite", help="of EARLIER, where there are several")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    (groups,) = comparable(collect(options.results, suite=options.suite))
    tested = {
        row.image_id
        for group in collect(options.earlier, suite=options.earlier_suite)
        for row in group.seeds[0].predictions
    }
    every = {row.image_id for row in groups[0].seeds[0].predictions}
    first = groups[0].first
    found = {
        "suite": f"{first.suite} {first.suite_version}",
        "model": first.model,
        "seeds": len(groups[0].seeds),
        "all": contrasts(groups, frozenset(every)),
        "tested before": contrasts(groups, frozenset(every & tested)),
        "not tested before": contrasts(groups, frozenset(every - tested)),
    }
    write_text(options.out, json.dumps(found, indent=1) + "\n")
    sys.stdout.write(options.out.read_text())


if __name__ == "__main__":
    main()
