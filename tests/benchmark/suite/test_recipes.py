"""Recipes crossed: which regimes follow from those that a suite states."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from covid_synth_data import benchmark
from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.suite import ClassificationSuite, load_classifiers
from tests.benchmark.conftest import SUITE

REGIMES = {
    "real": {"title": "Real", "mix": "real"},
    "real-balanced": {"title": "Balanced", "mix": "real", "sampling": "class-balanced"},
    "real-augmented": {"title": "Augmented", "mix": "real", "augment": "plain"},
    "ceiling-balanced": {"title": "C", "mix": "real", "sampling": "class-balanced", "held": True},
    "real+gnc": {"title": "Both", "mix": "add", "synthetic": ["gnc"]},
}


def suite(cross=("real+gnc",), **regimes):
    profiles = {
        "quick": {"models": ["small-cnn"], "seeds": 1},
        "plain": {"models": ["small-cnn"], "seeds": 1, "crossed": False},
        "named": {"models": ["small-cnn"], "seeds": 1, "crossed": False, "regimes": ["real+gnc@balanced"]},
    }
    content = {**SUITE, "regimes": {**REGIMES, **regimes}, "profiles": profiles, "cross": list(cross)}
    return ClassificationSuite.model_validate(content)


def test_each_baseline_gives_its_recipe():
    crossed = suite()
    assert list(crossed.regimes) == [*REGIMES, "real+gnc@balanced", "real+gnc@augmented"]
    for name in ("balanced", "augmented"):
        made, baseline = crossed.regimes[f"real+gnc@{name}"], crossed.regimes[f"real-{name}"]
        assert (made.sampling, made.loss, made.augment) == (
            baseline.sampling,
            baseline.loss,
            baseline.augment,
        )
        assert (made.mix, made.synthetic) == ("add", ["gnc"])
    assert crossed.regimes["real+gnc"].rule() == {"mix": "add", "synthetic": ["gnc"]}


def test_real_films_in_another_encoding_are_crossed_and_give_no_recipe():
    """A table needs retraced films with augmentation, and no second `augmented`."""
    traced = {
        "traced": {"title": "Traced", "mix": "real", "retraced": "traced"},
        "real-sharp": {"title": "Sharp", "mix": "real", "retraced": "traced", "augment": "plain"},
    }
    made = {"traced": {"kind": "retraced", "encoding": {"size": 32, "codec": "png"}}}
    content = {**SUITE, "regimes": {**REGIMES, **traced}, "made": made, "cross": ["real+gnc", "traced"]}
    regimes = ClassificationSuite.model_validate(content).regimes
    assert regimes["traced@balanced"].rule() == {
        "mix": "real",
        "retraced": "traced",
        "sampling": "class-balanced",
    }
    assert "traced@augmented" not in regimes  # `real-sharp` is the same rule.
    assert not any(name.endswith("@sharp") for name in regimes)


def test_crossing_twice_changes_nothing():
    crossed = suite()
    assert ClassificationSuite.model_validate(crossed.model_dump()) == crossed


def test_a_regime_that_is_there_is_not_made_again():
    by_hand = {"title": "By hand", "mix": "add", "synthetic": ["gnc"], "augment": "plain"}
    assert "real+gnc@augmented" not in suite(**{"gnc-by-hand": by_hand}).regimes


def test_tasks_of_both_hold():
    mine = {"title": "Both", "mix": "add", "synthetic": ["gnc"], "tasks": ["normal-vs-covid"]}
    assert suite(**{"real+gnc": mine}).regimes["real+gnc@balanced"].tasks == ["normal-vs-covid"]


@pytest.mark.parametrize("name", ["real", "real-balanced", "nothing"])
def test_only_synthetic_regimes_are_crossed(name):
    with pytest.raises(ValidationError, match="cross to name synthetic regimes"):
        suite(cross=[name])


def test_a_profile_may_leave_them_out(tmp_path):
    def regimes(profile):
        return make_request(suite(), out=tmp_path, profile=profile).regime_names

    assert "real+gnc@balanced" in regimes("quick")
    assert regimes("plain") == list(REGIMES)
    assert regimes("named") == ["real+gnc@balanced"]


def test_every_suite_with_a_generator_crosses_it():
    for name in ("external", "source-matched", "zunair2021", "hussain2022", "generators", "same-source"):
        loaded = benchmark.load_suite(name)
        for base in loaded.cross:
            recipes = {
                (one.sampling, one.loss, one.augment)
                for one in loaded.regimes.values()
                if one.synthetic == loaded.regimes[base].synthetic and one.mix == loaded.regimes[base].mix
            }
            baselines = {
                (one.sampling, one.loss, one.augment) for one in loaded.regimes.values() if one.baseline
            }
            assert baselines <= recipes, (name, base)


def test_copies_without_content_reach_the_skew_of_the_synthetic_regime() -> None:
    """In `external`, `real+copies-skew4` differs from `real+gnc-skew4` in the config alone."""
    external = load_classifiers("external")
    copies, gnc = external.regimes["real+copies-skew4"].rule(), external.regimes["real+gnc-skew4"].rule()
    assert {**copies, "synthetic": ["gnc"]} == gnc
    for name in ("external", "zunair2021"):
        found = load_classifiers(name)
        regimes = [regime for regime, rule in found.regimes.items() if "copies" in rule.synthetic]
        assert found.made["copies"].kind == "copies"
        assert len(regimes) == 4  # the natural recipe and those of the three baselines
        assert all(found.configs_of(regime) == [] for regime in regimes)
