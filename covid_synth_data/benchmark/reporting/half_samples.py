"""How much other training patients may change a gain, where each seed trains on a half of its own."""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.reporting.comparisons import named_for
from covid_synth_data.benchmark.reporting.gains import JUDGED, METRICS
from covid_synth_data.benchmark.reporting.markdown import markdown_table, signed
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.benchmark.suite.half_samples import NAME
from covid_synth_data.metrics.half_samples import LEAST, OverTrainingSets, over_training_sets


def section(samples: Sequence[Sample], suite: str) -> list[str]:
    """A sentence and a table: each regime against the baseline of its own recipe, with an interval that
    covers other training patients. Nothing for suites that draw no halves."""
    if not suite.endswith(f"@{NAME}"):
        return []
    baselines = [sample for sample in samples if sample.rule.baseline]
    lines = [["regime", "own recipe without", *(f"{name}: {what}" for name in JUDGED for what in _SHOWN)]]
    for sample in samples:
        name = named_for(sample.rule, baselines)
        baseline = next((one for one in baselines if one.regime == name), None)
        if baseline is None or sample.rule.baseline:
            continue
        shared = [seed for seed in sample.seeds if seed in baseline.seeds]
        if len(shared) < LEAST:
            continue
        a, b = baseline.of_seeds(shared), sample.of_seeds(shared)
        contrasts = [over_training_sets(a[METRICS[metric]], b[METRICS[metric]]) for metric in JUDGED]
        lines.append([sample.regime, baseline.regime, *(cell for one in contrasts for cell in _cells(one))])
    if len(lines) == 1:
        return []
    return [
        "Against the baseline of the same recipe, over draws of the training patients: the mean difference"
        " [95 % interval that covers other training patients and other test patients, not corrected for the"
        " number of regimes], the standard deviation of the draws, and in how many the regime is above. The"
        " intervals of the table below do not cover other training patients.",
        markdown_table(lines),
    ]


_SHOWN = ("difference", "sd of the draws", "above in")


def _cells(contrast: OverTrainingSets) -> tuple[str, str, str]:
    return (
        f"{signed(contrast.difference)} [{signed(contrast.low)} to {signed(contrast.high)}]",
        f"{contrast.spread:.3f}",
        f"{contrast.above} of {contrast.draws}",
    )
