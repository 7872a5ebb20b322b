"""The parts that the result files of `explain` share: measures of trained classifiers, regime by regime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from covid_synth_data.benchmark.results.base import TOLERANCE, Count, ResultFile, Share
from covid_synth_data.benchmark.results.classification import Weights
from covid_synth_data.benchmark.suite import Name, Preprocessing
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics.crossed import Contrast
from covid_synth_data.metrics.detection import Estimate


class MeasuredRow(FrozenModel):
    """A regime under one measure: `seeds` are the values of its seeds, `over` the differences between their
    mean and the value of each baseline and yardstick, by name."""

    regime: Name
    seeds: Annotated[list[Share], Field(min_length=1)]
    over: dict[Name, Contrast]


class MeasuredResult(ResultFile):
    """One model and task of a suite: `regimes` are in the order of the request, `baselines` are those of them
    that train on real films alone. `dataset` is null where no regime has films of a release."""

    format: Literal[1] = 1
    kind: str
    task: Name
    positive: Name
    preprocessing: Preprocessing
    image_size: Annotated[int, Field(gt=0)]
    model: Name
    weights: Weights
    regimes: Annotated[list[Name], Field(min_length=1)]
    baselines: list[Name]
    seeds: Annotated[list[Count], Field(min_length=1)]

    @model_validator(mode="after")
    def _baselines_are_regimes(self) -> Self:
        if strange := set(self.baselines) - set(self.regimes):
            raise ValueError(f"{', '.join(sorted(strange))} is a baseline and no regime")
        return self

    def wrong_numbers(
        self, name: str, row: MeasuredRow, stated: Estimate, versus: Mapping[str, float]
    ) -> Iterator[str]:
        """One line for each number of `row` that does not hold.

        `name` says what `stated`, the value of the row, is. `versus` are the values that the row must be
        compared with, by name.
        """
        mean = sum(row.seeds) / len(row.seeds)
        if len(row.seeds) != len(self.seeds) or abs(mean - stated.value) > TOLERANCE:
            yield f"{name} is stated as {stated.value}, its seeds give {mean}"
        if set(row.over) != set(versus):
            yield f"{name} is compared with {_listed(row.over)}, not with {_listed(versus)}"
            return
        for other, contrast in row.over.items():
            difference = stated.value - versus[other]
            if abs(contrast.difference - difference) > TOLERANCE:
                yield (
                    f"{name} less that of {other} is stated as {contrast.difference},"
                    f" the values give {difference}"
                )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
