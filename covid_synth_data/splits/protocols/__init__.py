"""How the films of a task are split: one module per protocol, and the table of them.

A protocol takes a request and returns one frame with a row for each film that it considered: the columns of
`sources.table`, `class` (of the task's; "" for a row of none), `split` ("train", "validation", "test" or "")
and `reason` (why a row is in no part).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from covid_synth_data.splits.protocols import (
    clean,
    external,
    hussain2022,
    menon2020,
    own,
    same_source,
    source_matched,
    zunair2021,
)
from covid_synth_data.splits.protocols.request import SPLITS, Outcome, Request

__all__ = ["FOLDED", "PROTOCOLS", "SPLITS", "Outcome", "Request"]

PROTOCOLS: Final[dict[str, Callable[[Request], Outcome]]] = {
    "clean": clean.clean,
    "zunair2021": zunair2021.zunair2021,
    "menon2020": menon2020.menon2020,
    "hussain2022": hussain2022.hussain2022,
    "external": external.external,
    "source-matched": source_matched.source_matched,
    "same-source": same_source.same_source,
    "same-source-cv": same_source.same_source_cv,
    "own": own.own,
}
"""The table of protocols."""

FOLDED: Final = ("source-matched", "same-source", "same-source-cv")
"""Those that test in folds."""
