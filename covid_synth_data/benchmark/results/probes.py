"""The result file of a probe: what classifiers still tell of films of which a shortcut alone is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, FiniteFloat

from covid_synth_data.benchmark.results.base import TOLERANCE, Count, Dataset, Share, parse, read_bytes
from covid_synth_data.benchmark.results.classification import Weights
from covid_synth_data.benchmark.suite import Name, Preprocessing, Version
from covid_synth_data.errors import ResultError
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.machine import Code, Hardware
from covid_synth_data.metrics.crossed import Contrast
from covid_synth_data.metrics.detection import Estimate

Part = Literal["validation", "test"]

PARTS: Final[tuple[Part, ...]] = ("test", "validation")


class Changed(FrozenModel):
    """A change of films. `kind`: a shortcut alone is left, a shortcut is gone, or nothing is changed."""

    name: Name
    left: Line
    kind: Literal["none", "shortcut", "without"]


class ProbedFilms(FrozenModel):
    """The films of a part that were probed, and those left out because no two lungs were found."""

    negatives: Annotated[int, Field(gt=0)]
    positives: Annotated[int, Field(gt=0)]
    patients: Annotated[int, Field(gt=0)]
    negatives_without_lungs: Count
    positives_without_lungs: Count


class Measured(FrozenModel):
    """A regime on some films. `seeds` are the AUCs of the seeds, `auc` their mean with its interval; `over`
    is the AUC less that of each baseline on the same films, by the name of the baseline."""

    regime: Name
    seeds: Annotated[list[Share], Field(min_length=1)]
    auc: Estimate
    over: dict[Name, Contrast]


class Row(Measured):
    """A regime on the films of a part under one change."""

    part: Part
    change: Name


class ViewRow(Measured):
    """A regime on the whole films of one view alone, as their source states it."""

    part: Part
    view: Line
    negatives: Annotated[int, Field(gt=0)]
    positives: Annotated[int, Field(gt=0)]


class ProbeResult(FrozenModel):
    """The whole file. `regimes` are in the order of the request; the baselines are those of real films.

    `drawn` is the largest number of films of each class of a part; null where all were probed. `views` are
    those that sources state for enough films of both classes.
    """

    format: Literal[1] = 1
    kind: Literal["probe"] = "probe"
    suite: Name
    suite_version: Version
    task: Name
    protocol: Name
    positive: Name
    preprocessing: Preprocessing
    image_size: Annotated[int, Field(gt=0)]
    model: Name
    weights: Weights
    regimes: Annotated[list[Name], Field(min_length=1)]
    baselines: list[Name]
    seeds: Annotated[list[Count], Field(min_length=1)]
    dataset: Dataset | None
    changes: Annotated[list[Changed], Field(min_length=1)]
    drawn: Annotated[int, Field(gt=0)] | None
    films: dict[Part, ProbedFilms]
    rows: Annotated[list[Row], Field(min_length=1)]
    views: list[ViewRow]
    notes: list[Line]
    code: Code
    hardware: Hardware
    seconds: Annotated[FiniteFloat, Field(ge=0)]

    def row(self, part: Part, change: str, regime: str) -> Row:
        """The row of these three. Raises `KeyError`."""
        for row in self.rows:
            if (row.part, row.change, row.regime) == (part, change, regime):
                return row
        raise KeyError((part, change, regime))


def read(path: Path) -> ProbeResult:
    """The file at `path`, once what follows from its other numbers was checked. Raises `ResultError`."""
    result = parse(path, read_bytes(path), ProbeResult)
    for problem in problems(result):
        raise ResultError(
            f"{path} contradicts itself: {problem}", hint="remove the file and make the probe again"
        )
    return result


def problems(result: ProbeResult) -> Iterator[str]:
    """One line for each thing in the file that does not hold."""
    wanted = [
        (part, change.name, regime)
        for part in result.films
        for change in result.changes
        for regime in result.regimes
    ]
    there = Counter((row.part, row.change, row.regime) for row in result.rows)
    if there != Counter(wanted):
        yield f"it has {len(result.rows)} rows that are not each of {len(wanted)} once"
        return
    for row in result.rows:
        beside = [other for other in result.rows if (other.part, other.change) == (row.part, row.change)]
        yield from _wrong(f"{row.part} {row.change} {row.regime}", row, beside, result)
    for one in result.views:
        alike = [other for other in result.views if (other.part, other.view) == (one.part, one.view)]
        yield from _wrong(f"{one.part} {one.view} {one.regime}", one, alike, result)


def _wrong(name: str, row: Measured, beside: Sequence[Measured], result: ProbeResult) -> Iterator[str]:
    """What does not hold in `row`; `beside` are all regimes on the same films."""
    mean = sum(row.seeds) / len(row.seeds)
    if len(row.seeds) != len(result.seeds) or abs(mean - row.auc.value) > TOLERANCE:
        yield f"the AUC of {name} is stated as {row.auc.value}, its seeds give {mean}"
    aucs = {other.regime: other.auc.value for other in beside}
    if set(row.over) != set(result.baselines) - {row.regime} or list(aucs) != result.regimes:
        yield f"{name} is not compared with {', '.join(result.baselines)}"
        return
    for baseline, contrast in row.over.items():
        given = row.auc.value - aucs[baseline]
        if abs(contrast.difference - given) > TOLERANCE:
            yield f"{name} less {baseline} is stated as {contrast.difference}, the AUCs give {given}"
