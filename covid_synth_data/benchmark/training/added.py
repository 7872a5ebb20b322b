"""Real and synthetic films apart: two classifiers whose scores are added, or one that is tuned on real films.

Real and synthetic films of one training set teach one classifier to tell them apart where that helps; two
classifiers cannot. The scores are logits, standardised by their mean and deviation over the validation films,
added, and brought back to a probability by a logistic curve fitted to the same films (Platt's scaling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.training.fit import Trained
from covid_synth_data.errors import ConfigError

Array = npt.NDArray[Any]

_LEAST: Final = 1e-7
"""Probabilities are kept this far from 0 and 1, where logits are infinite."""


def halves(train: Films) -> tuple[Films, Films]:
    """The real films, and the synthetic ones; the latter with the real films of each class that they lack.

    Synthetic films are those without a patient. Raises `ConfigError` for more than two classes.
    """
    if len(train.classes) != 2:
        raise ConfigError(
            "real and synthetic films are kept apart for two classes alone",
            found=", ".join(train.classes),
            expected="a binary task",
            hint='leave join = "scores" or "fine-tune" out',
        )
    real = np.array([bool(name) for name in train.patients])
    lacking = sorted(set(range(len(train.classes))) - set(train.labels[~real].tolist()))
    second = ~real | np.isin(train.labels, lacking)
    return train.select(np.flatnonzero(real)), train.select(np.flatnonzero(second))


def stages(train: Films, join: str) -> list[Films]:
    """What one classifier learns from, in turn: all films at once, or with `join = "fine-tune"` the synthetic
    ones (pretraining) and then the real ones."""
    if join != "fine-tune":
        return [train]
    real, synthetic = halves(train)
    return [synthetic, real]


def after(first: Trained | None, second: Trained) -> Trained:
    """The record of a stage that came after `first`: epochs are counted from its beginning."""
    if first is None:
        return second
    return Trained(first.epochs + second.epochs, first.epochs + second.best_epoch, second.validation_loss)


def add(
    trained: Sequence[tuple[Trained, Mapping[str, Array]]], labels: Mapping[str, Array]
) -> tuple[Trained, dict[str, Array]]:
    """The sum of classifiers, each with the probabilities (n, 2) that it gives the films of each part.

    `labels` (n,) are 0 and 1; those of "validation" calibrate the sum. The record counts the epochs of all;
    its loss is the mean over the classes of the cross-entropy of the calibrated sum.
    """
    sums = {
        part: np.sum([_standard(predicted, part) for _, predicted in trained], axis=0)
        for part in trained[0][1]
    }
    slope, shift = _platt(sums["validation"], labels["validation"])
    probabilities = {}
    for part, scores in sums.items():
        positive = 1 / (1 + np.exp(-(slope * scores + shift)))
        probabilities[part] = np.stack([1 - positive, positive], axis=1)
    stated = np.clip(probabilities["validation"], _LEAST, 1)
    losses = -np.log(stated[np.arange(len(stated)), labels["validation"]])
    loss = np.mean([losses[labels["validation"] == label].mean() for label in (0, 1)])
    epochs = sum(one.epochs for one, _ in trained)
    return Trained(epochs, sum(one.best_epoch for one, _ in trained), float(loss)), probabilities


def _standard(probabilities: Mapping[str, Array], part: str) -> Array:
    """The logits of a part in deviations of those of the validation films."""
    at = _logits(probabilities["validation"])
    return np.asarray((_logits(probabilities[part]) - at.mean()) / max(float(at.std()), _LEAST))


def _logits(probabilities: Array) -> Array:
    positive = np.clip(probabilities[:, 1].astype(np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(positive) - np.log1p(-positive))


def _platt(scores: Array, labels: Array) -> tuple[float, float]:
    """Slope and shift of the logistic curve that fits best; the slope is never negative, so that calibration
    cannot turn the order of films around."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(scores[:, None], labels)
    return max(float(fitted.coef_[0, 0]), _LEAST), float(fitted.intercept_[0])
