"""Fixtures that the modules of this folder share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from covid_synth_data.sources import rsna
from tests.trees import usual


@pytest.fixture(scope="module")
def _module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fingerprints")


@pytest.fixture(autouse=True)
def _one_cache(_module_cache: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of a module read the same trees, so they share what is known of their films."""
    if "real_data" not in request.keywords:
        monkeypatch.setenv("COVID_SYNTH_CACHE", str(_module_cache))


@pytest.fixture
def few_rsna(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six films without and four with opacity in place of the 26,684 of the challenge."""
    names = {"patientId": [f"r{n}" for n in range(10)], "Target": [0] * 6 + [1] * 4}
    monkeypatch.setattr(rsna, "label_rows", lambda: pd.DataFrame(names))
    headers = {
        name: {"PatientAge": "50", "PatientSex": "F", "ViewPosition": "PA"} for name in names["patientId"]
    }
    monkeypatch.setattr(rsna, "_headers", lambda: headers)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual tree; tests only read it."""
    return usual(tmp_path_factory.mktemp("usual"))
