"""Metrics: pure functions over arrays. They use no files, datasets or networks.

There is one module for each question:

    detection       How well does a binary classifier find the disease? With confidence intervals.
    multiclass      The same for K classes.
    calibration     Do predicted probabilities agree with observed frequencies?
    combination     Two classifiers as one: their scores standardised and added.
    comparison      Does one classifier perform better than another?
    crossed         The same for means over training seeds, on the statistics of `resampling`.
    half_samples    The same over draws of the training patients.
    fidelity        How near are synthetic films to real films, and how much do they vary?
    manifold        Precision, recall, density and coverage.
    diversity       Vendi score, and similarity of random pairs.
    copies          Are synthetic films copies of training films?
    privacy         Re-identification and membership inference.
    segmentation    How well are the lesions of a CT slice segmented?
    image_quality   How near is a synthetic CT slice to the real slice of the same label map?

`neighbours` and `intervals` serve the other modules. Modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports

__all__ = [
    "calibration",
    "combination",
    "comparison",
    "copies",
    "crossed",
    "detection",
    "diversity",
    "fidelity",
    "half_samples",
    "image_quality",
    "intervals",
    "manifold",
    "multiclass",
    "neighbours",
    "privacy",
    "resampling",
    "segmentation",
]

if TYPE_CHECKING:
    from covid_synth_data.metrics import (
        calibration,
        combination,
        comparison,
        copies,
        crossed,
        detection,
        diversity,
        fidelity,
        half_samples,
        image_quality,
        intervals,
        manifold,
        multiclass,
        neighbours,
        privacy,
        resampling,
        segmentation,
    )
else:
    __getattr__, __dir__ = exports(__name__, {}, modules=__all__)
