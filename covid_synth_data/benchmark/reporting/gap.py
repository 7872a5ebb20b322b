"""How much of the gap from the best baseline to a ceiling each regime closes.

A ceiling is a regime of real films alone that trains on films which are held back from all others
(`Regime.held`). Of several, that with the highest AUC on the validation films counts, as among baselines.
"""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.reporting.comparisons import best_on_validation
from covid_synth_data.benchmark.reporting.gains import METRICS
from covid_synth_data.benchmark.reporting.markdown import markdown_table, signed
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.metrics import crossed

SHOWN = ("AUC", "sensitivity at specificity 0.90")


def section(samples: Sequence[Sample]) -> list[str]:
    """A sentence and a table; nothing where there is no ceiling or no honest baseline."""
    baseline = best_on_validation([sample for sample in samples if sample.rule.honest])
    ceiling = best_on_validation(
        [sample for sample in samples if sample.rule.held and sample.rule.mix == "real"]
    )
    if baseline is None or ceiling is None:
        return []
    regimes = [sample for sample in samples if not sample.rule.baseline and sample is not ceiling]
    lines = [["regime", *(f"{name}, share of the gap" for name in SHOWN)]]
    lines += [
        [sample.regime, *(_share(baseline, sample, ceiling, name) for name in SHOWN)] for sample in regimes
    ]
    names = {shown: METRICS[shown] for shown in SHOWN}
    gaps = [
        f"{signed(ceiling.statistics[name].value - baseline.statistics[name].value)} in {shown}"
        for shown, name in names.items()
    ]
    return [
        f"The gap from {baseline.regime}, the best honest baseline on the validation films, to"
        f" {ceiling.regime}: {', '.join(gaps)}. What each regime closes of it, in per cent [95 % interval,"
        " crossed over films and seeds]:",
        markdown_table(lines),
    ]


def _share(baseline: Sample, regime: Sample, ceiling: Sample, metric: str) -> str:
    shared = [seed for seed in regime.seeds if seed in baseline.seeds and seed in ceiling.seeds]
    if not shared:
        return "no seed in common"
    share = crossed.gap_share(
        *(sample.of_seeds(shared)[METRICS[metric]] for sample in (baseline, regime, ceiling))
    )
    if share is None:
        return "no gap that is sure"
    return f"{100 * share.value:.0f} [{100 * share.low:.0f} to {100 * share.high:.0f}]"
