"""How well a simple classifier tells two kinds of films, by patients that it did not learn from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError, MissingExtra
from covid_synth_data.metrics import detection
from covid_synth_data.metrics.detection import Estimate

FOLDS: Final = 5
COMPONENTS: Final = 50


def auc(rows: npt.ArrayLike, labels: npt.ArrayLike, groups: Sequence[str], *, seed: int = 0) -> Estimate:
    """The AUC, with a bootstrap over groups, of a logistic regression in grouped cross-validation.

    `rows` (n, d) are standardised and brought to at most 50 principal components within each training part;
    `labels` (n,) are 0 or 1. All films of a group are in one fold. Raises `MetricError` where a class has
    fewer groups than there are folds, `MissingExtra` without scikit-learn.
    """
    try:
        from sklearn.decomposition import PCA
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    values, truth = np.asarray(rows, np.float64), np.asarray(labels, np.int64)
    owners = np.asarray(groups, dtype=object).astype(str)
    least = min((len(np.unique(owners[truth == label])) for label in (0, 1)), default=0)
    if least < FOLDS:
        raise MetricError(
            "too few patients for a probe", found=str(least), expected=f"at least {FOLDS} of each kind"
        )
    if not np.isfinite(values).all():
        raise MetricError("rows of a probe that are not finite", found="NaN", expected="finite numbers")
    scores = np.zeros(len(truth))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(values, truth, owners):
        size = min(COMPONENTS, values.shape[1], len(train) - 1)
        model = make_pipeline(
            StandardScaler(),
            PCA(size, svd_solver="randomized" if size < values.shape[1] else "full", random_state=seed),
            LogisticRegression(C=0.1, max_iter=2000),
        )
        if len(np.unique(truth[train])) < 2:
            raise MetricError("too few patients for a probe", found="one kind in a fold", expected="both")
        with warnings.catch_warnings():
            # A column that is the same in all films has no spread; it tells nothing and harms nothing.
            warnings.simplefilter("ignore")
            scores[test] = model.fit(values[train], truth[train]).predict_proba(values[test])[:, 1]
    return detection.auc_interval(truth, scores, owners, seed=seed, replicates=1000)


def shuffled(labels: npt.NDArray[np.int64], groups: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """Labels (n,) that are dealt to the groups at random, in as many groups as before."""
    owners = np.asarray(groups, dtype=object).astype(str)
    _, first, place = np.unique(owners, return_index=True, return_inverse=True)
    dealt = np.random.default_rng([seed, 0x5F]).permutation(labels[first])
    permuted: npt.NDArray[np.int64] = dealt[place.reshape(-1)]
    return permuted


def border(small: npt.NDArray[np.uint8], width: int = 4) -> npt.NDArray[Any]:
    """The outer `width` pixels of films (n, side, side), averaged in twos: (n, pixels)."""
    mask = np.ones(small.shape[1:], bool)
    mask[width:-width, width:-width] = False
    return np.asarray(halved(small), np.float64)[:, halved(mask[None].astype(np.uint8))[0] > 0]


def halved(films: npt.NDArray[np.uint8], by: int = 2) -> npt.NDArray[np.float32]:
    """Films (n, side, side) at (side / by, side / by), averaged."""
    n, side = len(films), films.shape[1] // by
    return np.asarray(films.reshape(n, side, by, side, by).mean(axis=(2, 4)), np.float32)
