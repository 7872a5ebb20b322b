"""A suite that makes a config of a name that the release has too keeps the two apart, in whatever order."""

from __future__ import annotations

import itertools

import pytest

from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.suite import ClassificationSuite
from tests.benchmark.conftest import SUITE

MADE = {"gnc": {"kind": "copies", "each": 3}, "released-gnc": {"kind": "released", "config": "gnc"}}
REGIMES = {
    "real": {"title": "Real", "mix": "real"},
    "made": {"title": "Made here", "mix": "add", "synthetic": ["gnc"]},
    "released": {"title": "Of the release", "mix": "add", "synthetic": ["released-gnc"]},
    "both": {"title": "Both", "mix": "add", "synthetic": ["gnc", "released-gnc"]},
}
COUNTS = {
    "real": {},
    "made": {"gnc": 18},
    "released": {"released-gnc": 12},
    "both": {"gnc": 18, "released-gnc": 12},
}
"""The copies are of 6 positives; the release of the tests has 12 images."""


@pytest.mark.parametrize("order", list(itertools.permutations(["made", "released", "both"], 2)))
def test_a_made_config_is_not_that_of_the_release(bench, order):
    suite = ClassificationSuite.model_validate({**SUITE, "made": MADE, "regimes": REGIMES})
    paths = run(suite, **bench.arguments, regimes=list(order), models=["small-cnn"])
    found = {one.regime: one for one in map(results.read_result, paths)}
    assert {name: one.composition.synthetic for name, one in found.items()} == {
        name: COUNTS[name] for name in order
    }
    assert {name: one.dataset is not None for name, one in found.items()} == {
        name: name != "made" for name in order
    }


def test_what_runs_beside_a_regime_changes_nothing_in_it(bench, tmp_path):
    suite = ClassificationSuite.model_validate({**SUITE, "made": MADE, "regimes": REGIMES})
    digests = {}
    for asked in (["made"], ["made", "released"], ["real", "both", "made"]):
        arguments = {**bench.arguments, "out": tmp_path / "-".join(asked)}
        for path in run(suite, **arguments, regimes=asked, models=["small-cnn"]):
            one = results.read_result(path)
            digests.setdefault(one.regime, set()).add((one.inputs, tuple(map(repr, one.predictions))))
    assert {regime: len(seen) for regime, seen in digests.items()} == dict.fromkeys(REGIMES, 1)
