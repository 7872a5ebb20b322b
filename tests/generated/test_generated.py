"""No generated input gives a traceback. COVID_SYNTH_EXAMPLES multiplies how many are made.

The longer run, whose counts are recorded: python benchmarks/robustness/generated.py --examples 100000
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.generated import inputs, kinds, releases

TIMES = int(os.environ.get("COVID_SYNTH_EXAMPLES", "1"))

pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")
pytest.importorskip("nibabel", reason="the extra [ct] is not installed")


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_no_input_gives_a_traceback(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    strategy, check, count = kinds.KINDS[kind]
    folder = tmp_path_factory.mktemp("generated")
    verdicts: set[str] = set()

    @settings(
        max_examples=count * TIMES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        verdicts.add(check(data.draw(strategy), folder))

    run()
    assert {inputs.USED, inputs.LINE} <= verdicts  # both ends are reached


@pytest.mark.parametrize("said", [b"{", b'{"info": {"features": 3}}', b'{"info": null}'])
def test_a_shard_that_says_odd_things_of_its_columns(said: bytes, tmp_path: Path) -> None:
    """Found by the generated inputs: the last two ended in a traceback of `datasets`."""
    example = [releases.promise_nothing(), releases.with_metadata(said)]
    assert releases.check(example, tmp_path) == inputs.LINE


def test_two_thousand_inputs_are_made() -> None:
    assert sum(count for _, _, count in kinds.KINDS.values()) >= 2000
