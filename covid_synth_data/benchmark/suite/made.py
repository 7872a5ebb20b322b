"""Configs that a suite makes from its own training films, instead of taking them from a release."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from covid_synth_data.files.models import FrozenModel


class Encoding(FrozenModel):
    """How a release keeps its images: side in pixels, codec, and its quality (without effect for png)."""

    size: Annotated[int, Field(ge=16, le=1024)]
    codec: Literal["png", "jpeg", "webp"]
    quality: Annotated[int, Field(ge=1, le=100)] = 90


class Made(FrozenModel):
    """A config made on the spot. A regime names it as it names a released one, so that either can replace the
    other.

    `kind` is "painted": the training negatives with opacities of `pattern` (`lesions.paint`), `each` times,
    or negatives that went through the same steps where there is a `control`; "copies": the training
    positives as they are, `each` times, a control without any content of its own; "mislabelled": the training
    negatives under the label of the positives, a control that must do harm; "held-back": `count` real
    positives that no other regime trains on, posing as synthetic films, to learn what a gain of that size
    looks like. They are of the training part, where `Data.max_positives` left them out, or of the `source`
    that the protocol leaves out; "released": the released `config` under another name, because the suite
    makes one of that name itself; "retraced": all training films at the size and in the encoding of a
    release, `encoding`, under their own labels, for a regime to train on in place of the films
    (`Regime.retraced`). `seed` is that of the painting, or of the choice.
    """

    kind: Literal["painted", "copies", "mislabelled", "held-back", "released", "retraced"]
    pattern: str = "covid-19"
    control: str | None = None
    each: Annotated[int, Field(ge=1, le=1000)] = 1
    count: Annotated[int, Field(ge=1)] | None = None
    source: str | None = None
    config: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    encoding: Encoding | None = None

    @model_validator(mode="after")
    def _only_paintings_have_controls(self) -> Made:
        if self.control is not None and self.kind != "painted":
            raise ValueError('a control only where kind = "painted"')
        if self.kind in ("mislabelled", "retraced") and self.each != 1:
            raise ValueError(f'each film once where kind = "{self.kind}"')
        if (self.kind == "retraced") != (self.encoding is not None):
            raise ValueError('an encoding exactly where kind = "retraced"')
        if (self.count is not None) != (self.kind == "held-back"):
            raise ValueError('a count exactly where kind = "held-back"')
        if self.kind != "held-back" and self.source is not None:
            raise ValueError('a source only where kind = "held-back"')
        if (self.config is not None) != (self.kind == "released"):
            raise ValueError('a config exactly where kind = "released"')
        if self.kind in ("held-back", "released") and self.each != 1:
            raise ValueError("each film that was held back or released once")
        return self

    def rule(self) -> dict[str, Any]:
        """What the films depend on, for a digest. Keys that came later are left out where they say nothing,
        so that the results of older suites stay what they are."""
        later = {"count", "source", "config", "encoding"}
        return self.model_dump(exclude={key for key in later if getattr(self, key) is None})
