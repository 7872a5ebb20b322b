"""Reading result files of whichever kind they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic_core import from_json

from covid_synth_data.benchmark.results import archives
from covid_synth_data.benchmark.results.base import Result, ResultFile, check, files_named, parse, read_bytes
from covid_synth_data.benchmark.results.classification import ClassificationResult
from covid_synth_data.benchmark.results.segmentation import SegmentationResult

AnyResult = TypeVar("AnyResult", bound=ResultFile)

PATTERNS: Final = {"classification": "seed-*.json", "segmentation": "segmentation-*.json"}
"""What result files of a kind are called."""

_MODELS: Final[dict[str, type[Result]]] = {
    "classification": ClassificationResult,
    "segmentation": SegmentationResult,
}


def find(folder: Path, kind: str | None = None) -> list[Path]:
    """All result files of `kind` (None: of all kinds) below `folder` or in that archive, sorted.

    Files in archives below the folder are among them.

    Raises `ResultError` when there is none.
    """
    return files_named(folder, *([PATTERNS[kind]] if kind else PATTERNS.values()))


def has(folder: Path, kind: str) -> bool:
    """Whether there is a result file of `kind` below `folder`, in an archive perhaps."""
    folders = [folder, *archives.unpacked(folder)]
    return any(True for one in folders for _ in one.rglob(PATTERNS[kind]))


def parse_result(path: Path, content: bytes | str) -> Any:
    """The `content` of the file at `path` as a result of the kind that it states.

    A file that states no kind is of classification. Raises `ResultError`.
    """
    try:
        stated = from_json(content)
    except ValueError:
        stated = None
    kind = stated.get("kind") if isinstance(stated, dict) else None
    return parse(path, content, _MODELS.get(str(kind), ClassificationResult))


def read_result(path: Path) -> Any:
    """The file at `path`, of the right form; its numbers are not checked.

    Returns a `ClassificationResult` or a `SegmentationResult`. Raises `ResultError`.
    """
    return parse_result(path, read_bytes(path))


def validate_result(path: Path) -> Any:
    """The file at `path` once all in it has been checked against its own predictions and its suite.

    Returns a `ClassificationResult` or a `SegmentationResult`. Raises `ResultError` for a missing or unknown
    field, a NaN, an image id that occurs twice, counts that do not add up, a metric that is not that of the
    predictions, patients on both sides of a split, or a regime that the suite of that version does not have
    or states otherwise.
    """
    result = read_result(path)
    check(path, result)
    return result


def validate_as(path: Path, model: type[AnyResult]) -> AnyResult:
    """The file at `path`, which must be of the kind of `model`, once its numbers were checked against one
    another. Raises `ResultError`."""
    result = parse(path, read_bytes(path), model)
    check(path, result)
    return result


def validate_values(path: Path, model: type[AnyResult]) -> AnyResult:
    """As `validate_as`, for whoever makes a table of many files: limits of the file's own bootstrap that no
    table shows are not drawn again. Raises `ResultError`."""
    result = parse(path, read_bytes(path), model)
    check(path, result, values_alone=True)
    return result
