"""The table made of result files: a row per model and regime, every number with its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from covid_synth_data.benchmark.results import Result, find, validate_result
from covid_synth_data.benchmark.suite import list_suites, load_suite
from covid_synth_data.config import Settings
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics.detection import Estimate, Proportion

NOTES = (
    "Each cell: mean over the seeds {lowest to highest seed} [lowest to highest limit of the seeds' own 95 %"
    " intervals]. Sensitivity, specificity: Clopper-Pearson over films; AUC: bootstrap over patients.",
    "SE@SP: sensitivity at the threshold that gives that specificity on the same test films.",
    "Skew: negatives / positives of the training films. Train: real negatives, real positives, synthetic.",
)


class Cell(Settings):
    """A metric over the seeds: their mean, lowest and highest value, and the widest limits of any seed."""

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


class Row(Settings):
    """A row of the table; counts are those of the first seed, `false_negatives` one per seed."""

    suite: str
    suite_version: str
    task: str
    protocol: str
    dataset: str | None
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
    false_negatives: list[int]
    sensitivity: Cell
    specificity: Cell
    auc: Cell
    sensitivity_at: dict[str, Cell]
    notes: list[str]


def summarise(results_dir: str | Path) -> list[Row]:
    """One row for each suite, task, model and regime found below `results_dir`, in the order of the suites.

    Every file is validated first. Raises `ResultError` when there is none, when one is wrong, and when the
    seeds of a row were not tested on the same films or used different data.
    """
    groups: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for path in find(Path(results_dir)):
        result = validate_result(path)
        groups[result.suite, result.suite_version, result.task, result.model, result.regime].append(result)
    _same_films(groups)
    return [_row(sorted(groups[key], key=lambda result: result.seed)) for key in sorted(groups, key=_rank)]


def report(results_dir: str | Path) -> str:
    """The table of `summarise` as text, Markdown at the same time, with what its cells mean below it."""
    rows = summarise(results_dir)
    blocks: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        title = (
            f"{row.suite} {row.suite_version}, {row.task} ({row.protocol}): tested on {row.test_positives}"
            f" positive and {row.test_negatives} negative films of {row.test_patients} patients"
        )
        blocks[title].append(row)
    parts = [
        "\n\n".join([title, _markdown(block), *(f"Note: {text}" for text in _remarks(block))])
        for title, block in blocks.items()
    ]
    return "\n\n".join([*parts, *NOTES]) + "\n"


def _remarks(rows: Sequence[Row]) -> list[str]:
    """The caution of the suite, where the package has it, and what the task said of its data, each once."""
    caution = load_suite(rows[0].suite).caution if rows[0].suite in list_suites() else None
    return list(
        dict.fromkeys([*([caution] if caution else []), *(note for row in rows for note in row.notes)])
    )


def _row(results: Sequence[Result]) -> Row:
    first = results[0]
    metrics = [result.metrics for result in results]
    dataset = next((result.dataset for result in results if result.dataset), None)
    points = {f"{point.target:.2f}": index for index, point in enumerate(first.metrics.sensitivity_at)}
    return Row(
        suite=first.suite,
        suite_version=first.suite_version,
        task=first.task,
        protocol=first.protocol,
        dataset=f"{dataset.name} {dataset.version or ''}".strip() if dataset else None,
        model=first.model,
        weights=first.weights.name,
        regime=first.regime,
        seeds=[result.seed for result in results],
        real_negatives=first.composition.real_negatives,
        real_positives=first.composition.real_positives,
        synthetic=first.composition.synthetic,
        skew=first.composition.skew,
        test_negatives=first.test.negatives,
        test_positives=first.test.positives,
        test_patients=first.test.patients,
        false_negatives=[one.confusion.fn for one in metrics],
        sensitivity=_cell([one.sensitivity for one in metrics]),
        specificity=_cell([one.specificity for one in metrics]),
        auc=_cell([one.auc for one in metrics]),
        sensitivity_at={
            name: _cell([one.sensitivity_at[index].sensitivity for one in metrics])
            for name, index in points.items()
        },
        notes=list(dict.fromkeys(note for result in results for note in result.notes)),
    )


def _cell(values: Sequence[Proportion | Estimate]) -> Cell:
    numbers = [value.value for value in values]
    return Cell(
        mean=sum(numbers) / len(numbers),
        lowest=min(numbers),
        highest=max(numbers),
        low=min(value.low for value in values),
        high=max(value.high for value in values),
    )


def _same_films(groups: dict[tuple[str, ...], list[Result]]) -> None:
    """Rows of one task stand in one table only if they were tested on the same films with the same labels."""
    tested: dict[tuple[str, ...], tuple[Result, frozenset[tuple[str, int]]]] = {}
    for key, results in groups.items():
        for result in results:
            films = frozenset((row.image_id, row.label) for row in result.predictions)
            other, expected = tested.setdefault(key[:3], (result, films))
            if films != expected:
                raise ResultError(
                    f"results of {result.suite} {result.task} were tested on different films",
                    found=f"{result.model} {result.regime} seed {result.seed} differs in"
                    f" {len(films ^ expected)} films",
                    expected=f"those of {other.model} {other.regime} seed {other.seed}",
                    hint="keep results of different sources in different folders",
                )
        if len({(one.dataset, one.weights, one.limit) for one in results}) > 1:
            raise ResultError(
                f"the seeds of {' '.join(key)} do not belong together",
                found="different datasets, weights or limits",
                hint="keep them in different folders",
            )


def _rank(key: tuple[str, ...]) -> tuple[object, ...]:
    """Order of a row: models and regimes as the suite lists them, by name where it is not ours."""
    suite, version, task, model, regime = key
    if suite not in list_suites():
        return suite, version, task, 0, model, 0, regime
    known = load_suite(suite)
    places = {name: place for place, name in enumerate(known.models)}
    ranks = {name: place for place, name in enumerate(known.regimes)}
    return suite, version, task, places.get(model, len(places)), model, ranks.get(regime, len(ranks)), regime


def _markdown(rows: Sequence[Row]) -> str:
    points = list(rows[0].sensitivity_at)
    header = [
        "model (weights)", "regime", "train", "skew", "seeds", "FN", "sensitivity at 0.5",
        "specificity at 0.5", "AUC", *(f"SE@SP {point}" for point in points),
    ]  # fmt: skip
    cells = [
        [
            f"{row.model} ({row.weights})",
            row.regime,
            _train(row),
            f"{row.skew:.2f}",
            str(len(row.seeds)),
            f"{', '.join(map(str, row.false_negatives))} of {row.test_positives}",
            str(row.sensitivity),
            str(row.specificity),
            str(row.auc),
            *(str(row.sensitivity_at[point]) for point in points),
        ]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [header, *cells]) for column in range(len(header))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in [header, *cells]
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _train(row: Row) -> str:
    synthetic = " + ".join(f"{count} {name}" for name, count in row.synthetic.items())
    return f"{row.real_negatives} - / {row.real_positives} +" + (f" / {synthetic}" if synthetic else "")
