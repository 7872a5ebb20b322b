"""What synthetic films gain over the best that real films can do without a generator.

One rule for the report and the leaderboard: a gain survives when it is above zero under every seed and more
than chance over the baseline that leaves the smallest gain in that metric. Chance is judged, for the AUC, by
the interval over patients of the difference of the means over the seeds; for what counts films, by McNemar's
test under every seed, corrected after Holm over the regimes that meet that baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from covid_synth_data.benchmark.reporting.comparisons import REAL, Pair, Spread
from covid_synth_data.benchmark.reporting.markdown import markdown_table, signed
from covid_synth_data.files.models import FrozenModel

ALPHA: Final = 0.05

NOTES: Final = (
    "Gain: the regime minus the baseline, mean over the seeds {lowest to highest seed}; for the AUC also [95"
    " % interval of a bootstrap over patients, the same patients for both]. Baselines are the regimes of real"
    " films alone. The best one is chosen in each metric on the test films, which favours the baselines a"
    " little.",
    "p: McNemar's test against that baseline, the largest of the seeds, corrected after Holm over the"
    " regimes; it takes films for independent, and those of one patient are not, so it is a little too small."
    " The interval of the AUC is not corrected for the number of regimes.",
    "A gain survives when it is above zero under every seed and more than chance: for the AUC its interval is"
    " above zero, for the others p is below 0.05. Without a baseline that is balanced, weighted or augmented,"
    " nothing is said to survive.",
)


class Gain(FrozenModel):
    """What a regime gains in one metric; differences in [-1, 1], means over the seeds.

    `over_real` is None without a regime `real`. `best` is the baseline that leaves the smallest gain,
    `over_best` the gain over it with its spread over the seeds. `low` and `high` bound it for the AUC, `p` is
    the largest corrected p of the seeds for the other metrics. `survives` is None where no honest baseline
    was run.
    """

    regime: str
    metric: str
    over_real: float | None
    best: str
    over_best: Spread
    low: float | None
    high: float | None
    p: float | None
    survives: bool | None


def gains(pairs: Sequence[Pair]) -> list[Gain]:
    """For each regime that is no baseline, in the order of `pairs`: its gain in each metric."""
    chosen = {pair.baseline for pair in pairs}
    regimes = dict.fromkeys(
        pair.regime for pair in pairs if not pair.regime_is_baseline and pair.regime not in chosen
    )
    return [gain(regime, metric, pairs) for regime in regimes for metric in METRICS]


def gain(regime: str, metric: str, pairs: Sequence[Pair]) -> Gain:
    """The gain of `regime`, which is in `pairs`, in one of `METRICS`."""
    spread, p_of = METRICS[metric]
    mine = [pair for pair in pairs if pair.regime == regime]
    best = min(mine, key=lambda pair: spread(pair).mean)
    over = spread(best)
    p = p_of(best) if p_of else None
    beyond_chance = best.mean_auc.low > 0 if p is None else p < ALPHA
    return Gain(
        regime=regime,
        metric=metric,
        over_real=next((spread(pair).mean for pair in mine if pair.baseline == REAL), None),
        best=best.baseline,
        over_best=over,
        low=best.mean_auc.low if p is None else None,
        high=best.mean_auc.high if p is None else None,
        p=p,
        survives=over.lowest > 0 and beyond_chance if any(pair.honest for pair in mine) else None,
    )


METRICS: Final[dict[str, tuple[Callable[[Pair], Spread], Callable[[Pair], float] | None]]] = {
    "AUC": (lambda pair: pair.auc, None),
    "sensitivity at specificity 0.90": (
        lambda pair: pair.sensitivity_at["0.90"],
        lambda pair: max(one.at_specificity_holm for one in pair.seeds),
    ),
    "sensitivity at 0.5": (
        lambda pair: pair.sensitivity,
        lambda pair: max(one.positives_holm for one in pair.seeds),
    ),
    "accuracy": (lambda pair: pair.accuracy, lambda pair: max(one.films_holm for one in pair.seeds)),
}
"""Each metric of a gain: its spread in a pair, and the largest corrected p of the seeds; the AUC has an
interval in place of that."""


def verdict(found: Sequence[Gain]) -> str:
    """In a sentence or two, which gains survive."""
    if not found:
        return "No regime with synthetic films was run."
    if all(one.survives is None for one in found):
        return "No baseline that is balanced, weighted or augmented was run, so nothing is said to survive."
    regimes = list(dict.fromkeys(one.regime for one in found))
    kept = {name: [one.metric for one in found if one.regime == name and one.survives] for name in regimes}
    surviving = [f"{name} in {', '.join(metrics)}" for name, metrics in kept.items() if metrics]
    if not surviving:
        return f"No gain survives ({', '.join(regimes)})."
    rest = [name for name in regimes if not kept[name]]
    none = f" No gain of {', '.join(rest)} does." if rest else ""
    return f"Gains that survive: {'; '.join(surviving)}.{none}"


def table(pairs: Sequence[Pair]) -> str:
    """The gains as text, Markdown at the same time; `NOTES` say what its columns mean."""
    lines = [["regime", "metric", "gain over real", "best baseline", "gain over it", "p", "survives"]]
    lines += [
        [
            one.regime,
            one.metric,
            "not run" if one.over_real is None else signed(one.over_real),
            one.best,
            _with_limits(one),
            "" if one.p is None else f"{one.p:.2g}",
            {True: "yes", False: "no", None: "not tested"}[one.survives],
        ]
        for one in gains(pairs)
    ]
    return markdown_table(lines)


def _with_limits(one: Gain) -> str:
    over = one.over_best
    lowest, highest = signed(over.lowest), signed(over.highest)
    spread = "" if lowest == highest else f" {{{lowest} to {highest}}}"
    if one.low is None or one.high is None:
        return signed(over.mean) + spread
    return f"{signed(over.mean)}{spread} [{signed(one.low)} to {signed(one.high)}]"
