"""The numbers of all regimes of a suite and their differences, in small files that pages are written from.

    python benchmarks/statistics/regimes.py             make those files again whose archives changed
    python benchmarks/statistics/regimes.py --all       make all of them again

Reading the archives and drawing the bootstrap takes a minute or two, which is too long for whoever only
wants to write a page again. `docs/results/tables.py` reads the files made here. Each names its archives with
their SHA-256, so a page of older archives is found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from covid_synth_data.benchmark.reporting import gains, gap, tables
from covid_synth_data.benchmark.reporting.collect import Group, collect, comparable
from covid_synth_data.benchmark.reporting.comparisons import Pair, compare, to_beat
from covid_synth_data.benchmark.reporting.samples import Sample, sample
from covid_synth_data.benchmark.suite.half_samples import NAME as HALF_SAMPLES
from covid_synth_data.files.atomic import write_text
from covid_synth_data.metrics import crossed
from covid_synth_data.metrics.detection import REPLICATES
from covid_synth_data.metrics.half_samples import over_training_sets

BENCHMARKS = Path(__file__).resolve().parents[1]
FOLDER = BENCHMARKS / "statistics/results/regimes"
ROWS_FOLDER = BENCHMARKS / "statistics/results/rows"

SETS = {
    "external": (
        "results/external-2.0.0.tar.xz",
        "results/external-diffaug-gan-2.0.0.tar.xz",
        "results/external-recoded-2.0.0.tar.xz",
        "results/external-reduced-2.0.0.tar.xz",
        "results/external-one-encoding-2.0.0.tar.xz",
        "results/external-pairs-2.0.0.tar.xz",
    ),
    "external-re-encoded": (
        "results/external-2.0.0-re-encoded.tar.xz",
        "results/external-augmented-2.0.0-re-encoded.tar.xz",
    ),
    "external-lite2": ("results/external-lite2-2.0.0.tar.xz",),
    "external-harmonised": ("results/external-2.0.0-harmonised.tar.xz",),
    "external-generator-seed-1": (
        "results/external-2.0.0.tar.xz",
        "other-results/external-generator-seed-1.tar.xz",
    ),
    "external-128px": ("other-results/external-128px.tar.xz",),
    "external-half-samples-harmonised": ("results/external-half-samples-2.0.0-harmonised.tar.xz",),
    "external-half-samples": (
        "results/external-half-samples-2.0.0.tar.xz",
        "results/external-half-samples-reduced-2.0.0.tar.xz",
        "results/external-half-samples-one-encoding-2.0.0.tar.xz",
    ),
    "calibration": ("results/calibration-1.0.0.tar.xz",),
    "same-source": (
        "results/same-source-1.0.0.tar.xz",
        "results/same-source-released-1.0.0.tar.xz",
        "results/same-source-gnc-1.0.0.tar.xz",
    ),
    "same-source-lite2": ("results/same-source-lite2-1.0.0.tar.xz",),
    "same-source-cv": (
        "results/same-source-cv-1.0.0.tar.xz",
        "results/same-source-cv-placebos-1.0.0.tar.xz",
        "results/same-source-cv-discs-1.0.0.tar.xz",
        "results/same-source-cv-ceilings-1.0.0.tar.xz",
    ),
    "same-source-cv-lite2": ("results/same-source-cv-lite2-1.0.0.tar.xz",),
    "same-source-cv-half-samples": ("results/same-source-cv-half-samples-1.0.0.tar.xz",),
    "same-source-cv-half-samples-lite2": ("results/same-source-cv-half-samples-lite2-1.0.0.tar.xz",),
    "same-source-cv-splits": ("results/same-source-cv-splits-1.0.0.tar.xz",),
    "same-source-cv-96px": ("results/same-source-cv-96px-1.0.0.tar.xz",),
    "zunair2021": ("results/zunair2021-3.0.0.tar.xz",),
    "zunair2021-re-encoded": ("results/zunair2021-3.0.0-re-encoded.tar.xz",),
    "menon2020-binary": (
        "results/menon2020-binary-3.0.0.tar.xz",
        "results/menon2020-binary-gnc-3.0.0.tar.xz",
    ),
    "menon2020-four-class": ("results/menon2020-four-class-2.0.0.tar.xz",),
    "hussain2022": ("results/hussain2022-2.0.0.tar.xz",),
    "source-matched": ("results/source-matched-2.0.0.tar.xz",),
    "source-matched-re-encoded": ("results/source-matched-2.0.0-re-encoded.tar.xz",),
}
"""The archives of each file of numbers. Regimes of several archives are compared together."""

ROWS = {
    **{
        name: SETS[name]
        for name in (
            "hussain2022",
            "menon2020-binary",
            "menon2020-four-class",
            "zunair2021",
            "zunair2021-re-encoded",
        )
    },
    "zunair2021-pneumonia": ("results/zunair2021-pneumonia-3.0.0.tar.xz",),
    "older-results": ("older-results/2026-11-splits-0.1.tar.xz",),
}
"""The archives of each file of rows: of pages that show the counts and the measures of the papers."""

ONLY = {
    ("external-generator-seed-1", "results/external-2.0.0.tar.xz"): (
        "real",
        "real-balanced",
        "real-weighted",
        "real-augmented",
        "equal-data",
        "equal-data@balanced",
        "equal-data@weighted",
    )
}
"""The regimes that a file takes from an archive, where not all: both archives have `real+gnc-skew4`."""

SHORT = {"auc": "AUC", "sensitivity": "sensitivity at specificity 0.90"}
"""Metrics by the names that they have in the files."""


def digests(archives: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of each archive, by its path in `benchmarks`."""
    return {name: hashlib.sha256((BENCHMARKS / name).read_bytes()).hexdigest() for name in archives}


