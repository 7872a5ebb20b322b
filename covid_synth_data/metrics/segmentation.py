"""How well label maps of CT slices are found: Dice, sensitivity and specificity of each structure.

Label maps are arrays of the values 0 background, 1 lung, 2 ground-glass opacity, 3 consolidation. A structure
is what lies in one or two of these; every measure is made of four counts of pixels of a slice (`Counts`), so
whoever has the counts can compute every number again.

Scores are of pooled pixels: the counts of all slices of a set are added before they are divided. What would
divide by nothing is None and left out of means, which say how many parts they are of. Intervals are at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat
from scipy import special

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel

Ints = npt.NDArray[np.int64]
Maps = npt.NDArray[Any]
How = Literal["random", "neighbours"]

LABELS: Final = 4
STRUCTURES: Final = {"ggo": (2,), "consolidation": (3,), "infection": (2, 3)}
"""Structure to its values in a label map (jiang2020, Sect. IV.B.2)."""

MEASURES: Final = ("dice", "sensitivity", "specificity")
LEVEL: Final = 0.95
FOLDS: Final = 10
REPLICATES: Final = 2000

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class Counts(FrozenModel):
    """Pixels of a structure: found, wrongly found, missed, rightly left alone."""

    tp: Count
    fp: Count
    fn: Count
    tn: Count

    @property
    def pixels(self) -> int:
        """All of them: those of the slice."""
        return self.tp + self.fp + self.fn + self.tn


class Scores(FrozenModel):
    """Of pooled pixels. `dice` is None where the structure is in neither map, `sensitivity` where it is not
    in the truth, `specificity` where it fills the truth."""

    dice: Share | None
    sensitivity: Share | None
    specificity: Share | None


class Mean(FrozenModel):
    """The mean over `n` parts of a test set with its t interval: `value` - `half` to `value` + `half`.

    `half` is None for one part, `value` too for none; `left_out` parts have no value of their own. The limits
    of a share can lie outside [0, 1]: a t interval does not know where it must end.
    """

    value: FiniteFloat | None
    half: FiniteFloat | None
    n: Count
    left_out: Count


class Means(FrozenModel):
    """Each measure over the parts of a test set."""

    dice: Mean
    sensitivity: Mean
    specificity: Mean


class Interval(FrozenModel):
    """Percentile limits of a bootstrap, None where no replicate has a value; `left_out` of them have none."""

    low: Share | None
    high: Share | None
    left_out: Count


class Intervals(FrozenModel):
    """Each measure over the replicates."""

    dice: Interval
    sensitivity: Interval
    specificity: Interval


class Structure(FrozenModel):
    """Everything about one structure on one test set.

    `pooled` are the scores of all slices together and `bootstrap` their interval over whole patients, None
    for one patient; `folds` means over ten random parts of the slices, as the paper reports; `neighbours`
    over ten parts of neighbouring slices, which are less alike than random parts are. `patients` are the
    scores of each patient and `over_patients` their means. `present` slices have the structure in truth.
    """

    present: Count
    pooled: Scores
    bootstrap: Intervals | None
    folds: Means
    neighbours: Means
    patients: dict[str, Scores]
    over_patients: Means


class Segmentation(FrozenModel):
    """All structures on one test set."""

    ggo: Structure
    consolidation: Structure
    infection: Structure


def counts(truth: Maps, predicted: Maps, structure: str) -> Ints:
    """(n, 4) counts tp, fp, fn, tn of each of n label maps (n, h, w). Raises `MetricError`."""
    real, called = _maps(truth, "true"), _maps(predicted, "predicted")
    if structure not in STRUCTURES:
        raise MetricError(f"no structure {structure!r}", expected="one of " + ", ".join(STRUCTURES))
    if real.shape != called.shape:
        raise MetricError("label maps of two shapes", found=f"{real.shape} and {called.shape}")
    in_truth, in_prediction = (np.isin(maps, STRUCTURES[structure]) for maps in (real, called))
    total = real.shape[1] * real.shape[2]
    true_pixels, predicted_pixels = (
        mask.sum(axis=(1, 2), dtype=np.int64) for mask in (in_truth, in_prediction)
    )
    both = (in_truth & in_prediction).sum(axis=(1, 2), dtype=np.int64)
    return np.stack(
        [both, predicted_pixels - both, true_pixels - both, total - true_pixels - predicted_pixels + both],
        axis=1,
    )


def scores(pixels: npt.ArrayLike) -> Scores:
    """The scores of counts (4,), or of several (n, 4) added up. Raises `MetricError`."""
    values = _measures(_counts(pixels).sum(axis=0, keepdims=True))[0]
    return Scores(**{name: _number(value) for name, value in zip(MEASURES, values, strict=True)})


def mean(values: Sequence[float | None], level: float = LEVEL) -> Mean:
    """The mean of the values that are not None, with half of its t interval."""
    known = np.array([value for value in values if value is not None], np.float64)
    half = None
    if len(known) > 1:
        quantile = special.stdtrit(len(known) - 1, (1 + level) / 2)
        half = float(quantile * known.std(ddof=1) / np.sqrt(len(known)))
    value = float(known.mean()) if len(known) else None
    return Mean(value=value, half=half, n=len(known), left_out=len(values) - len(known))


def parts(n: int, folds: int = FOLDS, *, how: How = "random", seed: int = 0) -> list[Ints]:
    """`n` slices as `folds` parts of the same number, give or take one: indices, those of a part sorted.

    "random" deals them out by `seed`; "neighbours" cuts the slices, in the order in which they stand, into
    runs. Fewer slices than folds give a part to each slice. Raises `MetricError`.
    """
    if n < 1 or folds < 2:
        raise MetricError(
            "parts that cannot be made",
            found=f"{folds} parts of {n} slices",
            expected="2 or more, of 1 or more",
        )
    order = np.random.default_rng([seed, 0xF01D]).permutation(n) if how == "random" else np.arange(n)
    return [np.sort(part) for part in np.array_split(order, min(folds, n))]


def over_parts(pixels: npt.ArrayLike, chosen: Sequence[npt.ArrayLike]) -> Means:
    """Means over parts, given as indices of the rows of counts (n, 4), of the scores of each part."""
    rows = _counts(pixels)
    return _means([scores(rows[np.asarray(part)]) for part in chosen])


def bootstrap(
    pixels: npt.ArrayLike,
    patients: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Intervals | None:
    """Percentile intervals of the pooled scores, whole patients drawn with replacement; None for one patient.

    Of few patients it says little: of two, half of all replicates hold only one of them.
    """
    rows = _counts(pixels)
    names = _names(rows, patients)
    if len(names) < 2:
        return None
    each = np.stack([rows[index].sum(axis=0) for index in names.values()])
    random = np.random.default_rng([seed, 0xB007])
    weights = random.multinomial(len(each), [1 / len(each)] * len(each), size=replicates)
    values = _measures(weights @ each)
    intervals = {}
    for column, name in enumerate(MEASURES):
        known = values[:, column][~np.isnan(values[:, column])]
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (None, None)
        intervals[name] = Interval(low=_number(low), high=_number(high), left_out=replicates - len(known))
    return Intervals(**intervals)


def evaluate(
    pixels: npt.ArrayLike, patients: Sequence[str], *, folds: int = FOLDS, seed: int = 0
) -> Structure:
    """Everything about counts (n, 4) of slices, which stand patient by patient in the order of the body.

    `patients` names the patient of each slice; `seed` deals the random parts and draws the bootstrap.
    Raises `MetricError`.
    """
    rows = _counts(pixels)
    each = {name: scores(rows[index]) for name, index in _names(rows, patients).items()}
    return Structure(
        present=int((rows[:, 0] + rows[:, 2] > 0).sum()),
        pooled=scores(rows),
        bootstrap=bootstrap(rows, patients, seed=seed),
        folds=over_parts(rows, parts(len(rows), folds, seed=seed)),
        neighbours=over_parts(rows, parts(len(rows), folds, how="neighbours")),
        patients=each,
        over_patients=_means(list(each.values())),
    )


def _means(each: Sequence[Scores]) -> Means:
    return Means(**{name: mean([getattr(slice_scores, name) for slice_scores in each]) for name in MEASURES})


def _measures(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Counts (n, 4) to (n, 3) of `MEASURES`; NaN where one is not defined."""
    tp, fp, fn, tn = rows.T.astype(np.float64)
    above = np.stack([2 * tp, tp, tn], axis=1)
    below = np.stack([2 * tp + fp + fn, tp + fn, tn + fp], axis=1)
    shares: npt.NDArray[np.float64] = np.full_like(above, np.nan)
    np.divide(above, below, out=shares, where=below > 0)
    return shares


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _names(rows: Ints, patients: Sequence[str]) -> dict[str, Ints]:
    """Patient to the indices of the slices, in the order of first appearance. Raises `MetricError`."""
    if len(patients) != len(rows):
        raise MetricError("patients of other slices", found=f"{len(patients)}", expected=f"{len(rows)}")
    indices: dict[str, list[int]] = {}
    for index, name in enumerate(patients):
        indices.setdefault(str(name), []).append(index)
    return {name: np.array(index) for name, index in indices.items()}


