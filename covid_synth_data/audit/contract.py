"""What a section of an audit is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit.descriptors import Descriptors
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.protocol import Better, Protocol, Value, limits
from covid_synth_data.audit.result import Missing, SectionResult, Shown, Subject
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import approximate
from covid_synth_data.splits import copies

LEAST: Final = 20
"""Films that a set needs to be measured at all."""

SHOWN: Final = 12
"""Images that a section shows on the page."""

SYNTHETIC: Final = "synthetic"
OTHER_HALF: Final = "real, other half of the patients"
"""Subjects that several sections measure."""


@dataclass(frozen=True)
class Encoding:
    """How the images of a release were written: a codec of `writing.encode_image`, and its quality."""

    codec: str
    quality: int


@dataclass(frozen=True)
class Material:
    """The films of an audit, all of one class but `sources`.

    `synthetic` is the set that is audited. `training` are the real films that its generator learned from,
    `held_out` real films of the same sets and other patients, `elsewhere` real films of other sets,
    `sources` the films that were translated, `mapped` real films with maps of their lesions. Where the
    training films are unknown, `training_known` is False and `training` a random half of the real patients;
    so it is where no film was learned from, which `untrained` says. `encoding` is that of the images where it
    is known.
    """

    subject: Subject
    synthetic: FilmSet
    training: FilmSet
    held_out: FilmSet
    elsewhere: FilmSet
    sources: FilmSet
    mapped: FilmSet
    training_known: bool
    untrained: bool = False
    encoding: Encoding | None = None

    @property
    def sets(self) -> dict[str, FilmSet]:
        """The sets by name."""
        names = ("synthetic", "training", "held_out", "elsewhere", "sources", "mapped")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Context:
    """What a section works with. `search` is how neighbours are looked for: "exact" or "approximate"."""

    material: Material
    descriptors: Descriptors
    seed: int
    search: str = approximate.EXACT

    @property
    def settings(self) -> str:
        """The search in words: of neighbours, and of films that look alike."""
        if self.search == approximate.EXACT:
            return self.search
        return f"{approximate.settings(self.search)}; for copies {copies.settings(self.search)}"

    def graph(self, rows: npt.NDArray[np.float32]) -> approximate.Graph | None:
        """The graph over `rows` (n, d) of an approximate search, None of an exact one."""
        return None if self.search == approximate.EXACT else approximate.Graph(rows)


@dataclass
class Findings:
    """What a section has found so far."""

    values: list[Value] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    def add(
        self,
        key: str,
        metric: str,
        subject: str,
        measured: Any,
        protocol: Protocol,
        *,
        n: int,
        better: Better,
        chance: float | None = None,
        yardstick: bool = False,
    ) -> None:
        """Keep a number, or one with an interval."""
        self.values.append(
            Value(
                key=key,
                metric=metric,
                subject=subject,
                **limits(measured),
                n=n,
                better=better,
                chance=chance,
                yardstick=yardstick,
                protocol=protocol,
            )
        )

    def miss(self, what: str, why: str | Exception) -> None:
        """Say that something was not measured."""
        self.missing.append(Missing(what=what, why=str(why)))

    def enough(self, films: FilmSet, what: str, least: int = LEAST) -> bool:
        """Whether a set has `least` films; where not, `what` is noted as missing with the number needed."""
        if len(films) >= least:
            return True
        self.miss(what, f"{films.what}: {len(films)} films, at least {least} are needed")
        return False


@dataclass(frozen=True)
class Section:
    """A check: the question that it answers, and the function that does."""

    name: str
    question: str
    measure: Callable[[Context], Findings]

    def run(self, context: Context) -> SectionResult:
        """The answer."""
        findings = self.measure(context)
        # The search decides which films are copies, and so which films every number is about.
        stated = {"search": context.settings}
        values = [
            value.model_copy(update={"protocol": value.protocol.model_copy(update=stated)})
            for value in findings.values
        ]
        return SectionResult(
            name=self.name,
            question=self.question,
            values=values,
            notes=findings.notes,
            missing=findings.missing,
            shown=findings.shown,
        )


def need(films: FilmSet, least: int = LEAST) -> FilmSet:
    """`films`, of which there are `least`. Raises `MetricError` that says how many are needed."""
    if len(films) < least:
        raise MetricError(
            f"too few films to audit: {films.what}",
            found=str(len(films)),
            expected=f"at least {least}",
            hint="give more images, or raise --limit",
        )
    return films


def names(values: Sequence[str], places: Any) -> list[str]:
    """The values at these places."""
    return [values[int(place)] for place in places]
