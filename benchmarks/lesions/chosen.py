"""Settings of painting that the validation films of each fold choose, and what the choice gains on others.

    covid-synth benchmark run benchmarks/lesions/painting.toml --root DIR --out RESULTS
    python benchmarks/lesions/chosen.py RESULTS --out FILE

In each fold the regime with the highest AUC on the fold's validation films, a mean over the seeds, is
chosen. Its test predictions of the folds are put together. The choice is compared with the settings of the
package and with real films alone. The other rows say what each setting gives on the validation films and on
the test films. Nothing chose them, and they are not corrected for their number.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from covid_synth_data.benchmark.reporting import gains
from covid_synth_data.benchmark.reporting.collect import Group, Seed, collect, comparable, pool
from covid_synth_data.benchmark.reporting.samples import Sample, sample
from covid_synth_data.files.atomic import write_text
from covid_synth_data.metrics import crossed

SUITE, REAL, SHIPPED = "same-source-cv-painting", "real", "real+pairs-scores"


def validation(group: Group, fold: int) -> float:
    """The mean over seeds of the AUC on the validation films of a fold."""
    values = [seed.results[fold].fitting.validation_auc for seed in group.seeds]
    return float(np.mean([value for value in values if value is not None]))


def put_together(groups: dict[str, Group], chosen: list[str]) -> list[Seed]:
    """The seeds of one classifier per fold, that of the regime chosen for it."""
    seeds = []
    for place in range(len(groups[SHIPPED].seeds)):
        parts = [groups[name].seeds[place].results[fold] for fold, name in enumerate(chosen)]
        seeds.append(replace(pool(parts), regime="chosen"))
    return seeds


def gain(over: Sample, of: Sample) -> dict[str, dict[str, float]]:
    """The differences of two regimes with intervals over films and seeds."""
    return {
        metric: {
            key: float(f"{value:.4g}")
            for key, value in crossed.contrast(
                over.statistics[gains.METRICS[metric]], of.statistics[gains.METRICS[metric]]
            )
            .model_dump(include={"difference", "low", "high", "p"})
            .items()
        }
        for metric in gains.JUDGED
    }


def main() -> None:
    """Write the choice of each fold and its gains, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    groups = {group.key[5]: group for group in comparable(collect(arguments.results, suite=SUITE))[0]}
    variants = {name: group for name, group in groups.items() if name != REAL}
    folds = range(groups[REAL].first.folds)
    aucs = {name: [validation(group, fold) for fold in folds] for name, group in variants.items()}
    chosen = [max(aucs, key=lambda name: aucs[name][fold]) for fold in folds]
    first = groups[SHIPPED].first
    choice = sample(put_together(groups, chosen), positive=first.classes.index(first.positive))
    shipped, real = groups[SHIPPED].sample, groups[REAL].sample
    found = {
        "suite": f"{first.suite} {first.suite_version}",
        "seeds": len(groups[SHIPPED].seeds),
        "chosen in each fold": chosen,
        "chosen over the settings of the package": gain(shipped, choice),
        "chosen over real films": gain(real, choice),
        "the settings of the package over real films": gain(real, shipped),
        "auc": {
            "chosen": round(choice.statistics["auc"].value, 4),
            REAL: round(real.statistics["auc"].value, 4),
        },
        "settings": {
            name: {
                "validation auc of the folds": [round(value, 4) for value in aucs[name]],
                "test auc": round(group.sample.statistics["auc"].value, 4),
                **(
                    {"over the settings of the package": gain(shipped, group.sample)}
                    if name != SHIPPED
                    else {}
                ),
            }
            for name, group in variants.items()
        },
    }
    write_text(arguments.out, json.dumps(found, indent=1) + "\n")
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
