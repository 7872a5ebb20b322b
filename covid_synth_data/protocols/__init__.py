"""How the films of a task are split: one module per protocol, and the table of them.

A protocol takes what was asked for and returns one frame with a row per film it considered: the columns of
`sources.table`, `class` (of the task's; "" for a row of none), `split` ("train", "validation", "test" or "")
and `reason` (why a row is in no part).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from covid_synth_data.protocols.by_patient import clean
from covid_synth_data.protocols.external import external
from covid_synth_data.protocols.file_order import zunair2021
from covid_synth_data.protocols.folds import source_matched
from covid_synth_data.protocols.held_out import menon2020
from covid_synth_data.protocols.request import SPLITS, Outcome, Request
from covid_synth_data.protocols.shares import hussain2022

__all__ = ["FOLDED", "PROTOCOLS", "SPLITS", "Outcome", "Request"]

PROTOCOLS: Final[dict[str, Callable[[Request], Outcome]]] = {
    "clean": clean,
    "zunair2021": zunair2021,
    "menon2020": menon2020,
    "hussain2022": hussain2022,
    "external": external,
    "source-matched": source_matched,
}
"""The table of protocols."""

FOLDED: Final = ("source-matched",)
"""Those that test in folds."""
