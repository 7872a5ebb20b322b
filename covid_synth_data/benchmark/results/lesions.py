"""The result file of a look at lesions: how far classifiers' activation lies where readers drew infection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
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

MEASURES: Final = {
    "in-lungs": "share of the positive activation that lies in the lungs",
    "share": "share of the positive activation in the lungs that lies in the infection",
    "pointing": "share of films whose highest point in the lungs lies in the infection",
    "pixel-auc": "AUC of the pixels in the lungs, infected against not, mean over films",
}
"""What is measured, and in which words."""

YARDSTICKS: Final = {
    "chance": "a map that is the same everywhere",
    "brightness": "the grey levels of the film, less their mean in the lungs, at the resolution of the maps",
    "untrained": "the same network before training",
}
"""Maps that no trained classifier made."""


class Row(FrozenModel):
    """A regime, or a yardstick of `YARDSTICKS`, under one measure.

    `seeds` are means over the films, one for each seed, `value` their mean with its interval crossed over
    films and seeds. `over` is the value less that of each baseline and yardstick, by name.
    """

    measure: Literal["in-lungs", "share", "pointing", "pixel-auc"]
    regime: Name
    seeds: Annotated[list[Share], Field(min_length=1)]
    value: Estimate
    over: dict[Name, Contrast]


class LesionFilms(FrozenModel):
    """`films` of so many `groups` that look like one patient's; by reason how many were left out."""

    source: Name
    films: Annotated[int, Field(gt=0)]
    groups: Annotated[int, Field(gt=0)]
    left_out: dict[Line, Count]


class LesionResult(FrozenModel):
    """The whole file. `side` is that of the grid on which maps and masks are compared."""

    format: Literal[1] = 1
    kind: Literal["lesions"] = "lesions"
    suite: Name
    suite_version: Version
    task: Name
    fold: Count | None
    positive: Name
    preprocessing: Preprocessing
    image_size: Annotated[int, Field(gt=0)]
    side: Annotated[int, Field(gt=0)]
    model: Name
    weights: Weights
    regimes: Annotated[list[Name], Field(min_length=1)]
    baselines: list[Name]
    seeds: Annotated[list[Count], Field(min_length=1)]
    dataset: Dataset | None
    films: LesionFilms
    rows: Annotated[list[Row], Field(min_length=1)]
    notes: list[Line]
    code: Code
    hardware: Hardware
    seconds: Annotated[FiniteFloat, Field(ge=0)]

    def row(self, measure: str, regime: str) -> Row:
        """The row of these two. Raises `KeyError`."""
        for row in self.rows:
            if (row.measure, row.regime) == (measure, regime):
                return row
        raise KeyError((measure, regime))


def read(path: Path) -> LesionResult:
    """The file at `path`, once what follows from its other numbers was checked. Raises `ResultError`."""
    result = parse(path, read_bytes(path), LesionResult)
    for problem in problems(result):
        raise ResultError(
            f"{path} contradicts itself: {problem}", hint="remove the file and look at the lesions again"
        )
    return result


def problems(result: LesionResult) -> Iterator[str]:
    """One line for each thing in the file that does not hold."""
    names = [*YARDSTICKS, *result.regimes]
    wanted = Counter((measure, name) for measure in MEASURES for name in names)
    if Counter((row.measure, row.regime) for row in result.rows) != wanted:
        yield f"it has {len(result.rows)} rows that are not each of {len(wanted)} once"
        return
    for row in result.rows:
        mean = sum(row.seeds) / len(row.seeds)
        if len(row.seeds) != len(result.seeds) or abs(mean - row.value.value) > TOLERANCE:
            yield f"{row.measure} of {row.regime} is stated as {row.value.value}, its seeds give {mean}"
        for name, contrast in row.over.items():
            given = mean - result.row(row.measure, name).value.value
            if abs(contrast.difference - given) > TOLERANCE:
                yield (
                    f"{row.measure} of {row.regime} less {name} is stated as {contrast.difference},"
                    f" the values give {given}"
                )
