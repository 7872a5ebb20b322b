"""What a protocol is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class Request:
    """What a task was asked for; see `tasks.plan_task`."""

    negative: str
    positive: str
    root: str | Path | None
    seed: int
    sources: Sequence[str] | None
    licences: str
    phantom: dict[str, int] | None


@dataclass
class Outcome:
    """What a protocol made of it: the frame that `protocols` describes, and notes for people."""

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