def _maps(values: Maps, name: str) -> Maps:
    """Label maps (n, h, w) of known values. Raises `MetricError`."""
    maps = np.asarray(values)
    if maps.ndim != 3 or maps.dtype.kind not in "iu" or 0 in maps.shape:
        raise MetricError(
            f"{name} label maps of a wrong kind",
            found=f"{maps.dtype} {maps.shape}",
            expected="whole numbers (n, h, w)",
        )
    if maps.min() < 0 or maps.max() >= LABELS:
        raise MetricError(
            f"{name} label maps with unknown values",
            found=f"{maps.min()} to {maps.max()}",
            expected="0 background, 1 lung, 2 ground-glass opacity, 3 consolidation",
        )
    return maps


def _counts(pixels: npt.ArrayLike) -> Ints:
    """Counts as int64 (n, 4), n >= 1. Raises `MetricError`."""
    given: npt.NDArray[Any] = np.asarray(pixels)
    rows = given[None] if given.ndim == 1 else given
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows) or rows.dtype.kind not in "iu" or rows.min() < 0:
        raise MetricError(
            "counts of a wrong kind",
            found=f"{given.dtype} {given.shape}",
            expected="whole numbers from 0 on, (n, 4): tp, fp, fn, tn",
        )
    return rows.astype(np.int64)
