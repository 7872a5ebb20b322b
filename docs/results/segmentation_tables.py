"""Tables of CT in the pages, from result files: Dice, gains, image quality, and squares that are alike."""

from __future__ import annotations

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


def with_segmentation(text: str, results: Path) -> str:
    """A page with the tables of CT as the result files below `results` have them."""
    if not PLACE.search(text):
        return text
    tables: dict[str, Callable[[Path, str], Lines]] = {
        "dice": dice,
        "gains": gains,
        "patients": by_patient,
        "copies": copies,
    }
    return PLACE.sub(lambda place: place[1] + _markdown(tables[place[2]](results, place[3])) + place[4], text)


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
    """The third table of the report for the slices of a release, without consolidation, which few show."""
    header, *rows = segmentation.gain_rows(_groups(results, protocol))
    rows = [row for row in rows if row[0].startswith(RELEASED)]
    at = [place for place, name in enumerate(header) if not name.startswith("consolidation")]
    lines = [[header[place] for place in at], ["---", "---", *["---:"] * (len(at) - 2)]]
    return [*lines, *([_short(row[place]) for place in at] for row in rows)]


def by_patient(results: Path, regime: str) -> Lines:
    """Infection of `regime` less baselines for each patient of both protocols, the mean over seeds."""
    sides = [{group[0].regime: group for group in _groups(results, name)} for name in PROTOCOLS]
    names = [
        (side, name)
        for side in sides
        for name in side[regime][0].test.patients
        if _scores(side[regime], name)
    ]
    heads = [f"patient {name.rpartition(':')[2]}" for _, name in names]
    lines = [["less", *heads, "mean [95 % interval over patients]", "above"]]
    lines.append(["---", *["---:"] * (len(heads) + 2)])
    for baseline in ("real", "real-augmented"):
        each = [float(np.mean(_paired(side[regime], side[baseline], name))) for side, name in names]
        mean = measure.mean(each)
        value, half = 100 * (mean.value or 0), 100 * (mean.half or 0)
        cells = [f"{100 * gain:+.1f}" for gain in each]
        interval = f"{value:+.1f} [{value - half:.1f} to {value + half:.1f}]"
        lines.append([f"`{baseline}`", *cells, interval, f"{sum(gain > 0 for gain in each)} of {len(each)}"])
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


def _paired(
    group: Sequence[SegmentationResult], baseline: Sequence[SegmentationResult], patient: str
) -> list[float]:
    """Differences of a patient's Dice, for the seeds that both have."""
    theirs = {result.seed: result.metrics.infection.patients[patient].dice for result in baseline}
    ours = {result.seed: result.metrics.infection.patients[patient].dice for result in group}
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    return [one - other for one, other in pairs if one is not None and other is not None]


def _groups(results: Path, protocol: str) -> list[segmentation.Group]:
    groups = segmentation.summarise(results / "jiang2020")
    return [group for group in groups if group[0].protocol == protocol]


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


def _short(cell: str) -> str:
    """A cell of the report with one decimal less, and regimes without the name of the generator."""
    plain = re.sub(r"(-?\+?\d+\.\d)\d", r"\1", cell)
    name, made_by, _ = plain.partition(" (")
    return f"`{name}`" if made_by or re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", plain) else plain


def _markdown(lines: Lines) -> str:
    return "\n".join(["", *("| " + " | ".join(line) + " |" for line in lines), "", ""])
