"""A suite NAME of the protocol `same-source` or `same-source-cv` on another source: the suite NAME@SOURCE.

Films, splits and what is held back are of that source; regimes, models and profiles stay. The derived suite
has a name of its own, so that its results never stand in a table with those of another source.
"""

from __future__ import annotations

from typing import Final

from covid_synth_data.benchmark.suite.classification import ClassificationSuite
from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.splits.protocols import same_source

MARK: Final = "@"
PROTOCOLS: Final = ("same-source", "same-source-cv")


def with_source(suite: ClassificationSuite, source: str) -> ClassificationSuite:
    """The suite with `source` as what is tested on. Raises `ConfigError` where the protocol of the suite
    fixes its sources, and `UnknownName` for a source without both classes."""
    if suite.protocol not in PROTOCOLS:
        raise ConfigError(
            f"the suite {suite.name} fixes its sources",
            found=f"source {source}",
            expected="a suite of the protocol " + " or ".join(PROTOCOLS),
            hint="leave the source out",
        )
    if source not in same_source.testable():
        raise UnknownName("source with both classes", source, same_source.testable())
    data = suite.data.model_copy(update={"sources": [source], "held_findings": [f"source:{source}"]})
    return suite.model_copy(
        update={
            "name": f"{suite.name}{MARK}{source}",
            "title": f"{suite.title}; tested on {source}",
            "data": data,
        }
    )
