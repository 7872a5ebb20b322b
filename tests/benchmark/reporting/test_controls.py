"""Regimes whose films show nothing new are told from others, and a report says where they gain as well."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from covid_synth_data.benchmark.reporting import comparisons, controls, gains
from covid_synth_data.benchmark.suite import load_suite
from tests.benchmark.reporting.test_comparisons import samples


def group(suite: str, regime: str, *configs: str) -> SimpleNamespace:
    rule = SimpleNamespace(synthetic=list(configs))
    return SimpleNamespace(first=SimpleNamespace(suite=suite, regime=regime, regime_rule=rule))


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ("external", {"copies", "recoded", "reduced", "random-tone"}),
        ("same-source-cv", {"copies", "outside", "darker", "discs", "mislabelled"}),
    ],
)
def test_which_configs_of_a_suite_are_controls(suite, expected):
    made = load_suite(suite).made
    assert {name for name, one in made.items() if controls.is_control(one)} == expected


def test_a_regime_is_a_control_where_all_of_its_configs_are():
    groups = [
        group("external", "real"),
        group("external", "real+recoded-skew4@augmented", "recoded"),
        group("external", "real+gnc", "gnc"),
        group("external", "both", "gnc", "copies"),
        group("external@half-samples", "real+copies-skew4", "copies"),
        group("no-such-suite", "real+copies", "copies"),
    ]
    assert controls.regimes(groups) == {"real+recoded-skew4@augmented", "real+copies-skew4"}


def test_the_verdict_warns_of_controls_that_gain():
    found = gains.gains(comparisons.compare(samples({"real": 0.2, "real-balanced": 0.4, "a": 3.0, "b": 3.0})))
    warned = gains.verdict(found, {"b"})
    assert warned.startswith("Controls, whose films show nothing new, gain as well: b +")
    assert "a +" not in warned.partition(". A gain that")[0]
    assert "Controls" not in gains.verdict(found, {"real-balanced"})
    assert "Controls" not in gains.verdict(found)
