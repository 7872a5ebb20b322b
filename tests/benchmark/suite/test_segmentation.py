"""Suites of U-Nets: the one that comes with the package, and what a suite may say."""

from __future__ import annotations

import pytest

from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.results.segmentation import expected_counts
from covid_synth_data.benchmark.suite import SegmentationSuite, list_suites, load_suite
from covid_synth_data.benchmark.suite.segmentation import Network, Profile, Protocol, Regime
from covid_synth_data.errors import ConfigError, UnknownName


def plan(suite, **options):
    return make_request(suite, out="x", **options).runs()


def test_the_shipped_suite_has_the_rows_of_both_tables_and_the_baselines() -> None:
    assert "jiang2020" in list_suites()
    suite = load_suite("jiang2020")
    assert isinstance(suite, SegmentationSuite)
    assert (list(suite.protocols), list(suite.profiles)) == (
        ["patient", "swapped", "paper"],
        ["quick", "paper"],
    )
    steps = [f"{kind}-{share}" for kind in ("replace", "extend") for share in (10, 20, 30, 40, 50)]
    more = ["remove-50", "real-augmented", "real-augmented-200", "real-strong", "real-strong-200"]
    more += ["undrawn-50", "undrawn-200", "extend-duplicates"]
    assert list(suite.regimes) == ["real", *steps, "extend-200", *more]
    for name in steps:
        kind, _, share = name.partition("-")
        assert (suite.regimes[name].kind, suite.regimes[name].fraction) == (kind, int(share) / 100)
    # The baselines of a longer set have as many slices as it has.
    for names in (
        ("extend-50", "real-augmented", "extend-duplicates"),
        ("extend-200", "real-augmented-200", "real-strong-200", "undrawn-200"),
    ):
        counts = {sum(expected_counts(suite.regimes[name], 209).values()) for name in names}
        assert len(counts) == 1
    rule = suite.protocols["patient"]
    assert rule.apart == "patient"
    # All patients that no generator learned from are tested on.
    parts = [*rule.train, *rule.validation, *rule.test]
    assert sorted(parts) == ["generation_test", "segmentation_test", "train", "validation"]


def test_what_is_asked_for() -> None:
    assert [(run.regime, run.seed) for run in plan("jiang2020", regimes=["real", "extend-50"], seeds=2)] == [
        ("real", 0),
        ("extend-50", 0),
        ("real", 1),
        ("extend-50", 1),
    ]
    assert len(plan("jiang2020")) == 20 * 3
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
    (tmp_path / "own.toml").write_text(
        'kind = "segmentation"\nname = "own"\nversion = "1.0.0"\ntitle = ""\nregime = 3\n'
    )
    with pytest.raises(ConfigError, match="unknown key 'regime'.*did you mean 'regimes'"):
        load_suite(tmp_path / "own.toml")
