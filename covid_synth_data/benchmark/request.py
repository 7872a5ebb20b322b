"""What a call of the benchmark asks for: the trainings, and whether each of them can be done."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from covid_synth_data.benchmark.suite import Suite, Weights
from covid_synth_data.classifiers.registry import CLASSIFIERS
from covid_synth_data.errors import ConfigError, ReleaseError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One training: what its result file is called after. `fold` is null where the suite has no folds."""

    task: str
    model: str
    regime: str
    seed: int
    fold: int | None = None


def plan(
    suite: Suite,
    *,
    profile: str | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
) -> list[Run]:
    """What these arguments of `run` ask for, in their order. Raises `UnknownName`, `ConfigError`."""
    name = suite.choose("profile", [profile])[0] if profile is not None else next(iter(suite.profiles))
    base = suite.profiles[name]
    numbers = seed_numbers(base.seeds if seeds is None else seeds)
    asked = suite.choose("regime", regimes if regimes is not None else base.regimes or list(suite.regimes))
    folds: Sequence[int | None] = range(suite.folds) if suite.folds > 1 else [None]
    chosen = [
        Run(task, model, regime, seed, fold)
        for task in suite.choose("task", tasks if tasks is not None else suite.tasks[:1])
        for fold in folds
        for model in suite.choose("model", models if models is not None else base.models)
        for regime in asked
        if regime in suite.regimes_of(task)
        for seed in numbers
    ]
    if not chosen:
        raise ConfigError(
            "nothing to run",
            found="regimes " + ", ".join(asked),
            expected="regimes that belong to the task",
            hint="see covid-synth benchmark list",
        )
    return chosen


def seed_numbers(seeds: int | Sequence[int]) -> list[int]:
    """The seeds 0 to n - 1 of a number n, or those of a list, each once. Raises `ConfigError`."""
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not numbers or min(numbers) < 0:
        raise ConfigError("no such seeds", found=str(seeds), expected="a number of seeds, or seeds from 0 on")
    return numbers


def check_weights(suite: Suite, runs: Sequence[Run], weights: Weights | None) -> None:
    """Raise `ConfigError` before any work where a model cannot start from the weights asked for."""
    for model in dict.fromkeys(run.model for run in runs):
        asked = weights or suite.models[model].weights
        if asked not in CLASSIFIERS[model].weights:
            raise ConfigError(
                f"classifier {model} cannot start from weights {asked!r}",
                expected=" or ".join(CLASSIFIERS[model].weights),
                hint="leave that model or those weights out",
            )


def without_missing(
    suite: Suite, runs: Sequence[Run], missing: Mapping[str, str], skip_missing: bool
) -> list[Run]:
    """The runs that can be done; `ReleaseError` where some cannot and that was not allowed, or none can."""
    able = [run for run in runs if not missing.keys() & set(suite.regimes[run.regime].synthetic)]
    unable = dict.fromkeys(run.regime for run in runs if run not in able)
    if not missing or (skip_missing and able):
        for regime in unable:
            _LOG.warning("regime %s is left out: the release does not hold all of its configs", regime)
        return able
    raise ReleaseError(
        f"regimes {', '.join(unable)} of suite {suite.name} cannot run without {', '.join(missing)}",
        found=next(iter(missing.values())),
        expected=f"a release of {suite.dataset} with these configs",
        hint="give such a release, choose other regimes, or skip what is missing (--skip-missing)",
    )
