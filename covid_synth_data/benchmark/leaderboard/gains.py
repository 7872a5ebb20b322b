"""What a regime gains over the baselines: the same films, the same model, real films alone.

The AUC of a regime is the mean over its seeds. The interval of a difference draws whole patients, the same
for both regimes and for all seeds; what other seeds or other splits would give is not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from covid_synth_data.benchmark.collecting import Group, Seed
from covid_synth_data.config import Settings
from covid_synth_data.metrics import comparison, detection
from covid_synth_data.metrics.detection import Bools, Floats, Ints

CALL: Final = 0.5
"""A film is called positive at this probability or more, as in all tables."""


class Scores:
    """The predictions of a group for the positive class, film by film in the order of the image ids."""

    def __init__(self, group: Group) -> None:
        """Seeds of a group are tested on the same films; `collect` has checked it."""
        self.seeds = [seed.seed for seed in group.seeds]
        place = group.first.classes.index(group.first.positive)
        rows = [sorted(seed.predictions, key=lambda row: row.image_id) for seed in group.seeds]
        self.labels: Ints = np.array([row.label == place for row in rows[0]], dtype=np.int64)
        self.patients = [row.patient_id for row in rows[0]]
        self.values: Floats = np.array([[row.probabilities[place] for row in one] for one in rows])

    def right(self, seed: int) -> Bools:
        """Which films that seed calls rightly."""
        called = self.values[self.seeds.index(seed)] >= CALL
        result: Bools = called == (self.labels == 1)
        return result

    @cached_property
    def auc(self) -> float:
        """Mean over the seeds."""
        return float(np.mean([detection.auc(self.labels, scores) for scores in self.values]))

    @cached_property
    def replicates(self) -> Floats:
        """The mean AUC of the seeds in each replicate of the bootstrap over patients."""
        drawn: Floats = np.mean(
            [detection.auc_replicates(self.labels, scores, self.patients) for scores in self.values], axis=0
        )
        return drawn


class Versus(Settings):
    """A regime against a baseline. `auc` is the regime minus the baseline; `mcnemar` is the test of the calls
    at 0.5 for each seed that both have. The other differences are of means over the seeds."""

    baseline: str
    auc: comparison.Difference
    sensitivity: float
    specificity: float
    sensitivity_at: dict[str, float]
    mcnemar: dict[int, comparison.Comparison]


def versus(regime: Scores, baseline: Scores, own: Group, other: Group) -> Versus:
    """Compare two groups of one task, preprocessing and model."""
    common = [seed for seed in regime.seeds if seed in baseline.seeds]
    targets = [f"{point.target:.2f}" for point in own.seeds[0].metrics.sensitivity_at]
    return Versus(
        baseline=other.first.regime,
        auc=comparison.difference(baseline.auc, regime.auc, regime.replicates - baseline.replicates),
        sensitivity=_mean(own, "sensitivity") - _mean(other, "sensitivity"),
        specificity=_mean(own, "specificity") - _mean(other, "specificity"),
        sensitivity_at={
            target: _point(own.seeds, place) - _point(other.seeds, place)
            for place, target in enumerate(targets)
        },
        mcnemar={seed: comparison.mcnemar(baseline.right(seed), regime.right(seed)) for seed in common},
    )


def _mean(group: Group, name: str) -> float:
    return float(np.mean([getattr(seed.metrics, name).value for seed in group.seeds]))


def _point(seeds: Sequence[Seed], place: int) -> float:
    return float(np.mean([seed.metrics.sensitivity_at[place].sensitivity.value for seed in seeds]))
