"""Configs that a suite makes from its own training films, instead of taking them from a release."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from covid_synth_data.files.models import FrozenModel


class Encoding(FrozenModel):
    """How a release keeps its images: side in pixels, codec, and its quality (without effect for png)."""

    size: Annotated[int, Field(ge=16, le=1024)]
    codec: Literal["png", "jpeg", "webp"]
    quality: Annotated[int, Field(ge=1, le=100)] = 90


_KEYS: Final = {
    "count": ("held-back", "random-tone"),
    "config": ("released",),
    "encoding": ("retraced", "random-tone"),
    "change": ("random-tone",),
}
"""Keys that belong to these kinds, and that these need."""


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
    (`Regime.retraced`); "random-tone": `count` training negatives whose tone is changed at random
    (`toned.random_tone`) by `change` grey levels in the mean, in the `encoding` of a release, under the label
    of the positives: what a translation does without anything learned. `seed` is that of the painting, of the
    choice, or of the tone.
    """

    kind: Literal["painted", "copies", "mislabelled", "held-back", "released", "retraced", "random-tone"]
    pattern: str = "covid-19"
    control: str | None = None
    each: Annotated[int, Field(ge=1, le=1000)] = 1
    count: Annotated[int, Field(ge=1)] | None = None
    source: str | None = None
    config: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    encoding: Encoding | None = None
    change: Annotated[float, Field(gt=0, le=100)] | None = None

    @model_validator(mode="after")
    def _only_paintings_have_controls(self) -> Made:
        if self.control is not None and self.kind != "painted":
            raise ValueError('a control only where kind = "painted"')
        if self.kind not in ("painted", "copies") and self.each != 1:
            raise ValueError(f'each film once where kind = "{self.kind}"')
        for key, kinds in _KEYS.items():
            if (self.kind in kinds) != (getattr(self, key) is not None):
                raise ValueError(f"{key} exactly where kind = {' or '.join(map(repr, kinds))}")
        if self.kind != "held-back" and self.source is not None:
            raise ValueError('a source only where kind = "held-back"')
        return self

    def rule(self) -> dict[str, Any]:
        """What the films depend on, for a digest. Keys that came later are left out where they say nothing,
        so that the results of older suites stay what they are."""
        later = {"count", "source", "config", "encoding", "change"}
        return self.model_dump(exclude={key for key in later if getattr(self, key) is None})
