"""Privacy attacks: re-identification of source films, and membership in the training set.

Both are attacks that anyone with the released films can run. A weak result does not prove privacy: a better
attack may do more. All functions take arrays and know no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import detection, intervals, neighbours
from covid_synth_data.metrics.approximate import Graph
from covid_synth_data.metrics.intervals import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Ranks = tuple[Ints, Ints, Ints]
"""Of each query: the place of its answer, how many gallery films are right, how many were ranked."""

_ROWS = 512


class TopK(FrozenModel):
    """The share of queries whose answer is among the `k` nearest, beside `chance`, that of a random order."""

    k: Annotated[int, Field(ge=1)]
    share: Interval
    chance: Annotated[float, Field(ge=0, le=1)]


def ranks(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    answers: npt.ArrayLike,
    gallery_groups: npt.ArrayLike,
    left_out: npt.ArrayLike | None = None,
) -> Ranks:
    """At which place, from 1, each query (n, d) has the first film of its answer in a gallery (m, d).

    `answers` (n,) names the group to be found, `gallery_groups` (m,) the group of each film: films for
    re-identification of films, patients for that of patients. `left_out` (n,) is a row of the gallery that is
    passed over, -1 for none. Returns the places, how many gallery films are right for each query, and how
    many films were ranked. Ties count against the attack. Raises `MetricError` where an answer is not in the
    gallery.
    """
    first, second = neighbours.checked(queries, "queries"), neighbours.checked(gallery, "gallery films")
    wanted, groups = np.asarray(answers), np.asarray(gallery_groups)
    passed = np.full(len(first), -1) if left_out is None else np.asarray(left_out, np.int64)
    if wanted.shape != (len(first),) or groups.shape != (len(second),) or passed.shape != wanted.shape:
        raise MetricError("answers do not fit the queries", found=f"{wanted.shape}, {groups.shape}")
    centre = second.mean(axis=0)
    points = (second - centre).astype(np.float64)
    lengths = np.einsum("ij,ij->i", points, points)

    def squares(part: slice) -> Floats:
        return np.asarray(lengths - 2 * ((first[part] - centre).astype(np.float64) @ points.T))

    return _ranked(squares, wanted, groups, passed)


def ranks_by_likeness(
    likeness: npt.ArrayLike,
    answers: npt.ArrayLike,
    gallery_groups: npt.ArrayLike,
    left_out: npt.ArrayLike | None = None,
) -> Ranks:
    """As `ranks`, for queries and gallery films whose `likeness` (n, m) is given, higher for nearer.

    Raises `MetricError` for likenesses that are not finite or do not fit, and where an answer is not there.
    """
    alike = np.asarray(likeness)
    wanted, groups = np.asarray(answers), np.asarray(gallery_groups)
    passed = np.full(len(wanted), -1) if left_out is None else np.asarray(left_out, np.int64)
    if alike.shape != (len(wanted), len(groups)) or passed.shape != wanted.shape:
        raise MetricError(
            "likenesses do not fit the queries",
            found=f"{alike.shape}",
            expected=f"{(len(wanted), len(groups))}",
        )
    if not np.isfinite(alike).all():
        raise MetricError("likenesses that are not finite", found="NaN", expected="finite numbers")
    return _ranked(lambda part: -alike[part].astype(np.float64), wanted, groups, passed)


def _ranked(
    distances: Callable[[slice], Floats], wanted: npt.NDArray[Any], groups: npt.NDArray[Any], passed: Ints
) -> Ranks:
    """The places, the right films and the ranked films of `ranks`; `distances` gives rows (part, m)."""
    count = len(wanted)
    place, right = np.empty(count, np.int64), np.empty(count, np.int64)
    for start in range(0, count, _ROWS):
        part = slice(start, min(start + _ROWS, count))
        squared = distances(part)
        fits = groups[None] == wanted[part, None]
        skipped = passed[part]
        at = np.flatnonzero(skipped >= 0)
        fits[at, skipped[at]] = False
        squared[at, skipped[at]] = np.inf
        right[part] = fits.sum(axis=1)
        best = np.where(fits, squared, np.inf).min(axis=1)
        place[part] = ((squared <= best[:, None]) & ~fits).sum(axis=1) + 1
    if not right.all():
        raise MetricError(
            "an answer that is not in the gallery",
            found=str(wanted[int(np.argmin(right))]),
            expected="a film of each answer",
        )
    return place, right, len(groups) - (passed >= 0).astype(np.int64)


def top_k(
    places: npt.ArrayLike,
    right: npt.ArrayLike,
    ranked: npt.ArrayLike,
    k: int,
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> TopK:
    """The share of queries found within `k`, with the interval over `groups`, and the chance of that.

    A random order has one of `right` films among the first `k` of `ranked` with the hypergeometric
    probability 1 - C(ranked - right, k) / C(ranked, k).
    """
    place, all_right, all_ranked = (np.asarray(values, np.int64) for values in (places, right, ranked))
    drawn = np.minimum(k, all_ranked)
    chance = 1 - stats.hypergeom.pmf(0, all_ranked, all_right, drawn)
    share = intervals.mean((place <= k).astype(np.float64), groups, seed=seed)
    return TopK(k=k, share=share, chance=float(np.clip(np.mean(chance), 0, 1)))


def membership(
    members: npt.ArrayLike,
    others: npt.ArrayLike,
    member_patients: Sequence[str] | npt.NDArray[Any],
    other_patients: Sequence[str] | npt.NDArray[Any],
    *,
    seed: int = 0,
) -> detection.Estimate:
    """The AUC with which a score tells training films from others, with a bootstrap over patients.

    `members` (n,) and `others` (m,) are scores, higher for "was trained on", of films of the same kind; 0.5
    is a guess. Raises `MetricError` for scores that are not finite.
    """
    scores = np.concatenate([np.asarray(members, np.float64), np.asarray(others, np.float64)])
    if not np.isfinite(scores).all():
        raise MetricError("scores that are not finite", found=f"{int((~np.isfinite(scores)).sum())} of them")
    truth = np.repeat([1, 0], [len(np.asarray(members)), len(np.asarray(others))])
    # The AUC needs the order alone; `detection` takes numbers in [0, 1].
    place = (stats.rankdata(scores) - 0.5) / max(len(scores), 1)
    return detection.auc_interval(
        truth, place, [*member_patients, *other_patients], seed=seed, replicates=1000
    )


def attack_scores(
    films: npt.ArrayLike, made: npt.ArrayLike, k: int = 5, graph: Graph | None = None
) -> dict[str, Floats]:
    """Scores of membership (n,) of `films` (n, d) by how near `made` (m, d) films are, higher for nearer.

    "nearest": the nearest made film. "neighbours": the mean of the `k` nearest. "count": how many made films
    lie within the median distance of a film to its nearest made film (Hilprecht et al. 2019). A `graph` over
    `made` makes the search approximate; "count" then is left out, as it compares each film with every other.
    """
    near = neighbours.nearest(films, made, k, graph=graph).distances
    scores = {"nearest": -near[:, 0], "neighbours": -near.mean(axis=1)}
    if graph is not None:
        return scores
    radius = float(np.median(near[:, 0]))
    sets = neighbours.checked(films, "films"), neighbours.checked(made, "made films")
    counts = neighbours.counts_within(*sets, radius**2).astype(np.float64)
    return {**scores, "count": counts}
