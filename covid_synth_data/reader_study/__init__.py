"""The reader study: can a person tell real films from synthetic ones? (menon2020, Sect. VII)

    make(real, synthetic, out)      one HTML page of shuffled pairs, and a key that readers do not get
    score(answers, key)             accuracy, exact intervals and p of the answers that readers sent back

The study of the paper had 25 pairs and two radiologists, who found every real film.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {"make": "making", "score": "scoring"}

__all__ = ["make", "score"]

if TYPE_CHECKING:
    from covid_synth_data.reader_study.making import make
    from covid_synth_data.reader_study.scoring import score


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
