"""Gains of synthetic films over the best that real films can do without a generator, and their losses.

One rule for the report and the leaderboard. A *gain* is claimed where a regime is above the baseline that was
chosen on the validation films, a *loss* where it is below the baseline of its own recipe, which the suite
names beforehand; each where its p value is below 0.05 after Holm's correction over all regimes and judged
metrics of the table. p comes from the bootstrap crossed over patients and seeds (`metrics.crossed`). Else it
is said how large a gain would have been found. Fewer than `SEEDS_NEEDED` seeds get no verdict.

Metrics at the threshold 0.5 are shown and not judged: whatever raises the share of positives in training
moves them, copies of real positives and mislabelled negatives included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from covid_synth_data.benchmark.reporting.comparisons import REAL, Pair
from covid_synth_data.benchmark.reporting.markdown import markdown_table, signed
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import comparison
from covid_synth_data.metrics.crossed import Contrast
from covid_synth_data.metrics.resampling import specificity_name

ALPHA: Final = 0.05

SEEDS_NEEDED: Final = 10
"""With fewer trainings their variance is itself too uncertain to be judged by."""

METRICS: Final = {
    "AUC": "auc",
    "sensitivity at specificity 0.90": specificity_name(0.90),
    "sensitivity at 0.5": "sensitivity",
    "accuracy": "accuracy",
}
"""Each metric of a gain, and the name of its statistic."""

JUDGED: Final = ("AUC", "sensitivity at specificity 0.90")
"""The metrics that a verdict rests on: those that no shift of the threshold changes."""

NOTES: Final = (
    "Gain: the regime minus the baseline, mean over the seeds [95 % interval of a bootstrap crossed over"
    " patients and seeds]. Baselines are the regimes of real films alone. The one to beat was chosen by its"
    " AUC on the validation films, never on test films; by the validation loss where older results tell no"
    " AUC.",
    f"Verdicts rest on {' and '.join(JUDGED)}. Sensitivity and accuracy at 0.5 are shown and not judged: they"
    " rise or fall with the share of positives in training, whatever these show.",
    "p: two-sided, of the same bootstrap, corrected after Holm over all regimes and judged metrics of the"
    " table; of the other metrics uncorrected. Detectable: the gain that this test would have found with a"
    " chance of 0.8.",
    "Against its own recipe: the regime minus the baseline of the same sampling, loss and augmentation, or"
    " minus `real` where that was not run. Losses are claimed against that one alone.",
    "Over equal data: the regime minus the baseline of its recipe that has the real films of its generator"
    " too. Without it a gain may be owed to these films.",
    f"A verdict needs {SEEDS_NEEDED} seeds. Without a baseline that is balanced, weighted or augmented, none"
    " is given. No interval of a gain covers another split, another generator or another hospital, nor other"
    " training patients. Where each seed draws its own half of them (half-samples), a table of its own does.",
)

Verdict = Literal["gain", "loss", "none", "not judged", "too few seeds", "no honest baseline"]


class Gain(FrozenModel):
    """The gain of a regime in one metric; differences in [-1, 1], means over the seeds.

    `over_real` is None without a regime `real`. `best` is the baseline to beat and `over_best` the contrast
    with it, `named` the baseline that a loss is measured against. `p` and `p_named` are corrected where the
    metric is judged. `over_equal_data` is None where no baseline had the films of the regime's generator.
    `detectable` is the smallest gain over `best` that would have been found; it may be more than `room`, the
    gain that would reach 1.
    """

    regime: str
    metric: str
    seeds: int
    over_real: float | None
    best: str
    over_best: Contrast
    p: float
    detectable: float
    room: float
    named: str | None
    over_named: Contrast | None
    p_named: float | None
    over_equal_data: Contrast | None
    verdict: Verdict


def gains(pairs: Sequence[Pair], *, baselines: bool = False) -> list[Gain]:
    """For each regime but the baseline to beat, in the order of `pairs`: its gain in each metric.

    `pairs` are all of one table. Regimes of real films alone are left out unless `baselines` asks for them;
    they never count in the correction, and get no verdict.
    """
    to_beat = {pair.regime: pair for pair in pairs if pair.chosen}
    named = {pair.regime: pair for pair in pairs if pair.named}
    with_verdict = {
        name: pair
        for name, pair in to_beat.items()
        if not pair.regime_is_baseline and len(pair.seeds) >= SEEDS_NEEDED
    }
    tests = [(name, metric) for name in with_verdict for metric in JUDGED]
    p = _holm([(key, with_verdict[key[0]].contrasts[METRICS[key[1]]].p) for key in tests])
    p_named = _holm([(key, named[key[0]].contrasts[METRICS[key[1]]].p) for key in tests if key[0] in named])
    alpha = ALPHA / max(len(tests), 1)
    of_regime: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        of_regime[pair.regime].append(pair)
    return [
        _gain(name, metric, of_regime[name], (to_beat[name], named.get(name)), (p, p_named), alpha)
        for name, pair in to_beat.items()
        for metric in METRICS
        if baselines or not pair.regime_is_baseline
    ]


Tests = dict[tuple[str, str], float]


def _holm(tests: Sequence[tuple[tuple[str, str], float]]) -> Tests:
    corrected = comparison.holm([p for _, p in tests])
    return {key: value for (key, _), value in zip(tests, corrected, strict=True)}


def _gain(
    regime: str,
    metric: str,
    mine: Sequence[Pair],
    against: tuple[Pair, Pair | None],
    corrected: tuple[Tests, Tests],
    alpha: float,
) -> Gain:
    name, key = METRICS[metric], (regime, metric)
    best, own = against
    over = best.contrasts[name]
    over_named = None if own is None else own.contrasts[name]
    p, p_named = (
        corrected[0].get(key, over.p),
        None if over_named is None else corrected[1].get(key, over_named.p),
    )
    verdict: Verdict = "none"
    if len(best.seeds) < SEEDS_NEEDED:
        verdict = "too few seeds"
    elif best.regime_is_baseline or not any(pair.honest for pair in mine):
        verdict = "no honest baseline"
    elif metric not in JUDGED:
        verdict = "not judged"
    elif over.difference > 0 and p < ALPHA:
        verdict = "gain"
    elif over_named is not None and p_named is not None and over_named.difference < 0 and p_named < ALPHA:
        verdict = "loss"
    return Gain(
        regime=regime,
        metric=metric,
        seeds=len(best.seeds),
        over_real=next((pair.contrasts[name].difference for pair in mine if pair.baseline == REAL), None),
        best=best.baseline,
        over_best=over,
        p=p,
        detectable=over.detectable(alpha),
        room=max(1 - over.a, 0.0),
        named=None if own is None else own.baseline,
        over_named=over_named,
        p_named=p_named,
        over_equal_data=next((pair.contrasts[name] for pair in mine if pair.equal_data), None),
        verdict=verdict,
    )


@dataclass(frozen=True)
class VerdictText:
    """The verdict in sentences: `lead` stands before all of it, `claims` are of the regimes with a gain or a
    loss, `others` of those without. `str` joins them."""

    lead: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One text."""
        return " ".join([*self.lead, *self.claims, *self.others])


