"""The shipped suite, what a suite may say, and which slices each regime is made of."""

from __future__ import annotations

from collections import Counter

import pytest

from covid_synth_data.benchmark.segmentation import composition, list_suites, load_suite, plan
from covid_synth_data.benchmark.segmentation.composition import Item, compose, describe
from covid_synth_data.benchmark.segmentation.suite import Network, Profile, Protocol, Regime
from covid_synth_data.errors import ConfigError, EmptySplit, ImpossibleMix, UnknownName
from tests.benchmark.segmentation.conftest import changed


def test_the_shipped_suite_has_the_rows_of_both_tables_and_the_baselines() -> None:
    assert list_suites() == ("jiang2020",)
    suite = load_suite("jiang2020")
    assert (list(suite.protocols), list(suite.profiles)) == (["patient", "paper"], ["quick", "paper"])
    steps = [f"{kind}-{share}" for kind in ("replace", "extend") for share in (10, 20, 30, 40, 50)]
    assert list(suite.regimes) == ["real", *steps, "remove-50", "real-augmented", "extend-duplicates"]
    for name in steps:
        kind, _, share = name.partition("-")
        assert (suite.regimes[name].kind, suite.regimes[name].fraction) == (kind, int(share) / 100)
    # The baselines of extend-50 have as many slices as it has.
    counts = {
        name: sum(composition.expected(suite.regimes[name], 209).values())
        for name in ("extend-50", "real-augmented", "extend-duplicates")
    }
    assert len(set(counts.values())) == 1
    assert suite.protocols["patient"].apart == "patient"


def test_what_is_asked_for() -> None:
    assert [(run.regime, run.seed) for run in plan("jiang2020", regimes=["real", "extend-50"], seeds=2)] == [
        ("real", 0),
        ("extend-50", 0),
        ("real", 1),
        ("extend-50", 1),
    ]
    assert len(plan("jiang2020")) == 14 * 3
    assert [run.seed for run in plan("jiang2020", regimes=["real"], seeds=[4, 4, 2])] == [4, 2]
    with pytest.raises(UnknownName, match="did you mean 'extend-50'"):
        plan("jiang2020", regimes=["extend50"])
    with pytest.raises(UnknownName, match="did you mean 'jiang2020'"):
        plan("jiang2021")
    with pytest.raises(ConfigError, match="no such seeds"):
        plan("jiang2020", seeds=[-1])


@pytest.mark.parametrize(
    ("model", "content", "message"),
    [
        (Regime, {"title": "", "kind": "real", "fraction": 0.5}, "a fraction exactly where"),
        (Regime, {"title": "", "kind": "extend"}, "a fraction exactly where"),
        (Regime, {"title": "", "kind": "replace", "fraction": 1.5}, "at most 1 to replace"),
        (Regime, {"title": "", "kind": "remove", "fraction": 1.0}, "below 1 to remove"),
        (Network, {"name": "basic-unet", "channels": [4, 8]}, "five channels"),
        (
            Protocol,
            {
                "title": "",
                "split": "paper",
                "train": ["train"],
                "validation": ["train"],
                "test": ["segmentation_test"],
                "apart": "slice",
            },
            "at most once",
        ),
        (
            Profile,
            {"title": "", "size": 100, "training": {}, "network": {"name": "unet", "channels": [2, 2, 2, 2]}},
            "a multiple of 8",
        ),
    ],
)
def test_what_does_not_fit_together(model, content, message) -> None:
    with pytest.raises(ValueError, match=message):
        model.model_validate(content)


def test_a_file_with_a_wrong_key(tmp_path) -> None:
    (tmp_path / "own.toml").write_text('name = "own"\nversion = "1.0.0"\ntitle = ""\nregime = 3\n')
    with pytest.raises(ConfigError, match="unknown key 'regime'.*did you mean 'regimes'"):
        load_suite(tmp_path / "own.toml")


def made(name: str, real: int = 20, synthetic: int = 30, seed: int = 0) -> list[Item]:
    return compose(changed().regimes[name], real, synthetic, seed)


def indices(items: list[Item], origin: str) -> list[int]:
    return [item.index for item in items if item.origin == origin]


def test_every_regime_has_the_counts_that_it_promises() -> None:
    suite = changed()
    for name, regime in suite.regimes.items():
        found = describe(made(name), 20, ["one"] * 30)
        assert {key: getattr(found, key) for key in composition.expected(regime, 20)} == composition.expected(
            regime, 20
        )
        assert found.total == len(made(name))
        assert found.generators == (["one"] if regime.synthetic else [])


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


def test_baselines_add_no_slice_that_was_not_there() -> None:
    twice = Counter(indices(made("extend-duplicates"), "real"))
    assert (sorted(twice), sorted(twice.values())[-10:]) == (list(range(20)), [2] * 10)
    more = [item for item in made("real-augmented") if item.variant != "full"]
    assert len({item.variant for item in more}) == len({item.index for item in more}) == 10
    assert all(item.variant.startswith("augment:") for item in more)


def test_too_few_slices() -> None:
    with pytest.raises(ImpossibleMix, match="10 synthetic slices .* beside 20 real ones; found 9"):
        made("extend-50", synthetic=9)
    assert len(made("real", synthetic=0)) == 20
    with pytest.raises(EmptySplit, match="no real slice"):
        made("real", real=0)
