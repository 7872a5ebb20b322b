"""How a number was measured, and the number: two numbers compare only where the first is equal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from covid_synth_data.errors import ResultError
from covid_synth_data.files.fields import Line
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import approximate
from covid_synth_data.metrics.detection import Estimate, Proportion
from covid_synth_data.metrics.intervals import Interval

Better = Literal["lower", "higher", "chance", "real"]
"""Which values are good: low, high, near `chance`, or near those of real films."""


class Protocol(FrozenModel):
    """All that a value depends on besides the films that it describes.

    `extractor` and `layer` name the features of a film, `resize` says how the film was resized for them,
    `n` how many films the number depends on by its definition (drawn of each side, or in the reference),
    `seed` which ones, `reference` what the films were compared with. `search` says how neighbours and copies
    were looked for: "exact", or the settings of an approximate search.
    """

    extractor: Line
    layer: Line
    resize: Line
    n: Annotated[int, Field(gt=0)]
    seed: Annotated[int, Field(ge=0)]
    reference: Line
    search: Line = approximate.EXACT

    def __str__(self) -> str:
        """One line for a table."""
        search = "" if self.search == approximate.EXACT else f"; search: {self.search}"
        return (
            f"{self.extractor}, {self.layer}, {self.resize}, n {self.n:,}, seed {self.seed};"
            f" {self.reference}{search}"
        )


class Value(FrozenModel):
    """A `metric` of the films `subject`, with the limits of its 95 % interval where it has one.

    `yardstick` marks values that are there to compare with. `chance` is what a guess, or real films by the
    metric's definition, would give. `n` counts the films of the subject, `key` is the name for a machine.
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.@-]*$")]
    metric: Line
    subject: Line
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    n: Annotated[int, Field(gt=0)]
    better: Better
    chance: FiniteFloat | None = None
    yardstick: bool = False
    protocol: Protocol

    def __str__(self) -> str:
        """The number with its interval."""
        return number(self.value) + (
            "" if self.low is None or self.high is None else f" [{number(self.low)} to {number(self.high)}]"
        )


def number(value: float) -> str:
    """Three digits behind the point, from 10 on one."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def limits(measured: Interval | Estimate | Proportion | float) -> dict[str, float]:
    """The fields `value`, `low` and `high` of a `Value`."""
    if isinstance(measured, (int, float)):
        return {"value": float(measured)}
    return {"value": measured.value, "low": measured.low, "high": measured.high}


def difference(first: Value, second: Value) -> float:
    """`first` less `second`. Raises `ResultError` unless metric and protocol are the same."""
    for name in ("key", *Protocol.model_fields):
        left, right = (getattr(value if name == "key" else value.protocol, name) for value in (first, second))
        if left != right:
            raise ResultError(
                "values that do not compare",
                found=f"{name} {left!r} and {right!r}",
                expected="one metric and one protocol",
                hint="measure both in one audit",
            )
    return first.value - second.value
