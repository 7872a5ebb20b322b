"""The same recipe with and without synthetic films, and the share of the gap to a ceiling."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from covid_synth_data.benchmark.reporting import comparisons, gains, gap, recipes
from covid_synth_data.benchmark.reporting.samples import sample
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed

from .test_comparisons import Run, run

RULES = {
    "real-balanced": Regime(title="", mix="real", sampling="class-balanced"),
    "ceiling": Regime(title="", mix="real", held=True),
    "gan@balanced": Regime(title="", mix="add", synthetic=["gnc"], sampling="class-balanced"),
}


@dataclass(frozen=True)
class Ruled(Run):
    @property
    def regime_rule(self):
        """What the suite says of it."""
        return RULES.get(self.regime, super().regime_rule)


def samples(strengths, seeds=range(4)):
    found = []
    for name, strength in strengths.items():
        runs = [run(name, strength, seed) for seed in seeds]
        found.append(sample([Ruled(**vars(one)) for one in runs], replicates=300))
    return found


STRENGTHS = {"real": 0.3, "real-balanced": 0.4, "gan": 0.9, "gan@balanced": 1.0, "ceiling": 2.0}


def test_the_headline_holds_the_recipe_fixed():
    found = samples(STRENGTHS)
    text = "\n".join(recipes.section(found, comparisons.compare(found)))
    (line,) = [line for line in text.splitlines() if line.startswith("| gan ")]
    auc = {one.regime: one.statistics["auc"].value for one in found}
    assert f"{auc['gan'] - auc['real']:+.3f} [" in line
    assert f"{auc['gan@balanced'] - auc['real-balanced']:+.3f} [" in line
    assert recipes.section(found[:3], comparisons.compare(found[:3])) == []


def test_a_ceiling_is_no_baseline_and_claims_nothing():
    found = samples(STRENGTHS)
    pairs = comparisons.compare(found)
    assert {pair.baseline for pair in pairs} == {"real", "real-balanced"}
    assert {one.regime for one in gains.gains(pairs)} == {"gan", "gan@balanced"}


def test_the_share_of_the_gap():
    found = samples(STRENGTHS)
    text = "\n".join(gap.section(found))
    assert "The gap from real-balanced" in text
    assert "to ceiling" in text
    assert "| gan@balanced" in text
    low, regime, high = (found[n].statistics["auc"] for n in (1, 3, 4))
    share = crossed.gap_share(low, regime, high)
    assert share.value == pytest.approx((regime.value - low.value) / (high.value - low.value))
    assert share.low < share.value < share.high
    assert crossed.gap_share(low, low, high).value == 0
    whole = crossed.gap_share(low, high, high)
    assert (whole.value, whole.low, whole.high) == pytest.approx((1, 1, 1))
    assert gap.section(found[:4]) == []


def test_a_gap_that_may_not_be_there_has_no_shares():
    low, regime, _ = (found.statistics["auc"] for found in samples({"real": 0.4, "gan": 0.9, "other": 1.0}))
    assert crossed.gap_share(low, regime, replace(low, replicates=low.replicates + 0)) is None
    assert crossed.gap_share(regime, low, low) is None
    with pytest.raises(MetricError, match="pairs"):
        crossed.gap_share(low, regime, replace(low, values=np.array([0.5])))
