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


def ends(samples: Sequence[Sample]) -> tuple[Sample, Sample] | None:
    """The best honest baseline and the ceiling; None where there is no such baseline or no ceiling."""
    baseline = best_on_validation(
        [sample for sample in samples if sample.rule.honest and sample.rule.retraced is None]
    )
    ceiling = best_on_validation(
        [sample for sample in samples if sample.rule.held and sample.rule.mix == "real"]
    )
    return None if baseline is None or ceiling is None else (baseline, ceiling)


def between(samples: Sequence[Sample], ceiling: Sample) -> list[Sample]:
    """The regimes whose share of the gap is stated: all but baselines and the ceiling."""
    return [sample for sample in samples if not sample.rule.baseline and sample is not ceiling]


def share(baseline: Sample, regime: Sample, ceiling: Sample, metric: str) -> crossed.GapShare | None:
    """The share of the gap in `metric`, one of `gains.METRICS`, over the seeds that all three have.

    None where they share no seed, or the gap is not sure to be above zero.
    """
    shared = _shared_seeds(baseline, regime, ceiling)
    if not shared:
        return None
    return crossed.gap_share(
        *(sample.of_seeds(shared)[METRICS[metric]] for sample in (baseline, regime, ceiling))
    )


def _shared_seeds(baseline: Sample, regime: Sample, ceiling: Sample) -> list[int]:
    return [seed for seed in regime.seeds if seed in baseline.seeds and seed in ceiling.seeds]


def section(samples: Sequence[Sample]) -> list[str]:
    """A sentence and a table; nothing where there is no ceiling or no honest baseline."""
    both = ends(samples)
    if both is None:
        return []
    baseline, ceiling = both
    lines = [["regime", *(f"{name}, share of the gap" for name in SHOWN)]]
    lines += [
        [sample.regime, *(_cell(baseline, sample, ceiling, name) for name in SHOWN)]
        for sample in between(samples, ceiling)
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


def _cell(baseline: Sample, regime: Sample, ceiling: Sample, metric: str) -> str:
    if not _shared_seeds(baseline, regime, ceiling):
        return "no seed in common"
    closed = share(baseline, regime, ceiling, metric)
    if closed is None:
        return "no gap that is sure"
    return f"{100 * closed.value:.0f} [{100 * closed.low:.0f} to {100 * closed.high:.0f}]"
