"""Regimes of a suite for a config that the suite does not name: the images of any other generator.

The suite is the template. Its real films, models, profiles and baselines stay; the synthetic regimes are made
anew for the config: it alone, all of it beside the real films, and as much of it as brings the films to each
skew that the suite asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

from covid_synth_data.benchmark.suite.classification import ClassificationSuite, Regime

SKEW = 1.0
"""The skew where the suite asks for none."""


def regimes_for(suite: ClassificationSuite, config: str) -> dict[str, Regime]:
    """The regimes NAME, real+NAME and real+NAME-skewS for the config NAME, one for each skew of the suite."""
    skews = sorted({regime.skew for regime in suite.regimes.values() if regime.skew is not None}) or [SKEW]
    derived = {
        config: Regime(title=f"{config} as the only positives", synthetic=[config], mix="synthetic-only"),
        f"real+{config}": Regime(title=f"Real + {config}", synthetic=[config], mix="add"),
    }
    for skew in skews:
        title = f"Real + {config} to a skew of {skew:g}"
        derived[f"real+{config}-skew{skew:g}"] = Regime(
            title=title, synthetic=[config], mix="skew", skew=skew
        )
    return derived


def with_configs(suite: ClassificationSuite, configs: Sequence[str]) -> ClassificationSuite:
    """The suite with the regimes of these configs besides its own; a regime that is there stays as it is."""
    derived = {name: regime for config in configs for name, regime in regimes_for(suite, config).items()}
    return suite.model_copy(update={"regimes": {**derived, **suite.regimes}})


def names_for(suite: ClassificationSuite, configs: Sequence[str]) -> list[str]:
    """The regimes to run for these configs: the baselines of real films, then the derived ones.

    Baselines that are about the suite's own release are left out: they take the films of its generators
    (`generator_films`) or its encoding (`retraced`), and who brings another config need not have it.
    """
    baselines = [
        name
        for name, regime in suite.regimes.items()
        if regime.baseline and regime.generator_films is None and regime.retraced is None
    ]
    derived = [name for config in configs for name in regimes_for(suite, config)]
    return [*baselines, *derived]


def skews_for(suite: ClassificationSuite, configs: Sequence[str]) -> list[str]:
    """Those of the derived regimes that need a certain number of images, to reach a skew."""
    return [
        name
        for config in configs
        for name, regime in regimes_for(suite, config).items()
        if regime.skew is not None
    ]


def is_derived(suite: ClassificationSuite, name: str, regime: Regime) -> bool:
    """Whether `regime`, called `name`, is what the suite derives for the config that it uses."""
    return len(regime.synthetic) == 1 and regimes_for(suite, regime.synthetic[0]).get(name) == regime
