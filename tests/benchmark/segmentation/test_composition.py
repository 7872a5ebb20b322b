"""The slices that each regime is made of."""

from __future__ import annotations

from collections import Counter

import pytest

from covid_synth_data.benchmark.results.segmentation import expected_counts
from covid_synth_data.benchmark.segmentation.composition import Item, compose, describe
from covid_synth_data.errors import EmptySplit, ImpossibleMix
from tests.benchmark.segmentation.conftest import changed


def made(name: str, real: int = 20, synthetic: int = 60, seed: int = 0) -> list[Item]:
    return compose(changed().regimes[name], real, synthetic, seed)


def indices(items: list[Item], origin: str) -> list[int]:
    return [item.index for item in items if item.origin == origin]


def test_every_regime_has_the_counts_that_it_promises() -> None:
    suite = changed()
    for name, regime in suite.regimes.items():
        found = describe(made(name), 20, ["one"] * 60)
        counts = expected_counts(regime, 20)
        assert {key: getattr(found, key) for key in counts} == counts
        assert found.total == len(made(name))
        assert found.generators == (["one"] if regime.kind in ("replace", "extend") else [])


def test_replacing_keeps_the_count_and_extending_keeps_the_real() -> None:
    assert len(made("replace-30")) == 20
    assert len(set(indices(made("replace-30"), "real"))) == 14
    assert indices(made("extend-30"), "real") == list(range(20))
    assert len(set(indices(made("extend-30"), "synthetic"))) == 6


def test_draws_are_nested_and_depend_on_the_seed() -> None:
    gone = {name: set(range(20)) - set(indices(made(name), "real")) for name in ("replace-20", "replace-50")}
    assert gone["replace-20"] < gone["replace-50"]
    assert gone["replace-50"] == set(range(20)) - set(indices(made("remove-50"), "real"))
    drawn = indices(made("extend-50"), "synthetic")
    assert indices(made("extend-20"), "synthetic") == drawn[:4]
    assert indices(made("replace-50"), "synthetic") == drawn
    assert indices(made("extend-50", seed=1), "synthetic") != drawn
    assert made("extend-50") == made("extend-50")


def test_undrawn_slices_are_those_of_the_longer_set() -> None:
    assert indices(made("undrawn-50"), "undrawn") == indices(made("extend-50"), "synthetic")
    assert indices(made("undrawn-50"), "real") == list(range(20))


def test_baselines_add_no_slice_that_was_not_there() -> None:
    twice = Counter(indices(made("extend-duplicates"), "real"))
    assert (sorted(twice), sorted(twice.values())[-10:]) == (list(range(20)), [2] * 10)
    for name in ("real-augmented", "real-strong"):
        more = [item for item in made(name) if item.variant != "full"]
        assert len({item.variant for item in more}) == len({item.index for item in more}) == 10
        assert all(item.variant.startswith("augment:") for item in more)
        assert all(("grey" in item.variant) == (name == "real-strong") for item in more)


def test_too_few_slices() -> None:
    with pytest.raises(ImpossibleMix, match="10 synthetic slices .* beside 20 real ones; found 9"):
        made("extend-50", synthetic=9)
    assert len(made("real", synthetic=0)) == 20
    with pytest.raises(EmptySplit, match="no real slice"):
        made("real", real=0)
