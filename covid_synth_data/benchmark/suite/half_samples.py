"""A suite in which each seed trains on a half of the training patients of its own: NAME@half-samples.

The seeds of a suite share one training set, and its intervals hold that set fixed. In the derived suite
each seed has another half, and the intervals are about the mean over the random halves of these patients.
They do not say what other patients would give: more seeds narrow them, but bring no new patient. For one
training set look at the spread of the draws. For a smooth statistic, its variance over random halves of n
patients is about that over new samples of n patients (half-sample replication, McCarthy 1969). What is
estimated is the performance after training on half as many patients.

The derived suite has a name of its own, so that its results never stand in a table with those of the
template.
"""

from __future__ import annotations

from typing import Final

from covid_synth_data.benchmark.suite.classification import ClassificationSuite
from covid_synth_data.errors import ConfigError

NAME: Final = "half-samples"

CAUTION: Final = """Each seed trains on its own random half of the training patients, the same half in all \
regimes. Intervals are about the mean over such halves of these patients, and not about other training \
patients. Validation and test films, the release and its generator stay the same."""


def with_half_samples(suite: ClassificationSuite) -> ClassificationSuite:
    """The suite with a half of the training patients for each seed. Raises `ConfigError` where it is so."""
    if suite.data.half_samples:
        raise ConfigError(
            f"the suite {suite.name} draws half of the training patients already",
            found=NAME,
            expected="that once",
            hint="leave it out",
        )
    return suite.model_copy(
        update={
            "name": f"{suite.name}@{NAME}",
            "title": f"{suite.title}; each seed trains on half of the patients",
            "caution": CAUTION if suite.caution is None else f"{suite.caution} {CAUTION}",
            "data": suite.data.model_copy(update={"half_samples": True}),
        }
    )
