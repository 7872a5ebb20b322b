"""The input and the result of a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from covid_synth_data.errors import ConfigError
from covid_synth_data.metrics import approximate
from covid_synth_data.splits.copies import Progress, quiet

SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Request:
    """The request for a task; see `tasks.plan_task`. `classes` are the task's, COVID-19 last; `fold` is
    given to protocols with folds alone. `progress` is called while films are read and compared, `search` is
    how films that look alike are looked for."""

    classes: tuple[str, ...]
    root: str | Path | None
    seed: int
    sources: Sequence[str] | None
    licences: str
    phantom: dict[str, int] | None
    folds: int = 1
    fold: int | None = None
    progress: Progress = quiet
    search: str = approximate.EXACT

    @property
    def negatives(self) -> tuple[str, ...]:
        """All classes but COVID-19."""
        return self.classes[:-1]

    @property
    def negative(self) -> str:
        """The other class of a binary task. Raises `ValueError` where there are several."""
        (only,) = self.negatives
        return only

    @property
    def positive(self) -> str:
        """COVID-19."""
        return self.classes[-1]

    @property
    def wants_phantoms(self) -> bool:
        """Whether phantoms were asked for."""
        return self.sources is not None and "phantom" in self.sources


@dataclass
class Outcome:
    """The result of a protocol: the frame that `protocols` describes, and notes.

    `classes` are those of the task that have films, where the protocol can do without one; otherwise None.
    """

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    classes: tuple[str, ...] | None = None


def check_any_licence(request: Request, protocol: str, films: str) -> None:
    """Raise `ConfigError` where permissive licences alone are asked for: `protocol` tests on `films`."""
    if request.licences == "permissive":
        raise ConfigError(
            f"{protocol} tests on {films}",
            found="licences permissive",
            expected="any",
            hint="leave licences out",
        )


def check_fixed_sources(request: Request, protocol: str) -> None:
    """Raise `ConfigError` where sources other than phantom alone are named; `protocol` fixes its own."""
    if request.sources is not None and list(request.sources) != ["phantom"]:
        raise ConfigError(
            f"the protocol {protocol} fixes its sources",
            found=", ".join(request.sources) or "an empty list",
            expected="no sources, or phantom alone",
            hint="leave sources out, or use the protocol clean",
        )
