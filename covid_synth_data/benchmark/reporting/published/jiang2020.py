"""Tables III and IV of jiang2020 and ours, side by side and never mixed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from covid_synth_data.benchmark.reporting.published import Cell

TABLES: Final = ("3", "4")
STRUCTURES: Final = {
    "ct ground-glass opacity": "ggo",
    "ct consolidation": "consolidation",
    "ct infection": "infection",
}
"""What the printed tables call a structure, and what we do."""

_KINDS: Final = {"replace": "replace", "add": "extend"}
_PRINTED: Final = re.compile(r"(replace|add) ([0-9]+) %(?: by (.+))?")

NOTE: Final = (
    "Theirs: as printed, mean ± half of the interval over ten parts of augmented test slices, split by slice,"
    " 512 x 512. Ours: the same recipe over the plain test slices of other patients. The two were measured on"
    " other slices and are never combined; a difference between them is no finding. Compare within a column."
)


def regime_of(printed: str) -> tuple[str, str]:
    """Our name of a printed regime, and the generator in lower case that it names, "" for the paper's own.

    "replace 30 %" is ("replace-30", ""), "replace 50 % by SEAN" ("replace-50", "sean"), "add 10 %"
    ("extend-10", ""), "real" ("real", ""). Raises `ValueError` for anything else.
    """
    if printed == "real":
        return "real", ""
    match = _PRINTED.fullmatch(printed)
    if match is None:
        raise ValueError(f"no regime of ours is {printed!r}")
    kind, share, generator = match.groups()
    return f"{_KINDS[kind]}-{share}", (generator or "").lower()


def rows(
    cells: Sequence[Cell], ours: Mapping[tuple[str, str, str, str], str], suite_generator: str
) -> list[list[str]]:
    """The table, its header first: a line for each printed row and structure.

    `ours` maps (regime, generator architecture or "", structure, measure) to the text of our cell;
    `suite_generator` is the architecture that stands for the paper's own. Rows that we did not run say so.
    """
    measures = {"dice": "Dice", "sensitivity": "Sen", "specificity": "Spec"}
    header = ["structure", "regime (theirs)"]
    header += [f"{name}, {whose}" for name in measures.values() for whose in ("theirs", "ours")]
    lines: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        if cell.paper != "jiang2020" or cell.table not in TABLES or cell.metric not in measures:
            continue
        structure = STRUCTURES[cell.task]
        regime, generator = regime_of(cell.regime)
        line = lines.setdefault((cell.table, cell.regime, structure), [structure, cell.regime] + [""] * 6)
        place = 2 + 2 * list(measures).index(cell.metric)
        half = (
            f" ± {(cell.high - cell.low) / 2:.2f}" if cell.low is not None and cell.high is not None else ""
        )
        line[place] = f"{cell.value}{half}"
        made_by = "" if regime == "real" else generator or suite_generator
        line[place + 1] = ours.get((regime, made_by, structure, cell.metric), "not run")
    return [header, *lines.values()]
