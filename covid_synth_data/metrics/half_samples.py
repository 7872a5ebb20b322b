"""An interval that covers other training patients, from classifiers that were each trained on a random half.

Seed r trains both sides of a difference on the same random half of n training patients. For a statistic that
is near to a mean over the training patients, the variance over random halves of one sample of n patients is
the variance over new samples of n patients (half-sample replication: McCarthy 1969, "Pseudo-replication";
Wolter, "Introduction to Variance Estimation"). Each half has n/2 patients, and its mean varies twice as much
as that of n; the correction for the finite population takes a half of that away.

The R halves are of one sample, so their mean varies with that sample however many there are. Its variance is
therefore that of one draw, and not that of one draw over R: `metrics.crossed` divides by R, since it is about
the mean over the halves of these patients. The draws also hold what chance in the training adds, once; this
makes the interval rather too wide than too narrow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.crossed import satterthwaite, variance_over_patients
from covid_synth_data.metrics.detection import LEVEL
from covid_synth_data.metrics.resampling import Statistic

LEAST: Final = 10
"""With fewer draws their variance is itself too uncertain."""


class OverTrainingSets(FrozenModel):
    """b minus a over draws of the training patients.

    `difference` is the mean over the draws, `spread` their standard deviation, `above` the number of the
    `draws` in which b is above a. `low` and `high` are the interval for the expectation over training sets
    and test sets of other patients of the same sources.
    """

    difference: float
    low: float
    high: float
    spread: float
    above: int
    draws: int


def over_training_sets(a: Statistic, b: Statistic, *, level: float = LEVEL) -> OverTrainingSets:
    """b minus a, where seed r of both was trained on the same half of the training patients.

    Two parts of the variance are added: that of one draw of the training patients, with the error of the
    mean of the draws, and that of the test patients. Degrees of freedom follow Satterthwaite. Raises
    `MetricError` for other numbers of draws on the two sides, and for fewer than `LEAST`.
    """
    draws = len(a.values)
    if len(b.values) != draws or draws < LEAST:
        raise MetricError(
            "too few draws of the training patients, or not the same on both sides",
            found=f"{draws} and {len(b.values)}",
            expected=f"as many of both, at least {LEAST}",
        )
    differences = b.values - a.values
    spread = float(differences.std(ddof=1))
    training = (spread**2 * (1 + 1 / draws), draws - 1.0)
    testing = variance_over_patients(b.replicates - a.replicates, b.influence - a.influence)
    variance, degrees = training[0] + testing[0], satterthwaite([training, testing])
    reach = float(stats.t.isf((1 - level) / 2, degrees)) * np.sqrt(variance)
    mean = float(differences.mean())
    return OverTrainingSets(
        difference=mean,
        low=max(mean - reach, -1.0),
        high=min(mean + reach, 1.0),
        spread=spread,
        above=int((differences > 0).sum()),
        draws=draws,
    )
