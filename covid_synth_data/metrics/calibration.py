"""Calibration: of the films predicted with a probability of 80 %, are 80 % predicted correctly?

In all functions `labels` is an array of shape (n,) of class indices, and `probabilities` has shape (n, K);
its rows sum to 1. Bins have equal width and include their lower edge; the last bin also includes 1. Empty
bins are left out.

The expected calibration error (Guo et al. 2017) is not 0 for a perfectly calibrated classifier on few films:
the accuracy of a small bin differs from its confidence by chance. Compare it between classifiers on the same
films, and read the intervals of the bins. These intervals assume independent films.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.detection import Bools, Floats, Proportion, Share, proportion
from covid_synth_data.metrics.multiclass import checked

BINS: Final = 15


class Bin(FrozenModel):
    """Films whose probability lies from `low` to `high`: its mean, and the share for which it came true."""

    low: Share
    high: Share
    confidence: Share
    accuracy: Proportion


class Calibration(FrozenModel):
    """Everything that `evaluate` measures.

    `error` is the expected calibration error of the class that is called, `reliability` its bins.
    `positive_error` and `positive_reliability` are the same for the probability of class 1 and there for two
    classes only. `brier` is half the squared distance between the probabilities and the truth, mean over
    films, in [0, 1]; for two classes that is the mean of (probability of class 1 - label)^2.
    """

    bins: Annotated[int, Field(gt=0)]
    error: Share
    reliability: list[Bin]
    positive_error: Share | None
    positive_reliability: list[Bin] | None
    brier: Share


def evaluate(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> Calibration:
    """All metrics of this module at once. Raises `MetricError`; a class may be without films."""
    truth, scores = checked(labels, probabilities, every_class=False)
    if bins < 1:
        raise MetricError("no such number of bins", found=str(bins), expected="1 or more")
    called = scores.argmax(axis=1)
    top = _bins(scores.max(axis=1), called == truth, bins)
    positive = _bins(scores[:, 1], truth == 1, bins) if scores.shape[1] == 2 else None
    distance = ((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(axis=1)
    return Calibration(
        bins=bins,
        error=_error(top),
        reliability=top,
        positive_error=None if positive is None else _error(positive),
        positive_reliability=positive,
        brier=min(1.0, float(distance.mean() / 2)),
    )


def _bins(confidence: Floats, true: Bools, bins: int) -> list[Bin]:
    # Not linspace, whose 0.6 of ten bins is a little more than 0.6.
    edges = np.arange(bins + 1) / bins
    place = np.minimum(np.searchsorted(edges, confidence, side="right") - 1, bins - 1)
    return [
        Bin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            confidence=min(1.0, float(confidence[place == number].mean())),
            accuracy=proportion(int(true[place == number].sum()), int((place == number).sum())),
        )
        for number in np.unique(place)
    ]


def _error(bins: list[Bin]) -> float:
    films = sum(part.accuracy.n for part in bins)
    gaps = sum(part.accuracy.n * abs(part.accuracy.value - part.confidence) for part in bins)
    return min(1.0, gaps / films)
