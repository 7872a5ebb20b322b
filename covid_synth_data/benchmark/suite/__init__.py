"""A suite: the task, the regimes and the networks that are compared, as a validated TOML file.

A file says its kind: `kind = "classification"`, which is the default, or `kind = "segmentation"`. The model
of that kind says which keys the file may have. Unknown keys are refused.
"""

from covid_synth_data.benchmark.suite.base import BaseRegime, Name, Suite, Version, digest_of
from covid_synth_data.benchmark.suite.classification import (
    ClassificationSuite,
    Preprocessing,
    Regime,
    Training,
    Weights,
)
from covid_synth_data.benchmark.suite.loading import (
    AnySuite,
    half_samples_of,
    is_suite,
    list_suites,
    load_classifiers,
    load_suite,
)
from covid_synth_data.benchmark.suite.segmentation import SegmentationSuite

__all__ = [
    "AnySuite",
    "BaseRegime",
    "ClassificationSuite",
    "Name",
    "Preprocessing",
    "Regime",
    "SegmentationSuite",
    "Suite",
    "Training",
    "Version",
    "Weights",
    "digest_of",
    "half_samples_of",
    "is_suite",
    "list_suites",
    "load_classifiers",
    "load_suite",
]
