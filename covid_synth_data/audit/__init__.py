"""The audit of a synthetic set: is it real-looking, is it copied, whom does it give away, what does it teach?

    audit, files = run("gnc", root, release="REL")     measures, writes gnc.json and gnc.html
    card.markdown(audit)                               the sections of a dataset card
    result.read(path)                                  a result file, checked

Numbers stand beside yardsticks (`real half against real half`, another hospital, the films that were
translated) and carry their protocol; values of two protocols are not compared. There are no grades. A new
check is a module with a `SECTION` and one line in `sections`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_WHERE = {"run": "running", "measure": "running", "difference": "protocol"}

__all__ = ["difference", "measure", "run"]

if TYPE_CHECKING:
    from covid_synth_data.audit.protocol import difference
    from covid_synth_data.audit.running import measure, run


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
