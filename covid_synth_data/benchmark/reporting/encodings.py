"""What real films gain by being stored in one way, without any synthetic image.

Where the classes of the training films come from different collections, their size and encoding tell the
class. Films that are all encoded alike (`Regime.retraced`) do not have that shortcut. A regime with synthetic
images that does not exceed such films beside films as they came has gained nothing that costs a generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from covid_synth_data.benchmark.reporting.comparisons import Pair, to_beat
from covid_synth_data.benchmark.reporting.gains import ALPHA, METRICS, SEEDS_NEEDED, with_limits
from covid_synth_data.benchmark.reporting.samples import Sample


def sentence(samples: Sequence[Sample], pairs: Iterable[Pair]) -> str:
    """What the best baseline in another encoding gains in AUC over the best in none.

    Both are chosen on validation films. Nothing unless the gain is beyond chance (p uncorrected). `pairs` are
    all of one table.
    """
    plain = to_beat(samples)
    encodings = {one.rule.retraced for one in samples} - {None}
    others = [to_beat(samples, retraced=name) for name in encodings]
    regimes = {one.regime for one in others if one is not None}
    parts = [
        f"{pair.regime} {with_limits(pair.contrasts[METRICS['AUC']])} over {pair.baseline}"
        for pair in pairs
        if plain is not None and pair.baseline == plain.regime and pair.regime in regimes
        if len(pair.seeds) >= SEEDS_NEEDED and _beyond_chance(pair)
    ]
    if not parts:
        return ""
    return (
        f"Real films alone gain in AUC where all are encoded alike: {', '.join(sorted(parts))}. "
        "A gain over films as they came that does not exceed this needs no synthetic image."
    )


def _beyond_chance(pair: Pair) -> bool:
    contrast = pair.contrasts[METRICS["AUC"]]
    return contrast.difference > 0 and contrast.p < ALPHA
