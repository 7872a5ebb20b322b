"""Statistics of several trainings on one test set, on the test set itself and on resampled patients.

Films `n`, seeds `S`, patients `G`, replicates `R`. `scores` has shape (S, n): the probability of the
positive class that the classifier of each seed gives to each film. Films are sorted once; a replicate
changes their weights and not their order. What is made of it, and why, is in `crossed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import detection
from covid_synth_data.metrics.detection import REPLICATES, Bools, Floats, Ints

CALL: Final = 0.5
"""Of two classes, the positive one is called at this probability or more."""

_BLOCK: Final = 500
"""Replicates that are computed together: the weights of a block stay in the processor's cache."""


@dataclass(frozen=True)
class Draws:
    """The patients of a test set, drawn: `weights` has blocks of shape (n, replicates of the block) that say
    how often each film is drawn; `group` (n,) numbers the patient of each film."""

    truth: Bools
    group: Ints
    weights: tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True)
class Statistic:
    """One statistic of one regime.

    `values` (S,) are those of the seeds on the test set, `replicates` (R, S) those on the drawn patients, and
    `influence` (G, S) says how much each patient adds to or takes from the value, to first order. `patients`
    is the number of patients whose films it is a share of; for the AUC, of those with a positive film.
    """

    values: Floats
    replicates: Floats
    influence: Floats
    patients: int

    @property
    def value(self) -> float:
        """The mean over the seeds."""
        return float(self.values.mean())


