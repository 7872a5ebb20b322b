"""Metrics: pure functions over arrays, which know no files, datasets or networks.

One module per kind of question: `detection` (does a classifier find the disease, and how sure is that
number), `multiclass` (the same for K classes), `calibration` (do its probabilities mean what they say),
`comparison` (is one classifier better than another, or was it chance), `crossed` (the same for means over
trainings, whose variance it counts; on the statistics of `resampling`), `fidelity` (how near made films are
to real ones, and whether they differ from each other), `segmentation` (how well the lesions of a CT slice are
outlined), `image_quality` (how near a made CT slice is to the real one of the same label map). A module is
imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "calibration",
    "comparison",
    "crossed",
    "detection",
    "fidelity",
    "image_quality",
    "multiclass",
    "resampling",
    "segmentation",
]

if TYPE_CHECKING:
    from covid_synth_data.metrics import (
        calibration,
        comparison,
        crossed,
        detection,
        fidelity,
        image_quality,
        multiclass,
        resampling,
        segmentation,
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
