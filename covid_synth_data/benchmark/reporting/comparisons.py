"""Regimes against baselines on the same test films, over all seeds that both have.

A baseline is a regime of real films alone (`mix` is `real`); an honest one does something about the imbalance
or the scarcity that costs no generator. Two baselines matter for a regime, and no test film chooses either:

- The one to beat for a gain: of all baselines whose films are stored in the same way, the one with the
  highest AUC on the validation films, mean over the seeds; the lower validation loss decides between equals,
  and where older results tell no AUC.
- The one that a loss is measured against: the same recipe (sampling, loss, augmentation) and the same real
  films without synthetic ones. The suite names it before any film is tested; without one it is `real`.

A third answers another question. With equal data, the classifier of real films has those that the generator
was trained on as well (`Regime.generator_films`): what a regime gains over that is not owed to more films.

Seed s of a regime and seed s of a baseline start from the same weights, so seeds are paired. What a gain is,
and when it is claimed, is in `gains`; the resampling is described in `metrics.crossed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from covid_synth_data.benchmark.reporting.samples import Sample
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ResultError
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.metrics import crossed
from covid_synth_data.metrics.crossed import Contrast

REAL: Final = "real"


class Pair(FrozenModel):
    """A regime against a baseline: `contrasts` by the name of the statistic, the regime minus the baseline.

    `seeds` are those that both have. `honest` says that the baseline does something about the imbalance (see
    `suite.Regime.honest`), `chosen` that it is the one to beat, `named` that it is the one a loss is measured
    against, `equal_data` that it is of the same recipe and has the films of the regime's generator too,
    `regime_is_baseline` that no gain is claimed for the regime: it is trained on real films alone
    too, or on films that are held back from all others (a ceiling).
    """

    baseline: str
    regime: str
    honest: bool
    chosen: bool
    named: bool
    equal_data: bool
    regime_is_baseline: bool
    seeds: list[int]
    contrasts: dict[str, Contrast]


def compare(samples: Sequence[Sample]) -> list[Pair]:
    """Every regime against every baseline, in the order in which they come in `samples`.

    `samples` are those of one suite, task, preprocessing and model. Baselines are compared with each other
    too. Raises `ResultError` where there is no baseline, or regimes were tested on different films.
    """
    _same_films(samples)
    baselines = sorted(
        (sample for sample in samples if sample.rule.baseline), key=lambda sample: sample.regime != REAL
    )
    if not baselines:
        raise ResultError(
            "there is no baseline to compare with",
            found=", ".join(sample.regime for sample in samples) or "no results",
            expected='a regime of real films alone (mix = "real")',
            hint="run the baselines too",
        )
    chosen = {real: to_beat(samples, *real) for real in {real_films(sample.rule) for sample in samples}}
    pairs = []
    for baseline in baselines:
        for sample in samples:
            shared = [seed for seed in sample.seeds if seed in baseline.seeds]
            if sample is baseline or not shared:
                continue
            a, b = baseline.of_seeds(shared), sample.of_seeds(shared)
            pairs.append(
                Pair(
                    baseline=baseline.regime,
                    regime=sample.regime,
                    honest=baseline.rule.honest,
                    chosen=baseline is chosen[real_films(sample.rule)],
                    named=baseline.regime == named_for(sample.rule, baselines),
                    equal_data=_equal_data(sample.rule, baseline.rule),
                    regime_is_baseline=sample.rule.baseline or sample.rule.held,
                    seeds=shared,
                    contrasts={name: crossed.contrast(a[name], b[name]) for name in a},
                )
            )
    return pairs


def real_films(rule: Regime) -> tuple[str | None, str | None]:
    """Which real films a regime has beyond those of its split, and which encoding they are in."""
    return rule.generator_films, rule.retraced


def to_beat(
    samples: Sequence[Sample], generator_films: str | None = None, retraced: str | None = None
) -> Sample | None:
    """The baseline to beat among `samples` for regimes with these real films, None of none.

    Baselines that have the films of a generator count for regimes that have the same `generator_films` alone.
    Baselines whose films are in the encoding of a release count for regimes with the same `retraced`, and no
    others do: a new encoding can be worth more than any synthetic image, and belongs to both sides.
    """
    return best_on_validation(
        [
            one
            for one in samples
            if one.rule.baseline
            and one.rule.generator_films in (None, generator_films)
            and one.rule.retraced == retraced
        ]
    )


def best_on_validation(baselines: Sequence[Sample]) -> Sample | None:
    """The baseline to beat, None of none. Where one tells no validation AUC, the losses alone decide."""
    stated = all(sample.validation_auc is not None for sample in baselines)
    return min(
        baselines,
        key=lambda sample: (-(sample.validation_auc or 0) if stated else 0, sample.validation_loss),
        default=None,
    )


def named_for(rule: Regime, baselines: Sequence[Sample]) -> str | None:
    """The baseline with the recipe and the real films of `rule`; without one, `real`; None where that was not
    run either, or has its films in another encoding."""
    for sample in baselines:
        if _recipe(sample.rule) == _recipe(rule) and sample.rule.generator_films == rule.generator_films:
            return sample.regime
    without = rule.retraced is None and any(sample.regime == REAL for sample in baselines)
    return REAL if without else None


def _equal_data(rule: Regime, baseline: Regime) -> bool:
    return baseline.generator_films in rule.synthetic and _recipe(baseline) == _recipe(rule)


def _recipe(rule: Regime) -> tuple[str, str, str, str | None]:
    return rule.sampling, rule.loss, rule.augment, rule.retraced


def _same_films(samples: Sequence[Sample]) -> None:
    for sample in samples:
        if sample.films != samples[0].films:
            raise ResultError(
                f"{sample.regime} was not tested on the same films as {samples[0].regime}",
                found=f"{len(sample.films)} films",
                expected=f"{len(samples[0].films)} films with the same labels",
                hint="compare results of one suite, task, preprocessing and model, with all folds",
            )
