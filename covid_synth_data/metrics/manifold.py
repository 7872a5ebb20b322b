"""Precision, recall, density and coverage of synthetic films with respect to real films.

Real and made films are points of features; around each point stands a ball whose radius is the distance to
its k-th neighbour in its own set (Kynkaanniemi et al. 2019; Naeem et al. 2020). Precision is the share of
made films within some ball of a real film; recall is the share of real films within some ball of a made film;
density counts the real balls that hold a made film, over k, and may exceed 1; coverage is the share of real
films whose ball holds a made film. Two samples of one distribution have a density near 1, a coverage near
1 - 2^-k, and precision and recall that depend on the number of films and of features: compare each with the
same number for two real halves.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import neighbours

Floats = npt.NDArray[np.float64]

NEIGHBOURS: Final = 5


class Manifold(NamedTuple):
    """The contribution of each film to a metric, float64: the metric is the mean. `precision` and `density`
    are per made film (m,), `recall` and `coverage` per real film (n,)."""

    precision: Floats
    recall: Floats
    density: Floats
    coverage: Floats

    def values(self) -> dict[str, float]:
        """The four metrics."""
        return {name: float(rows.mean()) for name, rows in self._asdict().items()}


def measure(real: npt.ArrayLike, fake: npt.ArrayLike, k: int = NEIGHBOURS) -> Manifold:
    """The four metrics of features `real` (n, d) and `fake` (m, d), film by film.

    A film on the edge of a ball counts as inside, so that a set of copies is inside its originals. Raises
    `MetricError` where a set has not more than `k` films.
    """
    if k < 1:
        raise MetricError("no such number of neighbours", found=str(k), expected="1 or more")
    first, second = (
        neighbours.checked(rows, f"{name} films", k + 1) for rows, name in ((real, "real"), (fake, "made"))
    )
    if first.shape[1] != second.shape[1]:
        raise MetricError(
            "features of different extractors",
            found=f"{first.shape[1]} and {second.shape[1]} columns",
            expected="the same number",
        )
    real_radius = neighbours.nearest(first, first, k, same=True).distances[:, -1]
    fake_radius = neighbours.nearest(second, second, k, same=True).distances[:, -1]
    nearest_made = neighbours.nearest(first, second).distances[:, 0]
    covering, within = _balls(second, first, real_radius), _balls(first, second, fake_radius)
    return Manifold(
        precision=(covering > 0).astype(np.float64),
        recall=(within > 0).astype(np.float64),
        density=covering / k,
        coverage=(nearest_made <= real_radius * (1 + _TOLERANCE)).astype(np.float64),
    )


_TOLERANCE: Final = 1e-5
"""What rounding of float32 may add to a distance, as a share of the radius."""


def _balls(
    queries: npt.NDArray[np.float32], centres: npt.NDArray[np.float32], radii: Floats
) -> npt.NDArray[np.int64]:
    """In how many of the balls around `centres` each query lies (n,)."""
    shifted = centres - centres.mean(axis=0)
    spread = np.einsum("ij,ij->i", shifted, shifted, dtype=np.float64).mean()
    limits = np.square(radii * (1 + _TOLERANCE)) + _TOLERANCE**2 * spread
    return neighbours.counts_within(queries, centres, limits)
