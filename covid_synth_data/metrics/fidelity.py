"""Distances between a set of synthetic films and a set of real films, and the diversity of a set.

`real` and `fake` are arrays of features, shape (n, d) and (m, d), one row per film, any real type; all
computing is in float64. The values depend on the feature extractor and on the number of films, so values of
different extractors or different numbers of films cannot be compared. Arrays for which a metric is not
defined raise `MetricError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import intervals
from covid_synth_data.metrics.intervals import Interval
from covid_synth_data.metrics.neighbours import valid

Matrix = npt.NDArray[np.float64]

_CHUNK: Final = 64
"""Films summed at once by `diversity`: enough for speed, little enough for memory."""


class KernelDistance(FrozenModel):
    """`value` is the mean of the estimates of `subsets` pairs of subsets of `size` rows, `spread` their
    standard deviation: that of one estimate, not that of the mean. `value` may fall a little below 0."""

    value: float
    spread: Annotated[float, Field(ge=0.0)]
    subsets: Annotated[int, Field(gt=0)]
    size: Annotated[int, Field(gt=1)]


def frechet_distance(real: npt.ArrayLike, fake: npt.ArrayLike) -> float:
    """The squared Frechet distance of the Gaussians fitted to both sets (Heusel et al. 2017), 0 or more.

    |mean1 - mean2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2) with the unbiased covariances C1 and C2, which
    may be singular: fewer rows than features are allowed. The estimate falls as rows are added, so compare
    only values from the same numbers of rows. Needs two rows on each side.
    """
    first, second = _pair(real, fake)
    shift = first.mean(axis=0) - second.mean(axis=0)
    roots = _root(first), _root(second)
    spread = sum(float(np.square(root).sum()) for root in roots)
    # With C = R^T R, the eigenvalues of C1^1/2 C2 C1^1/2 are the squared singular values of R1 R2^T. Taken
    # from there they lose no digits to a square root of what rounding left of a zero.
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return max(0.0, float(shift @ shift) + spread - 2 * shared)


def kernel_distance(
    real: npt.ArrayLike, fake: npt.ArrayLike, *, subsets: int = 50, size: int | None = None, seed: int = 0
) -> KernelDistance:
    """The kernel distance (KID) of Binkowski et al. 2018: unbiased MMD^2 with the kernel (x.y / d + 1)^3.

    Averaged over `subsets` draws of `size` rows of each set without replacement (None: 500, or half of the
    smaller set where that is less). Its expectation does not depend on the number of rows, so it serves where
    sets are too small or unequal for the Frechet distance. The same arguments give the same draws.
    """
    first, second = _pair(real, fake)
    smaller = min(len(first), len(second))
    size = max(2, min(500, smaller // 2)) if size is None else size
    if subsets < 1 or not 2 <= size <= smaller:
        raise MetricError(
            "subsets that cannot be drawn",
            found=f"{subsets} of {size} rows",
            expected=f"1 or more, of 2 to {smaller} rows",
        )
    random = np.random.default_rng([seed, 0x1D])
    values = np.array(
        [
            _unbiased_mmd(
                first[random.choice(len(first), size, replace=False)],
                second[random.choice(len(second), size, replace=False)],
            )
            for _ in range(subsets)
        ]
    )
    return KernelDistance(
        value=float(values.mean()), spread=float(values.std()), subsets=subsets, size=int(size)
    )


def kernel_distance_between_groups(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    real_groups: Sequence[str],
    fake_groups: Sequence[str],
    *,
    parts: int = 20,
    seed: int = 0,
) -> Interval:
    """The kernel distance of all rows, with the interval of a delete-a-group jackknife of each set.

    Groups, such as patients, are dealt to `parts` parts; the kernel is summed between parts once, so leaving
    one out costs nothing more. Unlike `kernel_distance` this uses every pair of rows: no subsets, no seed but
    that of the deal. Raises `MetricError`, also for a set of fewer than two groups.
    """
    sets = _pair(real, fake)
    part = [intervals.parts_of(names, parts, seed) for names in (real_groups, fake_groups)]
    for rows, numbers in zip(sets, part, strict=True):
        if len(numbers) != len(rows) or len(np.unique(numbers)) < 2:
            raise MetricError(
                "groups that give no interval", found=f"{len(np.unique(numbers))}", expected="at least 2"
            )
    first, second = ([rows[n == p] for p in np.unique(n)] for rows, n in zip(sets, part, strict=True))
    sums = [_kernel_sums(a, b) for a, b in ((first, first), (second, second), (first, second))]
    counts = [np.array([len(rows) for rows in split]) for split in (first, second)]
    diagonals = [np.array([_diagonal(rows).sum() for rows in split]) for split in (first, second)]

    def value(kept: tuple[Matrix, ...]) -> float:
        n, m = (float(count @ keep) for count, keep in zip(counts, kept, strict=True))
        within = [
            (float(keep @ total @ keep) - float(diagonal @ keep)) / (size * (size - 1))
            for total, keep, diagonal, size in zip(sums[:2], kept, diagonals, (n, m), strict=True)
        ]
        return within[0] + within[1] - 2 * float(kept[0] @ sums[2] @ kept[1]) / (n * m)

    return intervals.from_deletions(value, (len(first), len(second)))


def diversity(images: npt.NDArray[np.uint8]) -> float:
    """Mean over the pixels of the standard deviation across films uint8 (n, h, w), in grey levels.

    0 where all films are the same picture: a generator that collapses falls far below the films that it
    learned from. Exact, whatever the order of the films. Needs two films.
    """
    films = np.asarray(images)
    if films.ndim != 3 or films.dtype != np.uint8 or 0 in films.shape[1:]:
        raise MetricError(
            "films of a wrong kind", found=f"{films.dtype} {films.shape}", expected="uint8 (n, h, w)"
        )
    if len(films) < 2:
        raise MetricError("too few films", found=str(len(films)), expected="at least 2")
    total = np.zeros(films.shape[1:], np.int64)
    squares = np.zeros(films.shape[1:], np.int64)
    for start in range(0, len(films), _CHUNK):
        part = films[start : start + _CHUNK].astype(np.int64)
        total += part.sum(axis=0)
        squares += np.square(part).sum(axis=0)
    return float(np.sqrt(len(films) * squares - total * total).mean() / len(films))


def _root(rows: Matrix) -> Matrix:
    """R of shape (min(n, d), d) with R^T R = the unbiased covariance of `rows` (n, d)."""
    centred: Matrix = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    if len(rows) <= rows.shape[1]:
        return centred
    triangle: Matrix = np.asarray(np.linalg.qr(centred, mode="r"))
    return triangle


def _unbiased_mmd(first: Matrix, second: Matrix) -> float:
    """The U-statistic of MMD^2 for two sets of one size, pairs of a row with itself left out."""
    rows = len(first)

    def within(values: Matrix) -> float:
        kernel = _kernel(values, values)
        return float((kernel.sum() - np.trace(kernel)) / (rows * (rows - 1)))

    return within(first) + within(second) - 2 * float(_kernel(first, second).mean())


def _kernel_sums(first: list[Matrix], second: list[Matrix]) -> Matrix:
    """The kernel summed over all pairs of a row of part i of the one set and one of part j of the other."""
    return np.array([[float(_kernel(a, b).sum()) for b in second] for a in first])


def _diagonal(rows: Matrix) -> Matrix:
    values: Matrix = (np.einsum("ij,ij->i", rows, rows) / rows.shape[1] + 1.0) ** 3
    return values


def _kernel(first: Matrix, second: Matrix) -> Matrix:
    values: Matrix = (first @ second.T / first.shape[1] + 1.0) ** 3
    return values


def _pair(real: npt.ArrayLike, fake: npt.ArrayLike) -> tuple[Matrix, Matrix]:
    """Both as float64. Raises `MetricError`."""
    first = valid(real, "real films", least=2).astype(np.float64)
    second = valid(fake, "fake films", least=2).astype(np.float64)
    if first.shape[1] != second.shape[1]:
        raise MetricError(
            "features of different extractors",
            found=f"{first.shape[1]} and {second.shape[1]} columns",
            expected="the same number",
            hint="take the features of both with one extractor",
        )
    return first, second
