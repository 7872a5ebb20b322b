"""The numbers that `mixing` takes: counts, fractions and seeds, each checked before it is used."""

from __future__ import annotations

import math
import numbers

import numpy as np

from covid_synth_data.errors import ConfigError, ImpossibleMix


def check_count(count: int, what: str) -> None:
    """Raise `ImpossibleMix` unless `count` is a whole number from 0 on; `what` names it in the error."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 0:
        raise ImpossibleMix(what, found=str(count), expected="a whole number from 0 on")


def check_fraction(fraction: float, most: float) -> None:
    """Raise `ImpossibleMix` unless `fraction` is a number in [0, `most`]."""
    if not (is_number(fraction) and 0 <= fraction <= most and math.isfinite(fraction)):
        limit = "between 0 and 1" if most == 1 else "0 or more"
        raise ImpossibleMix("no such fraction", found=repr(fraction), expected=limit)


def is_number(value: object) -> bool:
    """Whether `value` is a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def seeded(seed: int, use: int) -> np.random.Generator:
    """The generator of one use of a seed. Raises `ConfigError` for what cannot be a seed."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError("no such seed", found=repr(seed), expected="a whole number from 0 on")
    return np.random.default_rng([seed, use])
