"""Tables of CT in the pages, from result files: Dice, gains, and squares that are alike."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from covid_synth_data.benchmark.reporting import segmentation
from covid_synth_data.benchmark.results import SegmentationResult
from covid_synth_data.metrics import segmentation as measure
from generation.report.ct_copies import GROUPS, CopiesResult

PLACE: Final = re.compile(r"(<!-- segmentation (\S+)(?: (\S+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)
STRUCTURES: Final = {"infection": "infection", "ggo": "ground glass", "consolidation": "consolidation"}

PROTOCOLS: Final = ("patient", "swapped")
"""No patient is tested in both."""
RELEASED: Final = ("extend", "replace", "undrawn")

Lines = list[list[str]]


def with_segmentation(text: str, results: Path, markdown: Callable[[Lines], str]) -> str:
    """A page with the tables of CT as the result files below `results` have them, written by `markdown`."""
    if not PLACE.search(text):
        return text
    tables: dict[str, Callable[[Path, str], Lines]] = {
        "dice": dice,
        "gains": gains,
        "patients": by_patient,
        "copies": copies,
    }
    return PLACE.sub(lambda place: place[1] + markdown(tables[place[2]](results, place[3])) + place[4], text)


def dice(results: Path, protocol: str) -> Lines:
    """Dice of each regime, mean over seeds {lowest to highest}: of all test pixels, and by patient."""
    groups = _groups(results, protocol)
    patients = [name for name in groups[0][0].test.patients if _scores(groups[0], name)]
    heads = [*STRUCTURES.values(), *(f"infection, patient {name.rpartition(':')[2]}" for name in patients)]
    lines = [
        ["regime", "slices of an epoch", "seeds", *heads],
        ["---", "---:", "---:", *["---:"] * len(heads)],
    ]
    for group in groups:
        pooled = [_mean([_pooled(result, name) for result in group]) for name in STRUCTURES]
        each = [f"{100 * np.mean(_scores(group, name)):.0f}" for name in patients]
        total = str(group[0].composition.total)
        lines.append([f"`{group[0].regime}`", total, str(len(group)), *pooled, *each])
    return lines


def gains(results: Path, protocol: str) -> Lines:
    """The third table of the report, without consolidation, which few slices show; of baselines those over
    real slices alone."""
    header, *rows = segmentation.gain_rows(_groups(results, protocol), digits=1)
    rows = [row for row in rows if row[0].startswith(RELEASED) or row[1] == "real"]
    at = [place for place, name in enumerate(header) if not name.startswith("consolidation")]
    lines = [[header[place] for place in at], ["---", "---", *["---:"] * (len(at) - 2)]]
    return [*lines, *([_short(row[0]), _short(row[1]), *(row[place] for place in at[2:])] for row in rows)]


def by_patient(results: Path, regime: str) -> Lines:
    """Infection of `regime` less baselines for each patient of both protocols, the mean over seeds."""
    sides = [{group[0].regime: group for group in _groups(results, name)} for name in PROTOCOLS]
    lines: Lines = []
    for baseline in ("real", "real-augmented"):
        gains: dict[str, float] = {}
        for side in sides:
            seeds = {result.seed for result in side[regime]} & {result.seed for result in side[baseline]}
            gains |= segmentation.patient_gains(side[regime], side[baseline], seeds)
        if not lines:
            heads = [f"patient {name.rpartition(':')[2]}" for name in gains]
            lines = [["less", *heads, "mean [95 % interval over patients]", "above"]]
            lines.append(["---", *["---:"] * (len(heads) + 2)])
        mean = measure.mean(list(gains.values()))
        value, half = 100 * (mean.value or 0), 100 * (mean.half or 0)
        cells = [f"{100 * gain:+.1f}" for gain in gains.values()]
        above = f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}"
        lines.append(
            [f"`{baseline}`", *cells, f"{value:+.1f} [{value - half:.1f} to {value + half:.1f}]", above]
        )
    return lines


def copies(results: Path, _: str) -> Lines:
    """Correlations of squares of lung with the most similar one that was learned from."""
    (path,) = (results / "ct-copies").glob("*.json")
    found = CopiesResult.model_validate_json(path.read_text(encoding="utf-8"))
    lines = [
        ["squares of", "slices", "squares", "median", "99 %", "highest", f"above {found.limit:.3f}"],
        ["---", *["---:"] * 6],
    ]
    for name, group in found.groups.items():
        values = [f"{value:.3f}" for value in (group.median, group.p99, group.highest)]
        cells = [f"{group.slices:,}", f"{group.squares:,}", *values, f"{100 * group.above:.1f} %"]
        lines.append([GROUPS[name], *cells])
    return lines


def _groups(results: Path, protocol: str) -> list[segmentation.Group]:
    return [group for group in _all_groups(results) if group[0].protocol == protocol]


@functools.cache
def _all_groups(results: Path) -> list[segmentation.Group]:
    return segmentation.summarise(results / "jiang2020")


def _pooled(result: SegmentationResult, structure: str) -> float | None:
    value: float | None = getattr(result.metrics, structure).pooled.dice
    return value


def _scores(group: Sequence[SegmentationResult], patient: str) -> list[float]:
    each = [result.metrics.infection.patients[patient].dice for result in group]
    return [value for value in each if value is not None]


def _mean(values: Sequence[float | None]) -> str:
    found = [100 * value for value in values if value is not None]
    spread = f" {{{min(found):.1f} to {max(found):.1f}}}" if len(found) > 1 else ""
    return f"{np.mean(found):.1f}{spread}" if found else "n/a"


def _short(name: str) -> str:
    """A regime without the name of the generator."""
    return f"`{name.partition(' (')[0]}`"
