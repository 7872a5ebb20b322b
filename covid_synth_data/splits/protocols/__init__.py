"""How the films of a task are split: one module per protocol, and the table of them.

A protocol takes what was asked for and returns one frame with a row per film it considered: the columns of
`sources.table`, `class` (of the task's; "" for a row of none), `split` ("train", "validation", "test" or "")
and `reason` (why a row is in no part).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from covid_synth_data.splits.protocols.clean import clean
from covid_synth_data.splits.protocols.external import external
from covid_synth_data.splits.protocols.hussain2022 import hussain2022
from covid_synth_data.splits.protocols.menon2020 import menon2020
from covid_synth_data.splits.protocols.request import SPLITS, Outcome, Request
from covid_synth_data.splits.protocols.source_matched import source_matched
from covid_synth_data.splits.protocols.zunair2021 import zunair2021

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
