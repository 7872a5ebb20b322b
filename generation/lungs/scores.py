"""Agreement of lung fields with outlines drawn by hand: Dice per film, of the network and of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.filters import threshold_otsu

from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import lung_shapes
from covid_synth_data.preprocessing.harmonise import Film
from covid_synth_data.preprocessing.lung_shapes import Fields, Mask
from generation.lungs import outlines

Method = Callable[[Film], Fields]

DRAWS: Final = 2000


def dice(predicted: Mask, outlined: Grey) -> float:
    """Dice coefficient in [0, 1] of a mask with an outline (0, 127, 255); pixels at 127 do not count."""
    counted = outlined != outlines.IGNORE
    mine, theirs = predicted & counted, outlined == outlines.LUNG
    return float(2 * (mine & theirs).sum() / max(int(mine.sum() + theirs.sum()), 1))


def measure(method: Method, outlined: outlines.Outlined) -> dict[str, Any]:
    """Dice of `method` over films: mean with a 95 % interval by patients, quantiles, the worst; how many
    films it found lungs on, and the mean over those alone."""
    films, masks = outlines.shown(outlined.films), outlines.at_side(outlined.masks)
    fields = [method(film) for film in films]
    scores = np.array([dice(field.mask, mask) for field, mask in zip(fields, masks, strict=True)])
    has_lungs = np.array([field.found for field in fields])
    low, high = _interval(scores, outlined.patient_ids)
    return {
        "films": len(scores),
        "patients": len(set(outlined.patient_ids)),
        "found": int(has_lungs.sum()),
        "mean": round(float(scores.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
        "mean_where_found": round(float(scores[has_lungs].mean()), 4) if has_lungs.any() else None,
        "quantiles": {
            str(q): round(float(np.quantile(scores, q)), 4) for q in (0.0, 0.05, 0.25, 0.5, 0.75, 1.0)
        },
    }


def _interval(scores: npt.NDArray[np.float64], patients: list[str]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, whole patients drawn."""
    _, codes = np.unique(patients, return_inverse=True)
    sums, counts = np.bincount(codes, scores), np.bincount(codes)
    picks = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def classical(film: Film) -> Fields:
    """The rule to compare with: what is darker than Otsu's threshold and does not touch the border of the
    film, its two largest regions, their convex hulls. There is no fallback if these cannot be lungs."""
    inside = _off_border(film < otsu(film))
    labels, count = ndimage.label(inside)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    fields = np.zeros(film.shape, bool)
    for label in np.argsort(-sizes, kind="stable")[:2] + 1:
        fields |= hull(labels == label)
    return Fields(fields, lung_shapes.believed(fields).found)


def central(film: Film) -> Fields:
    """The central ellipse on every film: the baseline for every method."""
    return Fields(lung_shapes.ellipse(film.shape[0]), False)


def otsu(film: Film) -> float:
    """Otsu's threshold between two classes of grey: what is darker is one class. A film of one level has
    nothing that is darker."""
    counts = np.histogram(film, 256, (0, 256))[0]
    levels = np.flatnonzero(counts)
    if len(levels) == 1:
        return float(levels[0])
    # The threshold of scikit-image is the lightest level of the dark class.
    return float(threshold_otsu(hist=(counts, np.arange(256)))) + 1  # type: ignore[no-untyped-call]


def _off_border(mask: Mask) -> Mask:
    labels, _ = ndimage.label(mask)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    kept: Mask = mask & ~np.isin(labels, edge[edge > 0])
    return kept


def hull(mask: Mask) -> Mask:
    """The convex hull of the pixels of `mask`; `mask` itself where they lie on a line."""
    points = np.argwhere(mask)
    try:
        sides = ConvexHull(points).equations
    except (QhullError, ValueError):
        return mask
    rows, columns = np.indices(mask.shape)
    at = np.stack([rows.ravel(), columns.ravel()], axis=1)
    inside: Mask = ((at @ sides[:, :2].T + sides[:, 2]) <= 1e-6).all(axis=1).reshape(mask.shape)
    return inside
