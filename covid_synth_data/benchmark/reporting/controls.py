"""Controls: regimes whose added films show nothing new, such as copies of the positives or placebos.

A gain that a control reaches too is not due to what synthetic images show.
"""

from __future__ import annotations

from collections.abc import Iterable

from covid_synth_data.benchmark.reporting.collect import Group
from covid_synth_data.benchmark.suite import ClassificationSuite, is_suite, load_suite
from covid_synth_data.benchmark.suite.made import Copies, Made, Mislabelled, Painted, RandomTone


def is_control(made: Made) -> bool:
    """Whether the films of a config that a suite makes are a control."""
    if isinstance(made, Painted):
        return made.control is not None
    return isinstance(made, (Copies, Mislabelled, RandomTone))


def regimes(groups: Iterable[Group]) -> frozenset[str]:
    """The regimes among `groups` whose synthetic configs are all controls of their suite."""
    found = set()
    for group in groups:
        configs = group.first.regime_rule.synthetic
        if configs and set(configs) <= _of_suite(group.first.suite):
            found.add(group.first.regime)
    return frozenset(found)


def _of_suite(name: str) -> set[str]:
    """The configs of a suite that are controls; none of a suite that the package does not know."""
    suite = load_suite(name) if is_suite(name) else None
    if not isinstance(suite, ClassificationSuite):
        return set()
    return {config for config, made in suite.made.items() if is_control(made)}
