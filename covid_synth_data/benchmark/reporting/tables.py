"""The table made of result files: a row per model and regime, every number with its interval."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from covid_synth_data import escaping
from covid_synth_data.benchmark.reporting.collect import Group, collect
from covid_synth_data.benchmark.reporting.markdown import markdown_table
from covid_synth_data.benchmark.suite import is_suite, load_suite
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import crossed, resampling
from covid_synth_data.metrics.resampling import Statistic

NOTES: Final = (
    "Each cell: mean over the seeds {lowest to highest seed} [95 % interval of that mean, by a bootstrap"
    " crossed over patients and seeds; that of a share is never narrower than Clopper-Pearson's]. With one"
    " seed the interval is over patients alone.",
    "Trained on: real negatives and positives + synthetic films; in the first fold, where there are folds."
    " Skew: negatives / positives of all of them.",
    "FN: false negatives, positives below a probability of 0.5; one number per seed, of more than five seeds"
    " the mean {lowest to highest}.",
    "SE@SP: sensitivity at the threshold that gives that specificity on the same test films.",
    "AUC, mean of folds: mean over the folds of the AUC within each, then over the seeds {lowest to highest"
    " seed}. AUC ranks the films of all folds together, though each fold has a classifier of its own.",
    "ECE: expected calibration error of the class called, in 15 bins, mean over the seeds; 0 is best.",
)

STAND_IN: Final = ":film-"
"""In a patient id: the source names no patient, so the film counts as one (`sources.table`)."""

_FOLD: Final = re.compile(r"fold \d+ of \d+")
"""What a task says of one fold has no place beside a row of all."""

LISTED: Final = 5
"""The largest number of seeds whose counts are listed one by one."""


class Cell(FrozenModel):
    """A metric over the seeds: their mean, lowest and highest value, and the 95 % interval of the mean."""

    mean: float
    lowest: float
    highest: float
    low: float
    high: float

    def __str__(self) -> str:
        """As printed in the table; the seeds' range is left out where there is none."""
        lowest, highest = f"{self.lowest:.3f}", f"{self.highest:.3f}"
        spread = "" if lowest == highest else f" {{{lowest} to {highest}}}"
        return f"{self.mean:.3f}{spread} [{self.low:.3f} to {self.high:.3f}]"


class Row(FrozenModel):
    """A row of the table; counts are those of the first seed, `false_negatives` one per seed.

    `sensitivity`, `specificity` and `auc` are those of the positive class against the rest; `accuracy` is
    that of the class called. Where there are more than two classes, `macro_sensitivity` is the mean over
    them, and the micro-averages are those of all pairs of a film and a class; their limits are those of the
    seeds. `films_as_patients` counts the test films whose source names no patient: each stands for a patient
    of its own. `auc_of_folds` is the mean over the folds of the AUC within each, one per seed; None without
    folds, and where a fold has films of one class alone.
    """

    suite: str
    suite_version: str
    task: str
    protocol: str
    dataset: str | None
    preprocessing: str
    classes: list[str]
    folds: int
    model: str
    weights: str
    regime: str
    seeds: list[int]
    real_negatives: int
    real_positives: int
    synthetic: dict[str, int]
    skew: float
    test_negatives: int
    test_positives: int
    test_patients: int
    films_as_patients: int
    false_negatives: list[int]
    sensitivity: Cell
    specificity: Cell
    auc: Cell
    auc_of_folds: list[float] | None
    sensitivity_at: dict[str, Cell]
    accuracy: Cell
    macro_sensitivity: Cell | None
    micro_auc: Cell | None
    micro_precision: Cell | None
    micro_specificity_at_sensitivity: Cell | None
    calibration_error: float
    notes: list[str]


def summarise(results_dir: str | Path) -> list[Row]:
    """One row for each suite, task, preprocessing, model and regime found below `results_dir`, in the order
    of the suites. Raises `ResultError` as `collecting.collect` does."""
    return [row_of(group) for group in collect(results_dir)]


