"""Regimes derived for a config that no suite names, and a run of one on imported images."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.suite import derived, load_classifiers
from covid_synth_data.errors import UnknownName
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
