"""Regimes derived for a config that no suite names, and a run of one on imported images."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.suite import derived, list_suites, load_classifiers, load_suite
from covid_synth_data.errors import ImpossibleMix, UnknownName
from covid_synth_data.importing import Stated, import_images


def test_the_skews_of_the_suite_are_taken_over() -> None:
    suite = load_classifiers("external")
    regimes = derived.regimes_for(suite, "mine")
    assert list(regimes) == ["mine", "real+mine", "real+mine-skew4"]
    assert [regime.mix for regime in regimes.values()] == ["synthetic-only", "add", "skew"]
    assert regimes["real+mine-skew4"].skew == 4.0
    more = derived.with_configs(suite, ["mine"])
    assert set(suite.regimes) < set(more.regimes)
    assert derived.with_configs(suite, ["gnc"]).regimes["real+gnc"] == suite.regimes["real+gnc"]


@pytest.mark.parametrize(
    "name", [name for name in list_suites() if load_suite(name).kind == "classification"]
)
def test_no_other_config_is_needed(name: str) -> None:
    """The release of the suite need not be there: `external` has baselines that take films from it."""
    suite = derived.with_configs(load_classifiers(name), ["mine"])
    names = derived.names_for(suite, ["mine"])
    assert {"real", "real+mine"} <= set(names)
    assert {config for regime in names for config in suite.configs_of(regime)} == {"mine"}
    assert not any(suite.regimes[regime].retraced for regime in names)


def test_a_changed_rule_is_no_derived_regime() -> None:
    suite = load_classifiers("external")
    rule = derived.regimes_for(suite, "mine")["real+mine"]
    assert derived.is_derived(suite, "real+mine", rule)
    assert not derived.is_derived(suite, "mine", rule)
    assert not derived.is_derived(suite, "real+mine", rule.model_copy(update={"positives": 9}))


def test_a_config_that_is_nowhere_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COVID_SYNTH_RELEASES", str(tmp_path))
    with pytest.raises(UnknownName, match="config of covid-synth-cxr"):
        make_request("external", out=tmp_path / "out", configs=["mine"])


def test_a_release_that_is_named_needs_no_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("COVID_SYNTH_RELEASES", raising=False)
    request = make_request("external", out=tmp_path / "out", configs=["mine"], release=tmp_path / "mine")
    assert request.release == tmp_path / "mine"


def test_a_skew_that_the_images_cannot_reach_is_left_out_with_a_warning(tmp_path, caplog) -> None:
    """Whoever brings a few images gets the other regimes; whoever asks for the skew gets an error."""
    from covid_synth_data import benchmark

    images = np.random.default_rng(3).integers(0, 255, (4, 64, 64), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    import_images(tmp_path / "set.npz", tmp_path / "mine", "mine", Stated(label="covid-19"))
    asked = {
        "out": tmp_path / "results",
        "configs": ["mine"],
        "release": tmp_path / "mine",
        "seeds": 1,
        "device": "cpu",
        "cache_dir": tmp_path / "cache",
    }
    (line,) = benchmark.dry_run("quickstart", **asked)
    assert line.runs == 4
    assert "regime real+mine-skew1 is left out: a skew of 1 needs" in caplog.text
    caplog.clear()
    paths = benchmark.run("quickstart", **asked)
    regimes = {results.validate_result(path).regime for path in paths}
    assert regimes == {"real", "real-balanced", "mine", "real+mine"}
    assert caplog.text.count("is left out") == 1
    with pytest.raises(ImpossibleMix, match="a skew of 1 needs"):
        benchmark.run("quickstart", **asked, regimes=["real+mine-skew1"])


def test_imported_images_become_results(tmp_path, monkeypatch) -> None:
    from covid_synth_data import benchmark

    images = np.random.default_rng(3).integers(0, 255, (60, 64, 64), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images)
    import_images(tmp_path / "set.npz", tmp_path / "mine", "mine", Stated(label="covid-19"))
    monkeypatch.setenv("COVID_SYNTH_RELEASES", str(tmp_path / "mine"))
    request = make_request("quickstart", out=tmp_path, configs=["mine"])
    assert request.release == tmp_path / "mine"
    assert request.regime_names == ["real", "real-balanced", "mine", "real+mine", "real+mine-skew1"]
    paths = benchmark.run(
        "quickstart",
        out=tmp_path / "results",
        configs=["mine"],
        regimes=["real", "real+mine"],
        seeds=1,
        device="cpu",
        cache_dir=tmp_path / "cache",
    )
    found = {result.regime: result for result in map(results.validate_result, paths)}
    assert set(found) == {"real", "real+mine"}
    assert found["real+mine"].composition.synthetic == {"mine": 60}
    assert found["real+mine"].dataset.name == "mine"
    assert any("learned from" in note for note in found["real+mine"].notes)
    assert "real+mine" in benchmark.report(tmp_path / "results")
