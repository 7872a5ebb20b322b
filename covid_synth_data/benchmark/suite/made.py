"""Configs that a suite makes from its own training films, instead of taking them from a release."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from covid_synth_data.files.models import FrozenModel


class Made(FrozenModel):
    """A config made on the spot. A regime names it as it names a released one, so that either can replace the
    other.

    `kind` is "painted": the training negatives with opacities of `pattern` (`lesions.paint`), `each` times,
    or negatives that went through the same steps where there is a `control`; "copies": the training
    positives as they are, `each` times, a control without any content of its own; "mislabelled": the training
    negatives under the label of the positives, a control that must do harm. `seed` is that of the painting.
    """

    kind: Literal["painted", "copies", "mislabelled"]
    pattern: str = "covid-19"
    control: str | None = None
    each: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _only_paintings_have_controls(self) -> Made:
        if self.control is not None and self.kind != "painted":
            raise ValueError('a control only where kind = "painted"')
        if self.kind == "mislabelled" and self.each != 1:
            raise ValueError("each negative called a positive once")
        return self
