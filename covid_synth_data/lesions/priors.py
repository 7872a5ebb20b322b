"""The distributions that lesions are drawn from, read from priors.toml and checked.

A `Range` is drawn from uniformly; an `Extent` is a scaled beta distribution of a share of the affected lungs.
"""

from __future__ import annotations

import functools
import hashlib
from math import inf
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from covid_synth_data.files.models import FrozenModel, read_toml

FILE: Final = Path(__file__).parent / "priors.toml"

FITTED_SHARE: Final = 1 / 3
"""Real films whose hash is below this share were fitted on; the others stay for tests."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(ge=0, le=10)]
AboveZero = Annotated[float, Field(gt=0, le=10)]
Range = Annotated[tuple[float, float], BeforeValidator(lambda value: _pair(value))]
Shape = Literal["patches", "focus", "lobe", "base", "veil"]


def fitted_on(image_id: str, share: float = FITTED_SHARE) -> bool:
    """Whether a real film is one of those that the priors are fitted to: by the hash of its id, so that the
    choice is the same everywhere."""
    return int(hashlib.sha256(image_id.encode()).hexdigest()[:8], 16) < share * 2**32


class Extent(FrozenModel):
    """A beta distribution with parameters `a` and `b`, stretched to [`low`, `high`]: a share of the lungs."""

    a: Positive
    b: Positive
    low: Share
    high: Share


class Pattern(FrozenModel):
    """One pattern of disease.

    `shape` names the function of `patterns` that says where it may lie; `both` is the probability that both
    lungs have it; `extent` the share of the affected lungs. `density` is the share of the way from the lung's
    grey to that of soft tissue, `core` what is added to it in the middle, `texture` its unevenness; `clouds`
    the number of clouds of noise across the film; `softness` the width of the border and `scatter` the spread
    of the noise, in standard deviations of the field; `ragged` the spread of the fine noise that breaks up
    the border, in widths of the border; `detail` the share of vessels that is hidden; `anatomy` the weight of
    the table of places.
    """

    shape: Shape
    both: Share
    extent: Extent
    density: Range
    core: Range
    clouds: Range
    softness: Range
    texture: Range
    detail: Range
    anatomy: Annotated[float, Field(ge=0)]
    scatter: Annotated[float, Field(ge=0)]
    ragged: Annotated[float, Field(ge=0)]


class Anatomy(FrozenModel):
    """Mean infected share by place in the lung: rows from apex to base, columns from hilum to chest wall; how
    many `films` it was measured on, and whose masks."""

    table: Annotated[list[list[Annotated[float, Field(gt=0, lt=1)]]], BeforeValidator(lambda value: value)]
    films: int
    source: str


class Priors(FrozenModel):
    """All distributions. `mixtures` gives each disease the weights of its patterns."""

    mixtures: dict[str, dict[str, Annotated[float, Field(gt=0)]]]
    patterns: dict[str, Pattern]
    anatomy: Anatomy

    @model_validator(mode="after")
    def _known_patterns(self) -> Self:
        for disease, mixture in self.mixtures.items():
            unknown = sorted(set(mixture) - set(self.patterns))
            if unknown or not mixture:
                raise ValueError(f"patterns of {disease} that are described below, found {unknown}")
        return self


class Scale(FrozenModel):
    """Factors of the numbers of all patterns, 1 where nothing changes: `extent` of the share of the lungs,
    `density` of how bright lesions are, `texture` of their unevenness, `detail` of the vessels that they
    hide, `softness` of the width of their borders, `anatomy` of the weight of the table of places."""

    extent: AboveZero = 1.0
    density: Factor = 1.0
    texture: Factor = 1.0
    detail: Factor = 1.0
    softness: AboveZero = 1.0
    anatomy: Factor = 1.0


def scaled(priors: Priors, scale: Scale) -> Priors:
    """`priors` with the numbers of every pattern multiplied; shares stay within [0, 1]."""

    def change(pattern: Pattern) -> Pattern:
        extent = pattern.extent.model_copy(
            update={end: min(1.0, scale.extent * getattr(pattern.extent, end)) for end in ("low", "high")}
        )
        ranges = {
            name: _times(getattr(pattern, name), getattr(scale, name), most)
            for name, most in (("density", 1.0), ("texture", inf), ("detail", 1.0), ("softness", inf))
        }
        anatomy = {"anatomy": scale.anatomy * pattern.anatomy}
        return pattern.model_copy(update={"extent": extent, **ranges, **anatomy})

    patterns = {name: change(pattern) for name, pattern in priors.patterns.items()}
    return priors.model_copy(update={"patterns": patterns})


def _times(span: Range, factor: float, most: float) -> Range:
    return min(most, factor * span[0]), min(most, factor * span[1])


@functools.lru_cache(maxsize=8)
def load(path: Path = FILE) -> Priors:
    """The priors in the file `path`. Raises `ConfigError` naming the key that is wrong."""
    return read_toml(path, Priors)


def _pair(value: object) -> object:
    """TOML has lists where we want (low, high)."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        if value[0] > value[1]:
            raise ValueError("(low, high) with low not above high")
        return float(value[0]), float(value[1])
    return value
