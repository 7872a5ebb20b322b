"""The parts that result files of every kind share: the base of their models, reading and writing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, FiniteFloat, ValidationError

from covid_synth_data.benchmark.results import archives
from covid_synth_data.benchmark.suite import AnySuite, BaseRegime, Name, Version, is_suite, load_suite
from covid_synth_data.errors import ResultError
from covid_synth_data.files import atomic
from covid_synth_data.files.fields import Line, Sha256
from covid_synth_data.files.models import FrozenModel, invalid
from covid_synth_data.machine import Code, Hardware

TOLERANCE: Final = 1e-9
"""The largest difference between a stated metric and the one computed again: libraries round differently."""

AnyModel = TypeVar("AnyModel", bound=FrozenModel)

Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class Dataset(FrozenModel):
    """The released dataset that the synthetic images came from; null what older results do not tell."""

    name: Line
    version: Line | None
    manifest_sha256: Sha256 | None


class ResultFile(FrozenModel, ABC):
    """The fields of every result file. `dataset` is the release whose images were trained on, null where none
    were. `notes` say what a reader should know."""

    format: int
    suite: Name
    suite_version: Version
    dataset: Dataset | None
    notes: list[Line]
    code: Code
    hardware: Hardware
    seconds: Annotated[FiniteFloat, Field(ge=0)]

    @abstractmethod
    def problems(self) -> Iterator[str]:
        """One line for each thing in the file that does not hold, the most telling first."""

    def problems_of_values(self) -> Iterator[str]:
        """Those of `problems` that change a table or page. Tables draw intervals anew over all seeds, so that
        those of a file's own bootstrap may be left out."""
        return self.problems()


class Result(ResultFile):
    """One training of one network, down to what it found in each test image.

    `inputs` is a digest of all that the predictions depend on, machine and time aside. `limit` is the largest
    number of real training images of the suite's kind that was allowed.
    """

    protocol: Name
    regime: Name
    regime_rule: BaseRegime
    seed: Count
    inputs: Sha256
    limit: Count | None

    @property
    @abstractmethod
    def path(self) -> Path:
        """The path of the file below the folder of all results."""

    @property
    @abstractmethod
    def tested(self) -> list[str]:
        """The ids of the test images, in the order of the file."""

    def known_suite(self) -> AnySuite | None:
        """The suite of that name and version, where the package has it."""
        suite = load_suite(self.suite) if is_suite(self.suite) else None
        return suite if suite is not None and suite.version == self.suite_version else None


def files_named(folder: Path, *patterns: str) -> list[Path]:
    """The files below `folder`, or in that archive, that fit one of `patterns`, sorted.

    Those in archives below the folder (`archives`) are among them.

    Raises `ResultError` for none.
    """
    folders = [folder, *archives.unpacked(folder)]
    files = [path for one in folders for path in sorted(p for name in patterns for p in one.rglob(name))]
    if not files:
        raise ResultError(
            f"no results in {folder}",
            found=f"no files {' or '.join(patterns)}" if folder.is_dir() else "no such folder",
            expected="the folder that a benchmark run wrote to, or one with archives of its files",
            hint="run a benchmark first, or give its output folder",
        )
    return files


def write_result(path: Path, result: FrozenModel) -> None:
    """Write the file, whole or not at all. Raises `OutputError`."""
    atomic.write_text(path, result.model_dump_json() + "\n")


def read_bytes(path: Path) -> bytes:
    """The content of the file at `path`. Raises `ResultError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(f"cannot read {path}", found=str(error.strerror), hint="check the path") from error


def parse(path: Path, content: bytes | str, model: type[AnyModel]) -> AnyModel:
    """The `content` of the file at `path` as a `model`. Raises `ResultError` with the first problem."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        hint = "remove the file and run that part of the benchmark again"
        raise invalid(ResultError, f"{path} is not a result file", error, model, hint) from error


def check(path: Path, result: ResultFile, *, values_alone: bool = False) -> None:
    """Raise `ResultError` for the first thing in `result`, read from `path`, that does not hold; with
    `values_alone` the first of `ResultFile.problems_of_values`."""
    for problem in result.problems_of_values() if values_alone else result.problems():
        raise ResultError(
            f"{path} contradicts itself: {problem}",
            hint="remove the file and run that part of the benchmark again",
        )


def differences(name: str, stated: Any, computed: Any) -> Iterator[tuple[str, Any, Any]]:
    """The leaves of two equal-shaped structures that differ by more than rounding."""
    if isinstance(stated, dict) and stated.keys() == computed.keys():
        for key, value in stated.items():
            yield from differences(f"{name}.{key}", value, computed[key])
    elif isinstance(stated, list) and len(stated) == len(computed):
        for index, value in enumerate(stated):
            yield from differences(f"{name}.{index}", value, computed[index])
    elif isinstance(stated, float) and isinstance(computed, float):
        if not math.isclose(stated, computed, rel_tol=0, abs_tol=TOLERANCE):
            yield name, stated, computed
    elif stated != computed:
        yield name, stated, computed
