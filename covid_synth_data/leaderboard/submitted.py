"""A result file that was handed in, and the error for what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covid_synth_data.benchmark.results import Dataset
from covid_synth_data.errors import ResultError
from covid_synth_data.release import loading, manifest


@dataclass(frozen=True)
class Submitted:
    """A file and what is in it: a `ClassificationResult` or a `SegmentationResult`."""

    path: Path
    result: Any


def wrong(submitted: Submitted, what: str, *, found: str, expected: str, hint: str) -> ResultError:
    """The error for a file that says `what` it should not."""
    return ResultError(f"{submitted.path} {what}", found=found, expected=expected, hint=hint)


def check_dataset(submitted: Submitted, dataset: Dataset, release: Path) -> None:
    """Raise `ResultError` unless `release` is the dataset that was trained on."""
    folder = loading.release_folder(dataset.name, None, release)
    digest = manifest.identity(folder)
    if digest != dataset.manifest_sha256:
        raise wrong(
            submitted,
            "was trained on another release",
            found=f"manifest {dataset.manifest_sha256}",
            expected=f"{digest}, that of {folder}",
            hint="give the release that was trained on",
        )


def check_trained_on(submitted: Submitted, leaked: list[str]) -> None:
    """Raise `ResultError` where test images in `leaked` were used to train a generator of the release."""
    if leaked:
        raise wrong(
            submitted,
            "leaks: it tests on films that a generator of the release learned from",
            found=f"{len(leaked)}, e.g. {leaked[0]}",
            expected="none",
            hint="use the sources and the split seed that the release was made with",
        )
