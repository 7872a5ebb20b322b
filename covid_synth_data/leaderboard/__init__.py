"""The leaderboard: result files in, a Markdown table and one HTML page out; and the gate for new files.

    build("benchmarks/results", "benchmarks")        LEADERBOARD.md, leaderboard.html
    validate([...], against="benchmarks/results")    refuse what does not hold, before it is accepted

Both are made of result files alone: whoever has the files gets the same leaderboard, byte for byte.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {"build": "building", "validate": "validating"}

__all__ = ["build", "validate"]

if TYPE_CHECKING:
    from covid_synth_data.leaderboard.building import build
    from covid_synth_data.leaderboard.validating import validate


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
