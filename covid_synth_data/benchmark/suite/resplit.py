"""A suite of classifiers whose films are split anew: NAME@split-1.

The split is fixed in a suite, and so in its intervals. The derived suite deals the same patients by another
seed. A released generator that learned from films of the first split may have seen films that the second one
tests on; the leak check refuses it. Films that are made from the training films of the split are not
concerned. The derived suite has a name of its own, so that its results never stand in a table with those of
the template.
"""

from __future__ import annotations

import re

from covid_synth_data.benchmark.suite.classification import ClassificationSuite
from covid_synth_data.errors import ConfigError


def seed_of(mark: str) -> int | None:
    """The seed that a mark such as "split-1" names; None for another mark."""
    match = re.fullmatch(r"split-(0|[1-9][0-9]{0,8})", mark)
    return None if match is None else int(match[1])


def with_split(suite: ClassificationSuite, seed: int) -> ClassificationSuite:
    """The suite with the split of `seed`. Raises `ConfigError` for a negative seed and for its own."""
    if seed < 0 or seed == suite.data.split_seed:
        raise ConfigError(
            f"no other split of the suite {suite.name}",
            found=f"split seed {seed}",
            expected=f"a number from 0 on, other than its own {suite.data.split_seed}",
            hint="choose another seed, or leave it out",
        )
    return suite.model_copy(
        update={
            "name": f"{suite.name}@split-{seed}",
            "title": f"{suite.title}; split by seed {seed}",
            "data": suite.data.model_copy(update={"split_seed": seed}),
        }
    )