def draw(
    truth: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Draws:
    """Draw the patients of a test set whose films have labels `truth` (n,), 0 or 1.

    What is drawn depends on the arguments alone, so that all regimes of a table see the same patients.
    Replicates without one of the classes are drawn again. Raises `MetricError`.
    """
    labels = np.asarray(truth)
    if labels.ndim != 1 or not np.isin(labels, (0, 1)).all() or len(set(labels.tolist())) < 2:
        raise MetricError("the labels do not fit", found=f"shape {labels.shape}", expected="both 0 and 1")
    positive = labels == 1
    group = detection.patient_numbers(patients, len(labels))
    has_positive = np.bincount(group, weights=positive) > 0
    strata = [part for part in (np.flatnonzero(has_positive), np.flatnonzero(~has_positive)) if len(part)]
    rng = np.random.default_rng([seed, 0xC05])
    blocks = []
    for start in range(0, replicates, _BLOCK):
        size = min(_BLOCK, replicates - start)
        times = detection.draw_patients(strata, rng, size)[:, group]
        for _ in range(100):
            lacking = (times[:, positive].sum(axis=1) == 0) | (times[:, ~positive].sum(axis=1) == 0)
            if not lacking.any():
                break
            times[lacking] = detection.draw_patients(strata, rng, int(lacking.sum()))[:, group]
        else:
            raise MetricError(
                "no interval", found="one class only in most replicates", expected="more patients"
            )
        blocks.append(np.ascontiguousarray(times.T, dtype=np.float32))
    return Draws(positive, group, tuple(blocks))


def evaluate(
    draws: Draws,
    scores: npt.ArrayLike,
    right: npt.ArrayLike | None = None,
    specificities: Sequence[float] = detection.SPECIFICITIES,
) -> dict[str, Statistic]:
    """All statistics of a regime by name: `auc`, `sensitivity` and `specificity` at 0.5, `accuracy`, and
    `sensitivity at specificity 0.90` and so on.

    `scores` (S, n); `right` (S, n) says which films are called rightly; for two classes it follows from the
    scores. The threshold for a specificity is read again from the negatives of each replicate: its own chance
    is part of the interval. Raises `MetricError`.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if table.shape[1:] != draws.truth.shape or not ((table >= 0) & (table <= 1)).all():
        raise MetricError(
            "the scores do not fit the films",
            found=f"shape {table.shape}",
            expected=f"(seeds, {len(draws.truth)}), in [0, 1]",
        )
    called = table >= CALL
    rightly = (called == draws.truth) if right is None else np.atleast_2d(np.asarray(right, dtype=bool))
    statistics = {
        "sensitivity": share(draws, called, draws.truth),
        "specificity": share(draws, ~called, ~draws.truth),
        "accuracy": share(draws, rightly, np.ones_like(draws.truth)),
    }
    sick = len(np.unique(draws.group[draws.truth]))
    ranked = [_ranked(draws, row, specificities) for row in table]
    names = ["auc", *(specificity_name(target) for target in specificities)]
    for place, name in enumerate(names):
        values, replicates, influence = zip(*(one[place] for one in ranked), strict=True)
        statistics[name] = Statistic(
            np.array(values), np.stack(replicates, axis=1), np.stack(influence, axis=1), sick
        )
    return statistics


def specificity_name(target: float) -> str:
    """The name of the statistic that is the sensitivity at a specificity of `target`."""
    return f"sensitivity at specificity {target:.2f}"


def share(draws: Draws, hits: Bools, among: Bools) -> Statistic:
    """The share of the films in `among` (n,) that are in `hits` (S, n).

    In a replicate that drew no film of `among` it is that of the test set.
    """
    inside = hits[:, among].astype(np.float32)
    values = inside.mean(axis=1, dtype=np.float64)
    drawn = [block[among] for block in draws.weights]
    films = np.concatenate([block.sum(axis=0, dtype=np.float64) for block in drawn])[:, None]
    hit = np.concatenate([(inside @ block).T.astype(np.float64) for block in drawn])
    replicates = np.divide(hit, films, out=np.tile(values, (len(hit), 1)), where=films > 0)
    moved = (inside - values[:, None]) / inside.shape[1]
    patients = len(np.unique(draws.group[among]))
    return Statistic(values, replicates, _by_patient(draws, moved, among), patients)


def averages(
    values: npt.ArrayLike,
    patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
) -> Statistic:
    """The mean over films of `values` (S, n), one for each film under each seed.

    Patients are drawn with all their films. Raises `MetricError` for values that are not finite.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    if not table.size or not np.isfinite(table).all():
        raise MetricError("no mean", found=f"shape {table.shape}, or not finite", expected="finite numbers")
    group = detection.patient_numbers(patients, table.shape[1])
    counts = np.bincount(group).astype(np.float64)
    sums = np.stack([np.bincount(group, weights=row) for row in table])
    rng = np.random.default_rng([seed, 0xA7E])
    times = detection.draw_patients([np.arange(len(counts))], rng, replicates).astype(np.float64)
    means = table.mean(axis=1)
    moved = (sums - means[:, None] * counts) / table.shape[1]
    return Statistic(means, (times @ sums.T) / (times @ counts)[:, None], moved.T, len(counts))


def mean(parts: Sequence[Statistic]) -> Statistic:
    """The mean of several statistics of the same seeds and draws."""
    return Statistic(
        np.mean([part.values for part in parts], axis=0),
        np.mean([part.replicates for part in parts], axis=0),
        np.mean([part.influence for part in parts], axis=0),
        min(part.patients for part in parts),
    )


def _by_patient(draws: Draws, moved: Floats, among: Bools) -> Floats:
    """Sums over the films of each patient, (G, S), of `moved` (S, films in `among`)."""
    group, patients = draws.group[among], int(draws.group.max()) + 1
    return np.stack([np.bincount(group, weights=row, minlength=patients) for row in moved], axis=1)


def _ranked(
    draws: Draws, scores: Floats, specificities: Sequence[float]
) -> list[tuple[float, Floats, Floats]]:
    """Value, replicates (R,) and influence (G,) of the AUC, then of the sensitivity at each specificity.

    Films are sorted once; a replicate changes their weights and not their order.
    """
    negatives, positives = np.flatnonzero(~draws.truth), np.flatnonzero(draws.truth)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    positives = positives[np.argsort(scores[positives], kind="stable")]
    below, above = scores[negatives], scores[positives]
    first, last = np.searchsorted(below, above, "left"), np.searchsorted(below, above, "right")
    rows = [
        _block(block, negatives, positives, (first, last), (below, above), specificities)
        for block in draws.weights
    ]
    unit_weights = np.ones((len(scores), 1), dtype=np.float32)
    whole = _block(unit_weights, negatives, positives, (first, last), (below, above), specificities)

    # Placements: which share of the other class lies on the right side of a film, ties counting half.
    beaten = (first + last) / 2 / len(below)
    beating = 1 - (np.searchsorted(above, below, "left") + np.searchsorted(above, below, "right")) / 2 / len(
        above
    )
    moved = np.zeros(len(scores))
    moved[positives] = (beaten - beaten.mean()) / len(above)
    moved[negatives] = (beating - beating.mean()) / len(below)
    influences = [moved]
    for target in specificities:
        hit = above > below[max(1, int(np.ceil(target * len(below) - 1e-9))) - 1]
        moved = np.zeros(len(scores))
        moved[positives] = (hit - hit.mean()) / len(above)
        influences.append(moved)
    return [
        (
            float(whole[place][0]),
            np.concatenate([block[place] for block in rows]),
            np.bincount(draws.group, weights=influences[place]).astype(np.float64),
        )
        for place in range(1 + len(specificities))
    ]


def _block(
    weights: npt.NDArray[np.float32],
    negatives: Ints,
    positives: Ints,
    places: tuple[Ints, Ints],
    sorted_scores: tuple[Floats, Floats],
    specificities: Sequence[float],
) -> list[Floats]:
    """The AUC and the sensitivities of a block of replicates, each (replicates,)."""
    lost = detection.running_sum(weights[negatives])
    hits = weights[positives]
    pairs = hits.sum(axis=0, dtype=np.float64) * lost[-1]
    under = np.einsum("ij,ij->j", hits, lost[places[0]] + lost[places[1]]).astype(np.float64)
    statistics = [under / 2 / pairs]
    caught = detection.running_sum(hits)
    columns = np.arange(weights.shape[1])
    below, above = sorted_scores
    for target in specificities:
        threshold = below[_first_at(lost, target) - 1]
        missed = caught[np.searchsorted(above, threshold, "right"), columns]
        statistics.append(1 - missed.astype(np.float64) / caught[-1])
    return statistics


def _first_at(sums: npt.NDArray[np.float32], target: float) -> Ints:
    """The first row of running `sums` that reaches `target` of the last, at least 1, for each column."""
    columns = np.arange(sums.shape[1])
    threshold = target * sums[-1].astype(np.float64) - 1e-6
    low, high = np.ones_like(columns), np.full_like(columns, len(sums) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        reached = sums[middle, columns] >= threshold
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low
