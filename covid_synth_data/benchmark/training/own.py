"""Fitting a classifier of the user to pixels: the films of a regime, its sampling and its weights of classes.

No validation or test film reaches `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.benchmark.training.fit import Rows, Trained, draw_order, film_weights, monitored
from covid_synth_data.classifiers import own
from covid_synth_data.files.pixels import Grey

_LEAST: Final = 1e-6
"""For the validation loss alone, probabilities below this count as this: the logarithm of 0 is infinite."""


def fit(
    origin: str,
    films: Grey,
    labels: Rows,
    parts: Mapping[str, Grey],
    validation_labels: Rows,
    *,
    classes: int,
    seed: int,
    sampling: str,
    loss: str,
    monitor: str,
) -> tuple[Trained, dict[str, npt.NDArray[np.float64]]]:
    """Fit a fresh classifier to films uint8 (n, side, side), and its probabilities of the films of each part.

    `parts` has "validation", whose loss the record states with 1 epoch. `sampling` and `loss` are those of
    the regime: "class-balanced" draws one epoch's worth of rows, "class-weighted" gives `sample_weight`,
    which else is 1. Raises `ConfigError`.
    """
    estimator = own.build(origin, seed)
    rows = np.arange(len(labels))
    if sampling != "natural":
        rows = draw_order(labels, sampling, np.random.default_rng(seed))
    weights = film_weights(labels) if loss == "class-weighted" else np.ones(len(labels), np.float32)
    estimator.fit(films[rows], labels[rows], weights[rows])
    probabilities: dict[str, npt.NDArray[Any]] = {
        name: own.probabilities(estimator, pixels, classes, origin) for name, pixels in parts.items()
    }
    stated = probabilities["validation"][np.arange(len(validation_labels)), validation_labels]
    losses = -np.log(np.maximum(stated, _LEAST))
    return Trained(1, 1, monitored(losses, validation_labels, monitor)), probabilities
