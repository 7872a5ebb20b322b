"""Learners without epochs on fixed features: bagged trees (BGT of zunair2021, Sect. 4.3) and logistic
regression, the linear probe that shows how far a task is solved by what any network sees.

They are used like `training`: `fit` with a feed of training and one of validation films, which choose
nothing here, then `class_probabilities` of the test films. What is drawn comes from the seed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from covid_synth_data.benchmark.training.fit import (
    FeatureFeed,
    Rows,
    Trained,
    draw_order,
    film_weights,
    monitored,
)
from covid_synth_data.errors import MissingExtra

Array = npt.NDArray[Any]

TREES: Final = 10
"""As many as `BaggingClassifier` takes by itself, and zunair2021 with it."""

ITERATIONS: Final = 2000
_LEAST: Final = 0.5 / TREES


@dataclass(frozen=True)
class Fitted:
    """An estimator of scikit-learn, and how many classes its task has: it may have seen fewer."""

    estimator: Any
    classes: int

    def predict(self, features: Array) -> npt.NDArray[np.float64]:
        """Probabilities (n, classes) for features (n, width)."""
        out = np.zeros((len(features), self.classes))
        if len(features):
            out[:, self.estimator.classes_] = self.estimator.predict_proba(features)
        return out


def fit(
    train: FeatureFeed,
    validation: FeatureFeed,
    *,
    classes: int,
    seed: int,
    learner: str = "trees",
    sampling: str = "natural",
    loss: str = "plain",
    monitor: str = "balanced-loss",
) -> tuple[Fitted, Trained]:
    """Fit `learner` ("trees" or "logistic") to all variants of the training films.

    The record says 1 epoch and the validation loss. For that alone, probabilities below half a vote of ten
    trees count as half a vote, as the logarithm of none is infinite.
    """
    features, labels = train.matrix()
    fitted = fit_features(
        features, labels, classes=classes, seed=seed, learner=learner, sampling=sampling, loss=loss
    )
    stated = class_probabilities(fitted, validation)[np.arange(len(validation.labels)), validation.labels]
    return fitted, Trained(1, 1, monitored(-np.log(np.maximum(stated, _LEAST)), validation.labels, monitor))


def fit_features(
    features: Array,
    labels: Rows,
    *,
    classes: int,
    seed: int,
    learner: str = "trees",
    sampling: str = "natural",
    loss: str = "plain",
) -> Fitted:
    """Fit `learner` to features (n, width) and labels (n,) in [0, classes), trees in as many threads as torch
    has.

    `sampling="class-balanced"` fits to one epoch's worth of rows drawn by `training.draw_order`;
    `loss="class-weighted"` weighs each row by its class, as `training.film_weights` has it.
    """
    weights = film_weights(labels) if loss == "class-weighted" else None
    if sampling != "natural":
        rows = draw_order(labels, sampling, np.random.default_rng([seed, 1]))
        features, labels = features[rows], labels[rows]
        weights = None if weights is None else weights[rows]
    estimator = _estimator(learner, seed)
    if learner == "trees":
        import joblib

        # Each tree has its own seed, so the threads change nothing; sums of votes are taken by one alone.
        with joblib.parallel_config(backend="threading"):
            estimator.fit(features, labels, sample_weight=weights)
        return Fitted(estimator.set_params(n_jobs=1), classes)
    return Fitted(estimator.fit(features, labels, logisticregression__sample_weight=weights), classes)


def class_probabilities(fitted: Fitted, feed: FeatureFeed) -> npt.NDArray[np.float64]:
    """The probabilities of each film as it is, no variant of it, shape (n, classes)."""
    return fitted.predict(feed.batch(np.arange(len(feed.labels)), None).cpu().numpy())


def _estimator(learner: str, seed: int) -> Any:
    try:
        from sklearn.ensemble import BaggingClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    if learner == "trees":
        return BaggingClassifier(n_estimators=TREES, random_state=seed, n_jobs=torch.get_num_threads())
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