def numbers(name: str, replicates: int = REPLICATES) -> dict[str, Any]:
    """The content of the file of that name in `SETS`: its archives, and one entry for each suite in them.

    Values do not depend on `replicates`, those of the bootstrap; intervals and p do.
    """
    archives = SETS[name]
    groups = [
        group
        for archive in archives
        for group in collect(BENCHMARKS / archive)
        if group.first.regime in ONLY.get((name, archive), (group.first.regime,))
    ]
    suites = {block[0].first.suite: of_suite(block, replicates) for block in comparable(groups)}
    return {"archives": digests(archives), "suites": suites}


def of_suite(groups: Sequence[Group], replicates: int) -> dict[str, Any]:
    """The regimes of one suite and model: their values, differences from each baseline, the gap closed."""
    first = groups[0].first
    positive = first.classes.index(first.positive)
    samples = [sample(group.seeds, positive=positive, replicates=replicates) for group in groups]
    positives = sum(label == positive for _, label in samples[0].films)
    pairs, chosen = compare(samples), to_beat(samples)
    half_samples = first.suite.endswith(f"@{HALF_SAMPLES}")
    corrected = {(gain.regime, gain.metric): gain.p for gain in gains.gains(pairs)}
    over: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        content = over_films(pair, corrected)
        over.setdefault(pair.baseline, {})[pair.regime] = (
            over_draws(samples, pair, content) if half_samples else content
        )
    return {
        "suite": f"{first.suite} {first.suite_version}",
        "task": first.task,
        "model": first.model,
        "positives": positives,
        "negatives": len(samples[0].films) - positives,
        "best": None if chosen is None else chosen.regime,
        "regimes": {
            group.first.regime: own_values(group, drawn, positives)
            for group, drawn in zip(groups, samples, strict=True)
        },
        "over": over,
        "gap": gap_closed(samples),
    }


