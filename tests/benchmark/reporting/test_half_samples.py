"""The table that covers other training patients: which suites have it, and that its numbers are those of the
samples."""

from __future__ import annotations

from covid_synth_data.benchmark.reporting import half_samples
from covid_synth_data.metrics.half_samples import over_training_sets

from .test_gap import samples

STRENGTHS = {"real": 0.3, "real-balanced": 0.4, "gan": 0.9, "gan@balanced": 1.0}


def test_each_regime_stands_beside_the_baseline_of_its_own_recipe() -> None:
    found = samples(STRENGTHS, range(10))
    (_, table) = half_samples.section(found, "external@half-samples")
    by_name = {one.regime: one for one in found}
    for regime, baseline in (("gan", "real"), ("gan@balanced", "real-balanced")):
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {regime} ")]
        assert line.split("|")[2].strip() == baseline
        expected = over_training_sets(
            *(by_name[name].of_seeds(range(10))["auc"] for name in (baseline, regime))
        )
        assert f"{expected.difference:+.3f} [" in line
        assert f"{expected.above} of 10" in line
    assert not any(line.startswith("| real") for line in table.splitlines())


def test_other_suites_and_few_draws_have_none() -> None:
    assert half_samples.section(samples(STRENGTHS, range(10)), "external") == []
    assert half_samples.section(samples(STRENGTHS, range(9)), "external@half-samples") == []
