"""Reasons of excluded slices, for the tests of the CT source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from covid_synth_data.sources import read_source


def reasons(root: Path, **options: Any) -> dict[str, str]:
    frame = read_source("covid-ct", root, **options)
    return dict(zip(frame["source_id"], frame["excluded"], strict=True))