def markdown(rows: Sequence[Row]) -> str:
    """The tables of `rows`, one for each test set and preprocessing, and what their columns mean."""
    parts = [part for block in blocks(rows) for part in section(block)]
    return "\n\n".join([*parts, *NOTES]) + "\n"


def blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows that stand in one table: one test set and preprocessing."""
    by_table: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        by_table[row.suite, row.suite_version, row.task, row.preprocessing].append(row)
    return list(by_table.values())


def _counts(counts: Sequence[int]) -> str:
    """The count of each seed, or of many seeds the mean and {lowest to highest}."""
    if len(counts) <= LISTED:
        return ", ".join(f"{count:,}" for count in counts)
    return f"{sum(counts) / len(counts):,.0f} {{{min(counts):,} to {max(counts):,}}}"


def section(rows: Sequence[Row]) -> list[str]:
    """A heading, the test set, what to beware of, and the table; for the rows of one block."""
    row = rows[0]
    folds = f", each once, in {row.folds} folds by patient" if row.folds > 1 else ""
    caution = load_suite(row.suite).caution if is_suite(row.suite) else None
    return [
        f"## {row.suite} {row.suite_version}: {row.task}, {row.preprocessing} films",
        f"Protocol {row.protocol}, tested on {row.test_positives:,} positive and {row.test_negatives:,}"
        f" negative films of {patients(row)}{folds}.",
        *([f"> {caution}"] if caution else []),
        *([f"> {warning}"] if (warning := films_warning(row)) else []),
        _markdown(rows),
        *(
            f"Note: {escaping.markdown(text)}"
            for text in dict.fromkeys(note for row in rows for note in row.notes)
        ),
    ]


def patients(row: Row) -> str:
    """Of how many patients the test films are, as far as that is known."""
    if row.films_as_patients == row.test_positives + row.test_negatives:
        return "unknown patients"
    known = " known patients and films without one" if row.films_as_patients else " patients"
    return f"{row.test_patients:,}{known}"


def films_warning(row: Row) -> str | None:
    """A caution where films stand in for patients; None where every test film names its patient."""
    if not row.films_as_patients:
        return None
    films = row.test_positives + row.test_negatives
    return (
        f"Films, not patients: the sources of {row.films_as_patients:,} of the {films:,} test films name no"
        " patient, so each counts as a patient of its own (look-alikes are joined). Films of one patient are"
        " alike, so the intervals here are too narrow and p values too small."
    )


def row_of(group: Group) -> Row:
    """The row of one group."""
    first = group.first
    metrics = [seed.metrics for seed in group.seeds]
    results = [result for seed in group.seeds for result in seed.results]
    dataset = next((result.dataset for result in results if result.dataset), None)
    each = [one.multiclass for one in metrics if one.multiclass]
    confusion = metrics[0].confusion
    sick, well = confusion.tp + confusion.fn, confusion.fp + confusion.tn
    statistics = group.sample.statistics
    return Row(
        suite=first.suite,
        suite_version=first.suite_version,
        task=first.task,
        protocol=first.protocol,
        dataset=f"{dataset.name} {dataset.version or ''}".strip() if dataset else None,
        preprocessing=first.preprocessing,
        classes=first.classes,
        folds=first.folds,
        model=first.model,
        weights=first.weights.name,
        regime=first.regime,
        seeds=[seed.seed for seed in group.seeds],
        real_negatives=first.composition.real_negatives,
        real_positives=first.composition.real_positives,
        synthetic=first.composition.synthetic,
        skew=first.composition.skew,
        test_negatives=well,
        test_positives=sick,
        test_patients=metrics[0].patients,
        films_as_patients=sum(STAND_IN in row.patient_id for row in group.seeds[0].predictions),
        false_negatives=[one.confusion.fn for one in metrics],
        sensitivity=_cell(statistics["sensitivity"], sick),
        specificity=_cell(statistics["specificity"], well),
        auc=_cell(statistics["auc"]),
        auc_of_folds=_auc_of_folds(group),
        sensitivity_at={
            f"{target:.2f}": _cell(statistics[resampling.specificity_name(target)], sick)
            for target in (point.target for point in metrics[0].sensitivity_at)
        },
        accuracy=_cell(statistics["accuracy"], sick + well),
        macro_sensitivity=_cell(statistics["macro sensitivity"]) if each else None,
        micro_auc=_bare([one.micro.auc.value for one in each]),
        micro_precision=_bare([one.micro.precision for one in each]),
        micro_specificity_at_sensitivity=_bare([one.micro.specificity_at_sensitivity for one in each]),
        calibration_error=sum(one.calibration.error for one in metrics) / len(metrics),
        notes=list(dict.fromkeys(note for one in results for note in one.notes if not _FOLD.match(note))),
    )


def _auc_of_folds(group: Group) -> list[float] | None:
    """The mean AUC of the folds of each seed; None without folds, and where one of them has no AUC."""
    each = [[one.metrics.auc.value for one in seed.results] for seed in group.seeds]
    if group.first.folds == 1 or any(value is None for folds in each for value in folds):
        return None
    return [sum(value for value in folds if value is not None) / len(folds) for folds in each]


def fold_means(row: Row) -> str:
    """The AUC of a row as mean of its folds, over the seeds, as printed in the table."""
    values = row.auc_of_folds
    if values is None:
        return "not defined"
    mean, lowest, highest = (f"{one:.3f}" for one in (sum(values) / len(values), min(values), max(values)))
    return mean if lowest == highest else f"{mean} {{{lowest} to {highest}}}"


def _bare(values: Sequence[float | None]) -> Cell | None:
    """Numbers without intervals: the limits are those of the seeds. None where one is not defined."""
    numbers = [value for value in values if value is not None]
    if not numbers or len(numbers) < len(values):
        return None
    low, high = min(numbers), max(numbers)
    return Cell(mean=sum(numbers) / len(numbers), lowest=low, highest=high, low=low, high=high)


def _cell(statistic: Statistic, films: int | None = None) -> Cell:
    """A statistic over the seeds; `films` are those that it is a share of, where it is a share."""
    limits = crossed.interval(statistic, films=films)
    return Cell(
        mean=limits.value,
        lowest=float(statistic.values.min()),
        highest=float(statistic.values.max()),
        low=limits.low,
        high=limits.high,
    )


def _markdown(rows: Sequence[Row]) -> str:
    points = list(rows[0].sensitivity_at)
    several, folds = len(rows[0].classes) > 2, rows[0].folds > 1
    header = [
        "model (weights)",
        "regime",
        "trained on",
        "skew",
        "seeds",
        "FN",
        "sensitivity at 0.5",
        "specificity at 0.5",
        "AUC",
        *(["AUC, mean of folds"] if folds else []),
        *(f"SE@SP {point}" for point in points),
        "ECE",
        *(["accuracy", "mean sensitivity of the classes"] if several else []),
    ]
    cells = [
        [
            f"{row.model} ({row.weights})",
            row.regime,
            trained_on(row),
            f"{row.skew:.2f}",
            str(len(row.seeds)),
            f"{_counts(row.false_negatives)} of {row.test_positives:,}",
            str(row.sensitivity),
            str(row.specificity),
            str(row.auc),
            *([fold_means(row)] if folds else []),
            *(str(row.sensitivity_at[point]) for point in points),
            f"{row.calibration_error:.3f}",
            *([str(row.accuracy), str(row.macro_sensitivity)] if several else []),
        ]
        for row in rows
    ]
    return markdown_table([header, *cells])


def trained_on(row: Row) -> str:
    """The training films in a few words."""
    synthetic = "".join(f" + {count:,} {name}" for name, count in row.synthetic.items())
    return f"{row.real_negatives:,} neg, {row.real_positives:,} pos{synthetic}"
