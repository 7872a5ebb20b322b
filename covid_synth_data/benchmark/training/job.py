"""One training of a classifier, as the worker takes it."""

from __future__ import annotations

from dataclasses import dataclass

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.suite import Regime


@dataclass(frozen=True)
class TrainingJob:
    """Train `model` on `films` by `regime`. `title` names the training on a progress bar."""

    model: str
    regime: Regime
    seed: int
    films: Films
    title: str
