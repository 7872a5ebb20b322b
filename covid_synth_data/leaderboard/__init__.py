"""The leaderboard: result files in, a Markdown table and one HTML page out; and the gate for new files.

    build("benchmarks/results", "benchmarks")        LEADERBOARD.md, leaderboard.html
    validate([...], against="benchmarks/results")    refuse wrong files before they are accepted

Both are made of result files alone: anyone with the files gets the same leaderboard, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports

__all__ = ["build", "validate"]

if TYPE_CHECKING:
    from covid_synth_data.leaderboard.building import build
    from covid_synth_data.leaderboard.validating import validate
else:
    __getattr__, __dir__ = exports(__name__, {"build": "building", "validate": "validating"})
