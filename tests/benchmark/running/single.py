"""A run of one regime, for the tests of the engine."""

from __future__ import annotations

from covid_synth_data.benchmark import results, run


def one(bench, regime, **changes):
    """The result of one run of one regime."""
    (path,) = run(bench.suite, **{**bench.arguments, "regimes": [regime], **changes})
    return results.validate_result(path)
