"""The limits of real films: how many images lie outside, and which lie farthest outside.

The limits are the 1st and 99th percentile of a measure in one half of the real patients, so about 2 in 100
real films of the other half lie outside.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.audit.contract import Findings
from covid_synth_data.audit.films import FilmSet
from covid_synth_data.audit.result import Shown

PERCENTILES: Final = (1.0, 99.0)
CHANCE: Final = 0.02
"""The share of real films outside the limits."""

LEAST: Final = 100
"""Real films that the percentiles need."""

MOST: Final = 2000
"""Films of a set at most: the outlines of lungs take time."""

Floats = npt.NDArray[np.float64]


def reference(count: int, what: str) -> str:
    """What a protocol says of limits from `count` real films or maps."""
    return f"{PERCENTILES[0]:g}th to {PERCENTILES[1]:g}th percentile of {count:,} {what}"


def outside(values: Floats, low: float, high: float) -> tuple[int, Floats]:
    """How many of the values (n,) are outside, and how far each is (n,), in ranges between the limits."""
    beyond = np.maximum(np.maximum(low - values, values - high), 0) / max(high - low, 1e-9)
    return int(((values < low) | (values > high)).sum()), beyond


def show_worst(
    findings: Findings, films: FilmSet, places: npt.NDArray[np.int64], excess: Floats, text: str, most: int
) -> None:
    """Show `most` of the films at `places` (n,) at most, the farthest outside first; `text` says how far."""
    for rank in np.argsort(-excess, kind="stable")[:most]:
        if excess[rank] > 0:
            findings.shown.append(
                Shown(
                    image_id=films.ids[places[rank]],
                    beside=None,
                    text=text.format(f"{excess[rank]:.2f}"),
                    score=float(excess[rank]),
                )
            )
