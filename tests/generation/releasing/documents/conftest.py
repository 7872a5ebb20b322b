"""A release of one test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def release(made_release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_release / "covid-synth-cxr", tmp_path / "covid-synth-cxr"))
