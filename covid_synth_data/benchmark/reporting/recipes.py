"""The same recipe with and without the synthetic films: a line per synthetic regime, a column per recipe."""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.reporting.comparisons import Pair
from covid_synth_data.benchmark.reporting.gains import with_limits
from covid_synth_data.benchmark.reporting.markdown import markdown_table
from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.benchmark.suite.recipes import AT

METRIC = "auc"


def section(samples: Sequence[Sample], pairs: Sequence[Pair]) -> list[str]:
    """A sentence and a table of the difference in AUC; nothing where no regime was crossed."""
    recipes = list(dict.fromkeys(sample.regime.partition(AT)[2] for sample in samples if AT in sample.regime))
    if not recipes:
        return []
    own = {pair.regime: pair for pair in pairs if pair.named}
    bases = dict.fromkeys(sample.regime.partition(AT)[0] for sample in samples if AT in sample.regime)
    lines = [["regime", "natural", *recipes]]
    for base in bases:
        cells = [_cell(own.get(name)) for name in (base, *(f"{base}{AT}{recipe}" for recipe in recipes))]
        lines.append([base, *cells])
    return [
        "The same recipe with and without the synthetic films: difference in AUC [95 % interval, not"
        " corrected for the number of cells].",
        markdown_table(lines),
    ]


def _cell(pair: Pair | None) -> str:
    return "not run" if pair is None else with_limits(pair.contrasts[METRIC])
