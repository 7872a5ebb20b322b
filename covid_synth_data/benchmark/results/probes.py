"""The result file of a probe: what classifiers still tell of films of which a shortcut alone is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from covid_synth_data.benchmark.results.base import Count
from covid_synth_data.benchmark.results.measured import MeasuredResult, MeasuredRow
from covid_synth_data.benchmark.suite import Name
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel
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


class AucRow(MeasuredRow):
    """A regime on some films. `seeds` are the AUCs of the seeds, `auc` their mean with its interval; the
    baselines it is compared with saw the same films."""

    auc: Estimate


class Row(AucRow):
    """A regime on the films of a part under one change."""

    part: Part
    change: Name


class ViewRow(AucRow):
    """A regime on the whole films of one view alone, as their source states it."""

    part: Part
    view: Line
    negatives: Annotated[int, Field(gt=0)]
    positives: Annotated[int, Field(gt=0)]


class ProbeResult(MeasuredResult):
    """The whole file.

    `drawn` is the largest number of films of each class of a part; null where all were probed. `views` are
    those that sources state for enough films of both classes.
    """

    kind: Literal["probe"] = "probe"
    protocol: Name
    changes: Annotated[list[Changed], Field(min_length=1)]
    drawn: Annotated[int, Field(gt=0)] | None
    films: dict[Part, ProbedFilms]
    rows: Annotated[list[Row], Field(min_length=1)]
    views: list[ViewRow]

    def row(self, part: Part, change: str, regime: str) -> Row:
        """The row of these three. Raises `KeyError`."""
        for row in self.rows:
            if (row.part, row.change, row.regime) == (part, change, regime):
                return row
        raise KeyError((part, change, regime))

    def problems(self) -> Iterator[str]:
        """One line for each thing in the file that does not hold."""
        expected = Counter(
            (part, change.name, regime)
            for part in self.films
            for change in self.changes
            for regime in self.regimes
        )
        if Counter((row.part, row.change, row.regime) for row in self.rows) != expected:
            yield f"it has {len(self.rows)} rows that are not each of {len(expected)} once"
            return
        yield from self._wrong_rows([((row.part, row.change), row) for row in self.rows])
        yield from self._wrong_rows([((row.part, row.view), row) for row in self.views])

    def _wrong_rows(self, rows: Sequence[tuple[tuple[str, str], AucRow]]) -> Iterator[str]:
        """One line for each number that does not hold; rows of one pair of names saw the same films."""
        same_films: dict[tuple[str, str], list[AucRow]] = defaultdict(list)
        for films, row in rows:
            same_films[films].append(row)
        for films, same in same_films.items():
            named = " ".join(films)
            if [row.regime for row in same] != self.regimes:
                wanted = ", ".join(self.regimes)
                yield f"the rows of {named} are not those of {wanted}, each once and in order"
                continue
            aucs = {row.regime: row.auc.value for row in same}
            for row in same:
                versus = {name: aucs[name] for name in self.baselines if name != row.regime}
                yield from self.wrong_numbers(f"the AUC of {named} {row.regime}", row, row.auc, versus)
