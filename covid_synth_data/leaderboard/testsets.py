"""The test set of a task. Two results must share it before their numbers enter one table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from covid_synth_data.benchmark.results import ClassificationResult, Prediction, find, read_result
from covid_synth_data.errors import ResultError

Films = Mapping[str, tuple[str, str]]
"""Image id to (class, patient)."""

Key = tuple[str, str, str, int | None]
"""Suite, its version, task, fold."""


def key_of(result: ClassificationResult) -> Key:
    """The settings that the test set of a result depends on."""
    return result.suite, result.suite_version, result.task, result.fold


def films_of(predictions: Sequence[Prediction], classes: Sequence[str]) -> Films:
    """The films that were predicted."""
    return {row.image_id: (classes[row.label], row.patient_id) for row in predictions}


def digest(films: Films) -> str:
    """SHA-256 of the sorted pairs (image id, class). Patients are left out: how films were joined to one
    patient may be told otherwise, the films of a test set not."""
    content = sorted((name, label) for name, (label, _) in films.items())
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def pinned(folder: Path) -> dict[Key, Films]:
    """The test sets of the accepted results below `folder`. Raises `ResultError` where two of them differ."""
    known: dict[Key, Films] = {}
    for path in find(folder, "classification"):
        result = read_result(path)
        films = films_of(result.predictions, result.classes)
        if known.setdefault(key_of(result), films) != films:
            raise ResultError(
                f"results in {folder} disagree about the test set of {result.suite} {result.task}",
                found=f"other films in {path}",
                hint="remove the results that do not belong there",
            )
    return known


def differences(tested: Films, expected: Films) -> str | None:
    """The fault of a test set, in a few words; None when it is the expected one."""
    missing, strange = expected.keys() - tested.keys(), tested.keys() - expected.keys()
    if missing or strange:
        parts = [
            f"{len(names)} films {what}, e.g. {min(names)}"
            for what, names in (("are missing", missing), ("do not belong to it", strange))
            if names
        ]
        return "; ".join(parts)
    for place, what in enumerate(("class", "patient")):
        other = sorted(name for name in expected if tested[name][place] != expected[name][place])
        if other:
            name = other[0]
            return (
                f"{len(other)} films have another {what}, e.g. {name}: {tested[name][place]},"
                f" not {expected[name][place]}"
            )
    return None
