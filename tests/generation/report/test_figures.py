"""The figures of a run and of a release are pictures of the right size."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from covid_synth_data.errors import ConfigError
from generation.report import figures


def test_curve(tmp_path):
    lines = [json.dumps({"step": i, "epoch": 0, "cycle": 1 / (i + 1), "critic": 0.5}) for i in range(60)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    figures.curve(tmp_path, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 1.5 * picture.height
    with pytest.raises(ConfigError, match="no file"):
        figures.curve(tmp_path / "none", tmp_path / "curve.png")