def verdict_text(all_gains: Sequence[Gain], controls: Collection[str] = ()) -> VerdictText:
    """For each regime, in a sentence or two: its gains, its losses, and how large a gain would have been
    found. Before them, which of the regimes `controls` gain (`reporting.controls`)."""
    if not all_gains:
        return VerdictText(("No regime with synthetic films was run.",))
    all_gains = [gain for gain in all_gains if gain.verdict != "not judged"]
    if all(gain.verdict == "too few seeds" for gain in all_gains):
        fewest = min(gain.seeds for gain in all_gains)
        return VerdictText((f"Too few seeds ({fewest}) for a verdict; {SEEDS_NEEDED} are needed.",))
    if all(gain.verdict == "no honest baseline" for gain in all_gains):
        return VerdictText(
            ("No baseline that is balanced, weighted or augmented was run, so there is no verdict.",)
        )
    of_regime: dict[str, list[Gain]] = defaultdict(list)
    for gain in all_gains:
        of_regime[gain.regime].append(gain)
    claims = {name: any(one.verdict in ("gain", "loss") for one in mine) for name, mine in of_regime.items()}
    sentences = {name: _sentences(name, mine) for name, mine in of_regime.items()}
    return VerdictText(
        tuple(_of_controls(all_gains, controls)),
        tuple(sentences[name] for name, claim in claims.items() if claim),
        tuple(sentences[name] for name, claim in claims.items() if not claim),
    )


