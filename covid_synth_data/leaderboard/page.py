"""The leaderboard as one HTML page that needs nothing else: no server, no network, no fonts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from markupsafe import Markup

from covid_synth_data._version import __version__
from covid_synth_data.audit.protocol import number
from covid_synth_data.audit.version_table import VersionTable
from covid_synth_data.benchmark.reporting import gains, tables
from covid_synth_data.benchmark.reporting.markdown import signed
from covid_synth_data.benchmark.results import Metrics
from covid_synth_data.files import templates
from covid_synth_data.leaderboard import drawing, markdown
from covid_synth_data.leaderboard.boards import Board, Entry
from covid_synth_data.metrics import multiclass
from covid_synth_data.metrics.detection import Estimate, Proportion


@dataclass(frozen=True)
class Column:
    """A column: its name, what it means, and whether it is there on a narrow screen."""

    name: str
    title: str
    narrow: bool = False
    numeric: bool = True


@dataclass(frozen=True)
class CellShown:
    """The text of a cell, a smaller second line, and the value that it is sorted by."""

    text: str
    small: str
    key: str


def columns(board: Board) -> list[Column]:
    """The columns of a board, after the first, which names the regime."""
    points = list(board.first.sensitivity_at)
    several = len(board.first.classes) > 2
    return [
        Column("model", "classifier (initial weights)", numeric=False),
        Column("films", "what was done to the films", numeric=False),
        Column("dataset", "the released dataset of the synthetic films", numeric=False),
        Column("skew", "negatives / positives of the training films"),
        Column("AUC", "area under the ROC curve, bootstrap over patients", narrow=True),
        *(
            Column(
                f"SE@SP {point}",
                f"sensitivity at a specificity of {point} on the same test films",
                narrow=point == points[0],
            )
            for point in points
        ),
        Column("sensitivity", "of the positive class at a probability of 0.5"),
        Column("specificity", "at a probability of 0.5"),
        Column("ECE", "expected calibration error of the class that is called"),
        *([Column("accuracy", "over all classes")] if several else []),
        Column("gain in AUC", "over the baseline to beat of the same model and films", narrow=True),
    ]


def cells(entry: Entry) -> list[CellShown]:
    """The cells of a row, in the order of `columns`."""
    row = entry.row
    measured = [row.auc, *row.sensitivity_at.values(), row.sensitivity, row.specificity]
    numbers = [
        CellShown(f"{value.mean:.3f}", f"{value.low:.3f} to {value.high:.3f}", f"{value.mean:.6f}")
        for value in measured
    ]
    ece = CellShown(f"{row.calibration_error:.3f}", "", f"{-row.calibration_error:.6f}")
    accuracy = [
        CellShown(f"{value.mean:.3f}", f"{value.low:.3f} to {value.high:.3f}", f"{value.mean:.6f}")
        for value in ([row.accuracy] if len(row.classes) > 2 else [])
    ]
    return [
        CellShown(row.model, row.weights, row.model),
        CellShown(row.preprocessing, "", row.preprocessing),
        CellShown(row.dataset or "none", "", row.dataset or ""),
        CellShown(f"{row.skew:.2f}", "", f"{row.skew:.6f}"),
        *numbers,
        ece,
        *accuracy,
        _gain(entry),
    ]


def _gain(entry: Entry) -> CellShown:
    if entry.gain is None or entry.limits is None:
        return CellShown("baseline to beat" if entry.best else "no baseline", "", "0" if entry.best else "")
    mean, (low, high) = entry.gain.over_best.difference, entry.limits
    return CellShown(signed(mean), f"{signed(low)} to {signed(high)}", f"{mean:.6f}")


def confusion(entry: Entry) -> list[tuple[str, list[str]]]:
    """Rows (true class, counts by called class), each count one number per seed."""
    counts = [_counts(seed.metrics) for seed in entry.group.seeds]
    names = _names(entry)
    return [
        (name, [", ".join(str(of_seed[place][column]) for of_seed in counts) for column in range(len(names))])
        for place, name in enumerate(names)
    ]


def _counts(metrics: Metrics) -> list[list[int]]:
    if metrics.multiclass is not None:
        return metrics.multiclass.confusion
    c = metrics.confusion
    return [[c.tn, c.fp], [c.fn, c.tp]]


def _names(entry: Entry) -> list[str]:
    """The classes; of two, the positive one last, as `_counts` has them."""
    first = entry.group.first
    if len(first.classes) > 2:
        return first.classes
    return [*(name for name in first.classes if name != first.positive), first.positive]


def figures(entry: Entry) -> list[Markup]:
    """Reliability diagram and confidence histogram, drawn from the predictions."""
    calibrations = [seed.metrics.calibration for seed in entry.group.seeds]
    positive = entry.group.first.positive
    of_positive = [part.positive_reliability for part in calibrations]
    # That of the positive class where there are two classes and it is the second, as it always is here.
    two = entry.group.first.classes[-1] == positive and all(of_positive)
    bins = [part or [] for part in of_positive] if two else [part.reliability for part in calibrations]
    what = f"the probability of {positive}" if two else "the probability of the class that is called"
    # Safe: both are made of numbers and of names that the result's own pattern keeps to letters and digits.
    return [
        Markup(drawing.reliability(bins, what)),  # noqa: S704
        Markup(drawing.confidence(*entry.scores, positive)),  # noqa: S704
    ]


def shown(value: Proportion | Estimate | None) -> str:
    """A number with its interval."""
    return "" if value is None else f"{value.value:.3f} [{value.low:.3f} to {value.high:.3f}]"


def per_class(entry: Entry) -> list[tuple[int, str, multiclass.ClassMetrics]]:
    """(seed, class, its metrics) where there are more than two classes."""
    return list(
        chain.from_iterable(
            [(seed.seed, name, metrics) for name, metrics in seed.metrics.multiclass.per_class.items()]
            for seed in entry.group.seeds
            if seed.metrics.multiclass is not None
        )
    )


def filters(boards: Sequence[Board]) -> list[tuple[str, str, list[str]]]:
    """(name, label, values) of each filter."""
    rows = [entry.row for board in boards for entry in board.entries]
    return [
        ("suite", "Suite", _unique(f"{row.suite} {row.suite_version}" for row in rows)),
        ("task", "Task", _unique(row.task for row in rows)),
        ("films", "Films", _unique(row.preprocessing for row in rows)),
        ("model", "Model", _unique(row.model for row in rows)),
        ("dataset", "Dataset", _unique(row.dataset for row in rows if row.dataset)),
    ]


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def render(boards: Sequence[Board], versions: Sequence[VersionTable] = ()) -> str:
    """The whole page; `versions` are the tables of audits."""
    helpers = (columns, cells, confusion, figures, shown, signed, per_class, _names)
    template = templates.page(
        "covid_synth_data.leaderboard",
        difference=gains.with_limits,
        number=number,
        **{function.__name__.lstrip("_"): function for function in helpers},
    )
    return template.render(
        boards=boards,
        versions=versions,
        audited=markdown.AUDITED,
        filters=filters(boards),
        notes=markdown.NOTES,
        version=__version__,
        total=sum(len(board.entries) for board in boards),
        trained_on=tables.trained_on,
    )
