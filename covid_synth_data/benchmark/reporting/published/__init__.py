"""The printed numbers of the papers, the contradictions among them, and our numbers beside them.

The tables hold numbers and facts only. Ours and theirs are set side by side and never put into one number:
other films, other splits, another rule for early stopping.
"""

from __future__ import annotations

from covid_synth_data.benchmark.reporting.published.cells import Cell, load
from covid_synth_data.benchmark.reporting.published.errata import Contradiction, contradictions
from covid_synth_data.benchmark.reporting.published.table import versus_paper

__all__ = ["Cell", "Contradiction", "contradictions", "load", "versus_paper"]