def own_values(group: Group, drawn: Sample, positives: int) -> dict[str, Any]:
    """The seeds of a regime, its metrics with intervals, and its mean AUC of the folds."""
    content: dict[str, Any] = {"seeds": len(drawn.seeds)}
    for name, metric in SHORT.items():
        statistic = drawn.statistics[gains.METRICS[metric]]
        limits = crossed.interval(statistic, films=None if name == "auc" else positives)
        content[name] = {
            **{key: digits(getattr(limits, key)) for key in ("value", "low", "high")},
            "by seed": [digits(value) for value in statistic.values],
        }
    of_folds = [result.metrics.auc.value for seed in group.seeds for result in seed.results]
    known = [value for value in of_folds if value is not None]
    content["auc of folds"] = digits(sum(known) / len(known)) if len(known) == len(of_folds) else None
    return content


def over_films(pair: Pair, corrected: dict[tuple[str, str], float]) -> dict[str, Any]:
    """The differences of a pair with intervals over films and seeds; p, and p corrected in the table of the
    best baseline."""
    content: dict[str, Any] = {}
    for name, metric in SHORT.items():
        contrast = pair.contrasts[gains.METRICS[metric]]
        content[name] = {key: digits(getattr(contrast, key)) for key in ("difference", "low", "high", "p")}
        if pair.chosen and (pair.regime, metric) in corrected:
            content[name]["corrected p"] = digits(corrected[pair.regime, metric])
    return content


def over_draws(samples: Sequence[Sample], pair: Pair, of_the_mean: dict[str, Any]) -> dict[str, Any]:
    """The differences of a pair with intervals that cover other training patients too; under "of the mean"
    with those of the mean of the draws, as `over_films` gives them."""
    baseline, regime = (
        next(one for one in samples if one.regime == name).of_seeds(pair.seeds)
        for name in (pair.baseline, pair.regime)
    )
    content: dict[str, Any] = {}
    for name, metric in SHORT.items():
        found = over_training_sets(baseline[gains.METRICS[metric]], regime[gains.METRICS[metric]])
        content[name] = {key: digits(getattr(found, key)) for key in ("difference", "low", "high")}
        content[name] |= {"above": found.above, "draws": found.draws, "of the mean": of_the_mean[name]}
    return content


def gap_closed(samples: Sequence[Sample]) -> dict[str, Any] | None:
    """The ceiling, its distance from the best honest baseline, and the share that each regime closes."""
    ends = gap.ends(samples)
    if ends is None:
        return None
    baseline, ceiling = ends
    shares: dict[str, dict[str, Any]] = {}
    for between in gap.between(samples, ceiling):
        found = {name: gap.share(baseline, between, ceiling, metric) for name, metric in SHORT.items()}
        shares[between.regime] = {
            name: None if one is None else {key: digits(value) for key, value in one.model_dump().items()}
            for name, one in found.items()
        }
    return {"baseline": baseline.regime, "ceiling": ceiling.regime, "closed": shares}


def rows(name: str) -> dict[str, Any]:
    """The content of the file of that name in `ROWS`: its archives and their rows (`tables.Row`)."""
    archives = ROWS[name]
    of_archives = [row for archive in archives for row in tables.summarise(BENCHMARKS / archive)]
    return {"archives": digests(archives), "rows": [row.model_dump(mode="json") for row in of_archives]}


def digits(value: float) -> float:
    """Six digits that count: more than a page shows, fewer than change with the machine."""
    return float(f"{value:.6g}")


def main() -> None:
    """Write the files that are missing or of other archives, and print their names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    files: dict[Path, tuple[Sequence[str], Callable[[], dict[str, Any]]]] = {
        FOLDER / f"{name}.json": (archives, partial(numbers, name)) for name, archives in SETS.items()
    }
    files |= {
        ROWS_FOLDER / f"{name}.json": (archives, partial(rows, name)) for name, archives in ROWS.items()
    }
    for path, (archives, make) in files.items():
        made = path.is_file() and json.loads(path.read_bytes())["archives"] == digests(archives)
        if made and not options.all:
            continue
        write_text(path, json.dumps(make(), indent=1) + "\n")
        sys.stdout.write(f"{path.relative_to(BENCHMARKS.parent)}\n")


if __name__ == "__main__":
    main()