def verdict(all_gains: Sequence[Gain], controls: Collection[str] = ()) -> str:
    """`verdict_text` as one text."""
    return str(verdict_text(all_gains, controls))


def _of_controls(all_gains: Sequence[Gain], controls: Collection[str]) -> list[str]:
    """A warning where films without new content gain too."""
    found = [gain for gain in all_gains if gain.verdict == "gain" and gain.regime in controls]
    if not found:
        return []
    named = ", ".join(f"{gain.regime} {with_limits(gain.over_best)} in {gain.metric}" for gain in found)
    return [
        f"Controls, whose films show nothing new, gain as well: {named}. "
        "A gain that does not exceed theirs is not due to what synthetic images show."
    ]


def _sentences(regime: str, mine: Sequence[Gain]) -> str:
    first = mine[0]
    if first.verdict == "too few seeds":
        return f"{regime}: too few seeds ({first.seeds}) for a verdict."
    parts = [
        f"gain of {with_limits(gain.over_best)} over {gain.best} in {gain.metric}{_with_equal_data(gain)}"
        for gain in mine
        if gain.verdict == "gain"
    ]
    parts += [
        f"loss of {with_limits(gain.over_named)} against {gain.named} in {gain.metric}"
        for gain in mine
        if gain.verdict == "loss" and gain.over_named is not None
    ]
    rest = [gain for gain in mine if gain.verdict != "gain"]
    open_ = [f"{gain.detectable:.3f} in {gain.metric}" for gain in rest if gain.detectable <= gain.room]
    if open_:
        parts.append(f"no gain over {first.best} was detectable of or above {', '.join(open_)}")
    full = [f"{gain.metric} ({1 - gain.room:.3f})" for gain in rest if gain.detectable > gain.room]
    if full:
        parts.append(f"{first.best} leaves no room for a detectable gain in {', '.join(full)}")
    return f"{regime}: {'; '.join(parts)}."


def _with_equal_data(gain: Gain) -> str:
    if gain.over_equal_data is None:
        return ""
    return f" (over equal data {with_limits(gain.over_equal_data)})"


def table(pairs: Sequence[Pair]) -> str:
    """The gains as text, Markdown at the same time; `NOTES` say what its columns mean."""
    header = ["regime", "metric", "over real", "baseline to beat", "gain over it", "p", "detectable"]
    lines = [[*header, "own recipe without", "against that", "p of that"]]
    lines[0] += ["over equal data", "verdict"]
    lines += [
        [
            gain.regime,
            gain.metric,
            "not run" if gain.over_real is None else signed(gain.over_real),
            gain.best,
            with_limits(gain.over_best),
            f"{gain.p:.2g}",
            _detectable(gain),
            gain.named or "not run",
            "" if gain.over_named is None else with_limits(gain.over_named),
            "" if gain.p_named is None else f"{gain.p_named:.2g}",
            "not run" if gain.over_equal_data is None else with_limits(gain.over_equal_data),
            gain.verdict,
        ]
        for gain in gains(pairs)
    ]
    return markdown_table(lines)


def _detectable(gain: Gain) -> str:
    if gain.verdict in ("too few seeds", "not judged"):
        return ""
    return (
        f"{gain.detectable:.3f}" if gain.detectable <= gain.room else f"more than the room of {gain.room:.3f}"
    )


def with_limits(contrast: Contrast) -> str:
    """A difference with its interval."""
    return f"{signed(contrast.difference)} [{signed(contrast.low)} to {signed(contrast.high)}]"
