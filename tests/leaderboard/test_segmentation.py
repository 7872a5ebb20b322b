"""Results of U-Nets before the gate of the leaderboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from covid_synth_data import leaderboard
from covid_synth_data.errors import ResultError

STORED = Path(__file__).resolve().parents[2] / "benchmarks/results/jiang2020/patient/quick/real"


def test_seeds_and_test_slices_are_checked(tmp_path) -> None:
    report = leaderboard.validate([STORED], against=STORED)
    assert (report.files, report.regimes, report.seeds) == (10, 1, [10])
    few = tmp_path / "few"
    few.mkdir()
    for seed in (0, 1):
        shutil.copy(STORED / f"segmentation-{seed}.json", few)
    with pytest.raises(ResultError, match="jiang2020 patient quick 128 real lacks seeds; found 0, 1"):
        leaderboard.validate([few])
    accepted = tmp_path / "accepted"
    shutil.copytree(STORED, accepted)
    for path in accepted.glob("*.json"):
        content = json.loads(path.read_text())
        content["slices"][0]["image_id"] = "elsewhere/1"
        path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="has the wrong test set; found 2 slices differ"):
        leaderboard.validate([STORED], against=accepted)
