"""Two or more classifiers as one: their scores standardised, added, and calibrated.

A classifier that learns from real and synthetic films together may learn to tell them apart. Two classifiers,
each of its own films, cannot: their scores are added instead. The logits of each are standardised by their
mean and deviation over validation films, so that none outweighs another by its scale, and the sum is brought
back to a probability by a logistic curve fitted to the same films (Platt 1999). The labels of the validation
films fix that curve alone, which does not change the order of films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError, MissingExtra
from covid_synth_data.metrics.detection import Floats

LEAST: Final = 1e-7
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""


def add_scores(
    validation: Sequence[npt.ArrayLike], labels: npt.ArrayLike, films: Sequence[npt.ArrayLike]
) -> Floats:
    """The probability (m,) that the classifiers together give to each of `films`.

    `validation` holds for each classifier the probabilities (n,) of the positive class, in [0, 1], of
    validation films whose `labels` (n,) are 0 and 1; `films` those (m,) of the films of interest, in the same
    order of classifiers. Raises `MetricError` for other shapes, values outside [0, 1] and validation films of
    one class, `MissingExtra` without scikit-learn.
    """
    known = [_probabilities(one, "validation") for one in validation]
    asked = [_probabilities(one, "films") for one in films]
    truth = np.asarray(labels)
    lengths = {len(one) for one in known} | {len(truth)}
    if not known or len(known) != len(asked) or len(lengths) > 1 or len({len(one) for one in asked}) > 1:
        raise MetricError(
            "the scores of the classifiers do not fit",
            found=f"{[len(one) for one in known]} and {[len(one) for one in asked]}, {len(truth)} labels",
            expected="the same classifiers on the same films, and a label for each validation film",
        )
    if set(np.unique(truth).tolist()) != {0, 1}:
        raise MetricError(
            "the validation films cannot calibrate a sum",
            found=f"labels {sorted(set(truth.tolist()))}",
            expected="both 0 and 1",
        )
    centres = [(logits(one).mean(), max(float(logits(one).std()), LEAST)) for one in known]

    def summed(parts: Sequence[Floats]) -> Floats:
        return np.asarray(
            np.sum(
                [(logits(part) - at) / spread for part, (at, spread) in zip(parts, centres, strict=True)],
                axis=0,
            )
        )

    slope, shift = _platt(summed(known), truth)
    return np.asarray(1 / (1 + np.exp(-(slope * summed(asked) + shift))))


def logits(probabilities: Floats) -> Floats:
    """The logarithm of the odds of each probability, finite for 0 and 1."""
    kept = np.clip(probabilities.astype(np.float64), LEAST, 1 - LEAST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _probabilities(values: npt.ArrayLike, name: str) -> Floats:
    probabilities = np.asarray(values, np.float64)
    # A sum of float32 softmax numbers may pass 1 by a rounding error.
    if probabilities.ndim != 1 or not np.all((probabilities >= 0) & (probabilities <= 1 + 1e-6)):
        raise MetricError(
            f"{name}: no probabilities of the positive class",
            found=f"shape {probabilities.shape}",
            expected="one dimension, values from 0 to 1",
        )
    return probabilities


def _platt(scores: Floats, labels: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Slope and shift of the logistic curve that fits best; the slope is never negative, so that calibration
    cannot turn the order of films around."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError as error:
        raise MissingExtra("scikit-learn", "benchmark") from error
    fitted = LogisticRegression().fit(scores[:, None], labels)
    return max(float(fitted.coef_[0, 0]), LEAST), float(fitted.intercept_[0])
