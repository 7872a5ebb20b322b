"""A suite of classifiers with films of another side: NAME@128px.

Networks that are trained as a whole take a third of the time at 128 pixels. The derived suite has a name of
its own, so that its results never stand in a table with those at the side of the template.
"""

from __future__ import annotations

import re
from typing import Final

from covid_synth_data.benchmark.suite.classification import ClassificationSuite
from covid_synth_data.errors import ConfigError

LEAST: Final = 32
MOST: Final = 1024
"""Sides in pixels that the networks take."""


def side_of(mark: str) -> int | None:
    """The side that a mark such as "128px" names; None for another mark."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})px", mark)
    return None if match is None else int(match[1])


def with_side(suite: ClassificationSuite, side: int) -> ClassificationSuite:
    """The suite with films of `side` x `side` pixels. Raises `ConfigError` for a side that no network takes,
    and for that of the suite itself."""
    if not LEAST <= side <= MOST or side == suite.image_size:
        raise ConfigError(
            f"no such side for the suite {suite.name}",
            found=f"{side} pixels",
            expected=f"{LEAST} to {MOST} pixels, other than its own {suite.image_size}",
            hint="choose another side, or leave it out",
        )
    return suite.model_copy(
        update={
            "name": f"{suite.name}@{side}px",
            "title": f"{suite.title}; films of {side} pixels",
            "image_size": side,
        }
    )
