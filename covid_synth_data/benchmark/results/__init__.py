"""A result file: everything about one training of one network, down to each prediction.

The predictions (of a U-Net: the counts of pixels of each test slice) are in the file, so anyone can compute
every metric again. `validate_result` does so, and refuses a file whose numbers do not follow from them.
"""

from covid_synth_data.benchmark.results.base import Dataset, Result, files_named, write_result
from covid_synth_data.benchmark.results.classification import (
    ClassificationResult,
    Metrics,
    Prediction,
    measure,
)
from covid_synth_data.benchmark.results.reading import (
    find,
    has,
    parse_result,
    read_result,
    validate_as,
    validate_result,
    validate_values,
)
from covid_synth_data.benchmark.results.segmentation import SegmentationResult

__all__ = [
    "ClassificationResult",
    "Dataset",
    "Metrics",
    "Prediction",
    "Result",
    "SegmentationResult",
    "files_named",
    "find",
    "has",
    "measure",
    "parse_result",
    "read_result",
    "validate_as",
    "validate_result",
    "validate_values",
    "write_result",
]
