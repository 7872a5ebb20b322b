"""The result file of a look at lesions: how far classifiers' activation lies where readers drew infection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from covid_synth_data.benchmark.results.base import Count
from covid_synth_data.benchmark.results.measured import MeasuredResult, MeasuredRow
from covid_synth_data.benchmark.suite import Name
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel
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


class Row(MeasuredRow):
    """A regime, or a yardstick of `YARDSTICKS`, under one measure.

    `seeds` are means over the films, one for each seed, `value` their mean with its interval crossed over
    films and seeds. A yardstick is compared with nothing.
    """

    measure: Literal["in-lungs", "share", "pointing", "pixel-auc"]
    value: Estimate


class LesionFilms(FrozenModel):
    """`films` of so many `groups` that look like one patient's; by reason how many were left out."""

    source: Name
    films: Annotated[int, Field(gt=0)]
    groups: Annotated[int, Field(gt=0)]
    left_out: dict[Line, Count]


class LesionResult(MeasuredResult):
    """The whole file. `side` is that of the grid on which maps and masks are compared."""

    kind: Literal["lesions"] = "lesions"
    fold: Count | None
    side: Annotated[int, Field(gt=0)]
    films: LesionFilms
    rows: Annotated[list[Row], Field(min_length=1)]

    def row(self, measure: str, regime: str) -> Row:
        """The row of these two. Raises `KeyError`."""
        for row in self.rows:
            if (row.measure, row.regime) == (measure, regime):
                return row
        raise KeyError((measure, regime))

    def problems(self) -> Iterator[str]:
        """One line for each thing in the file that does not hold."""
        names = [*YARDSTICKS, *self.regimes]
        expected = Counter((measure, name) for measure in MEASURES for name in names)
        if Counter((row.measure, row.regime) for row in self.rows) != expected:
            yield f"it has {len(self.rows)} rows that are not each of {len(expected)} once"
            return
        for row in self.rows:
            others = [] if row.regime in YARDSTICKS else [*YARDSTICKS, *self.baselines]
            versus = {name: self.row(row.measure, name).value.value for name in others if name != row.regime}
            yield from self.wrong_numbers(f"{row.measure} of {row.regime}", row, row.value, versus)
