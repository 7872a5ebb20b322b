"""Where a printed number contradicts what is printed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from covid_synth_data.benchmark.reporting.published.cells import SHARES, Cell
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.comparison import fisher
from covid_synth_data.metrics.detection import Proportion, proportion

_SEARCH: Final = 5
"""How far from the printed share a count is looked for that has the printed interval."""


class Contradiction(FrozenModel):
    """A printed number that cannot be, and why."""

    cell: Cell
    problem: str


def contradictions(cells: Sequence[Cell]) -> list[Contradiction]:
    """Printed numbers that do not follow from what is printed with them, in the order of `cells`.

    Checked are shares and skews against their counts, accuracies against what `n` films allow,
    Clopper-Pearson intervals, p values of Fisher's test, one count that is printed as two numbers, and one
    number printed twice and differently. A share may be rounded or cut off after its last digit, as in the
    papers; a skew is rounded.
    """
    counts = {cell: _nearest(cell) for cell in cells if cell.metric == "accuracy" and cell.n}
    contradicting = []
    for cell in cells:
        problems = [
            _against_count(cell),
            _against_n(cell),
            _against_interval(cell),
            _against_test(cell, counts),
            _against_table(cell, counts),
            _against_other_tables(cell, cells),
        ]
        contradicting += [Contradiction(cell=cell, problem=problem) for problem in problems if problem]
    return contradicting


def _near(cell: Cell, exact: float) -> bool:
    """Rounded, or cut off after the last digit."""
    # The small term is for the binary fractions of printed decimals.
    return abs(float(cell.value) - exact) < cell.step * (1 + 1e-6)


def _against_count(cell: Cell) -> str | None:
    """A share or skew that is not that of its counts."""
    if cell.count is None or cell.n is None:
        return None
    if cell.count_of == "negatives":
        skew = cell.count / cell.n
        rounded = abs(float(cell.value) - skew) <= cell.step / 2
        return None if rounded else f"{cell.count:,} / {cell.n:,} = {skew:.2f}"
    hits = cell.count if cell.count_of == "hits" else cell.n - cell.count
    share = 100 * hits / cell.n
    return None if _near(cell, share) else f"{hits} of {cell.n} is {share:.2f} %"


def _nearest(cell: Cell) -> int:
    """The count of `n` films whose share is nearest to the printed one."""
    return round(float(cell.value) / 100 * (cell.n or 0))


def _against_n(cell: Cell) -> str | None:
    """A share that no count of `n` films gives."""
    if cell.metric not in SHARES or cell.n is None or cell.count is not None:
        return None
    share = 100 * _nearest(cell) / cell.n
    if _near(cell, share):
        return None
    return f"no count of {cell.n} films gives it; the nearest, {_nearest(cell)}, gives {share:.2f} %"


def _limits_are(share: Proportion, cell: Cell) -> bool:
    """Whether the printed limits are those of `share`, to two units of their third decimal."""
    low, high = cell.low or 0.0, cell.high or 0.0
    return abs(100 * share.low - low) < 0.002 and abs(100 * share.high - high) < 0.002


def _against_interval(cell: Cell) -> str | None:
    """Limits that are not Clopper & Pearson's for that count; for accuracies, where a paper says they are."""
    if cell.metric != "accuracy" or cell.n is None or cell.low is None or cell.high is None:
        return None
    right = proportion(_nearest(cell), cell.n)
    if _limits_are(right, cell):
        return None
    text = f"the interval of {right.count} of {cell.n} is {100 * right.low:.2f} to {100 * right.high:.2f}"
    for count in range(max(0, right.count - _SEARCH), min(cell.n, right.count + _SEARCH) + 1):
        if _limits_are(proportion(count, cell.n), cell):
            return f"{text}; the printed one is that of {count}"
    return text


def _against_test(cell: Cell, counts: dict[Cell, int]) -> str | None:
    """A p value of Fisher's exact test that the accuracies of the two regimes do not give."""
    if cell.metric != "fisher-p":
        return None
    side = {
        other.regime: (count, other.n or 0)
        for other, count in counts.items()
        if (other.paper, other.task, other.model) == (cell.paper, cell.task, cell.model)
    }
    if cell.regime not in side or cell.against not in side:
        return None
    (a, n_a), (b, n_b) = side[cell.against], side[cell.regime]
    p = fisher(a, n_a, b, n_b).p
    holds = p < float(cell.value) if cell.unit == "p below" else _near(cell, p)
    return None if holds else f"Fisher's exact test of {b} against {a} of {n_a} gives p = {p:.2g}"


def _against_table(cell: Cell, counts: dict[Cell, int]) -> str | None:
    """One count of films that is printed as two numbers in the same table."""
    for other, count in counts.items():
        if (
            cell in counts
            and count == counts[cell]
            and (other.paper, other.table, other.n) == (cell.paper, cell.table, cell.n)
            and other.value != cell.value
            and _against_n(other) is None
            and _against_n(cell) is None
        ):
            return f"{count} of {cell.n}, the same count as {other} in row {other.row}"
    return None


def _against_other_tables(cell: Cell, cells: Sequence[Cell]) -> str | None:
    """The same number, printed differently in another table of the paper."""
    if cell.metric == "fisher-p":
        return None
    for other in cells:
        same = (other.paper, other.task, other.model, other.regime, other.metric) == (
            cell.paper,
            cell.task,
            cell.model,
            cell.regime,
            cell.metric,
        )
        if same and other.table != cell.table and other.value != cell.value:
            return f"table {other.table} has {other}"
    return None
