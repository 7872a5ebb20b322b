"""The cache folder for results that are slow to compute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = "COVID_SYNTH_CACHE"


def cache_folder() -> Path:
    """$COVID_SYNTH_CACHE, otherwise covid-synth-data in $XDG_CACHE_HOME or ~/.cache; "~" is the home."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "covid-synth-data"
