"""Configs that a suite makes from its own training films, instead of taking them from a release.

A regime names such a config as it names a released one, so that either can replace the other. `kind` says
which of the models below a table `[made.NAME]` is.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from covid_synth_data.files.models import FrozenModel
from covid_synth_data.lesions.priors import Scale

Each = Annotated[int, Field(ge=1, le=1000)]
"""How often each film is used."""

Count = Annotated[int, Field(ge=1)]

_FIRST_KEYS: Final = {"pattern": "covid-19", "control": None, "each": 1}
"""Keys that were once part of every kind: they stay in the digests, so that older results stay what they
are."""


class Encoding(FrozenModel):
    """How a release keeps its images: side in pixels, codec, and its quality (without effect for png)."""

    size: Annotated[int, Field(ge=16, le=1024)]
    codec: Literal["png", "jpeg", "webp"]
    quality: Annotated[int, Field(ge=1, le=100)] = 90


class _Config(FrozenModel):
    """`seed` is that of the painting, of the choice, or of the tone."""

    seed: Annotated[int, Field(ge=0)] = 0

    def rule(self) -> dict[str, Any]:
        """The settings that the films depend on, for a digest."""
        stated = self.model_dump()
        later = {key: value for key, value in stated.items() if key in _FIRST_KEYS or value is not None}
        return {**_FIRST_KEYS, **later}


class Painted(_Config):
    """The training negatives, each `each` times, with opacities of `pattern` (`lesions.paint`). With a
    `control` they went through the same steps and stay negatives, unless they are a `placebo`: a control
    under the label of the pattern, to learn what painting something else gains. `scale` multiplies the
    distributions that lesions are drawn from."""

    kind: Literal["painted"] = "painted"
    pattern: str = "covid-19"
    control: str | None = None
    each: Each = 1
    placebo: Literal[True] | None = None
    scale: Scale | None = None

    @model_validator(mode="after")
    def _placebo_of_a_control(self) -> Self:
        if self.placebo and self.control is None:
            raise ValueError("a placebo is a control: name its kind with the key 'control'")
        return self


class Copies(_Config):
    """The training positives, `each` times: a control without any content of its own. They are as they are,
    or at the size and in the `encoding` of a release: what the resolution of its images alone does."""

    kind: Literal["copies"] = "copies"
    each: Each = 1
    encoding: Encoding | None = None


class Mislabelled(_Config):
    """The training negatives under the label of the positives: a control that must do harm."""

    kind: Literal["mislabelled"] = "mislabelled"


class HeldBack(_Config):
    """`count` real positives that no other regime trains on pose as synthetic films, to learn what a gain of
    that size looks like. They are of the training part, where `Data.max_positives` left them out, or of the
    `source` that the protocol leaves out."""

    kind: Literal["held-back"] = "held-back"
    count: Count
    source: str | None = None


class Released(_Config):
    """The released `config` under another name, because the suite makes one of that name itself."""

    kind: Literal["released"] = "released"
    config: str


class Retraced(_Config):
    """All training films at the size and in the `encoding` of a release, under their own labels, for a regime
    to train on in place of the films (`Regime.retraced`)."""

    kind: Literal["retraced"] = "retraced"
    encoding: Encoding


class RandomTone(_Config):
    """`count` training negatives under the label of the positives, whose tone is changed at random
    (`toned.random_tone`) by `change` grey levels in the mean, in the `encoding` of a release: what a
    translation does without anything learned."""

    kind: Literal["random-tone"] = "random-tone"
    count: Count
    change: Annotated[float, Field(gt=0, le=100)]
    encoding: Encoding


Made = Annotated[
    Painted | Copies | Mislabelled | HeldBack | Released | Retraced | RandomTone, Field(discriminator="kind")
]
"""A table `[made.NAME]` of a suite."""
