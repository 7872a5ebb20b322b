"""The audit of a synthetic set: realism, copies of training images, privacy, and shortcuts.

    audit, files = run("gnc", root, release="REL")     measures, writes gnc.json and gnc.html
    card.markdown(audit)                               the sections of a dataset card
    result.read(path)                                  a result file, checked

Each number is reported with reference values (`real half against real half`, another hospital, the source
films) and with its protocol. Values of two protocols are not compared. The audit gives no grades. A new check
is a module with a `SECTION` and one line in `sections`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from covid_synth_data._lazy import exports

__all__ = ["difference", "measure", "run"]

if TYPE_CHECKING:
    from covid_synth_data.audit.protocol import difference
    from covid_synth_data.audit.running import measure, run
else:
    __getattr__, __dir__ = exports(
        __name__, {"run": "running", "measure": "running", "difference": "protocol"}
    )
