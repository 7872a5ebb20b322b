"""Real and synthetic films apart: two classifiers whose scores are added, or one that is tuned on real films.

Real and synthetic films of one training set teach one classifier to tell them apart where that helps; two
classifiers cannot. `metrics.combination` says how scores are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.training.fit import Trained
from covid_synth_data.errors import ConfigError
from covid_synth_data.metrics.combination import LEAST, add_scores

Array = npt.NDArray[Any]


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
    """The films that one classifier learns from, in turn: all films at once, or with `join = "fine-tune"` the
    synthetic ones (pretraining) and then the real ones."""
    if join != "fine-tune":
        return [train]
    real, synthetic = halves(train)
    return [synthetic, real]


def total(stages: Sequence[Trained]) -> Trained:
    """The record of stages that followed each other: epochs are counted from the first on, the epoch that was
    kept and its loss are those of the last."""
    before = sum(stage.epochs for stage in stages[:-1])
    last = stages[-1]
    return Trained(before + last.epochs, before + last.best_epoch, last.validation_loss)


def add(
    trained: Sequence[tuple[Trained, Mapping[str, Array]]], labels: Mapping[str, Array]
) -> tuple[Trained, dict[str, Array]]:
    """The sum of classifiers, each with the probabilities (n, 2) that it gives the films of each part.

    `labels` (n,) are 0 and 1; those of "validation" calibrate the sum. The record counts the epochs of all;
    its loss is the mean over the classes of the cross-entropy of the calibrated sum.
    """
    parts = trained[0][1]
    probabilities = {}
    for part in parts:
        known = [predicted["validation"][:, 1] for _, predicted in trained]
        asked = [predicted[part][:, 1] for _, predicted in trained]
        positive = add_scores(known, labels["validation"], asked)
        probabilities[part] = np.stack([1 - positive, positive], axis=1)
    stated = np.clip(probabilities["validation"], LEAST, 1)
    losses = -np.log(stated[np.arange(len(stated)), labels["validation"]])
    loss = np.mean([losses[labels["validation"] == label].mean() for label in (0, 1)])
    epochs = sum(one.epochs for one, _ in trained)
    return Trained(epochs, sum(one.best_epoch for one, _ in trained), float(loss)), probabilities
