"""Which slices train the generators, test them, and test segmentation (jiang2020, Table I).

The paper takes the slices with infection: 300 to train image synthesis, 73 to test it, 73 to test
segmentation (segmentation is trained on the second part and on images made from its label maps). `paper`
splits by slice, as they did: neighbouring slices of one patient stand on both sides. `patient` splits by
patient, in shares as near to the paper's as the patients allow, and keeps patients of the training side for
validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from covid_synth_data.ct import slices
from covid_synth_data.ct.slices import Row
from covid_synth_data.errors import ConfigError, EmptySplit, UnknownName
from covid_synth_data.sources import disk, read_source, slice_table
from covid_synth_data.sources.slice_table import PIXELS

PAPER: Final = (300, 73, 73)
"""Slices of train, generation_test and segmentation_test in the paper, of 446 with infection."""

PARTS: Final = ("train", "validation", "generation_test", "segmentation_test")
SPLITS: Final = ("patient", "paper")
VALIDATION_SHARE: Final = 0.1
"""Of the training side, by patients, under `patient`."""

_LEAKY: Final = "slices of one patient stand on both sides: what is measured on the test parts is optimistic"

_DEALS: Final = 20_000
_FEW: Final = 10
"""All ways to deal that many patients are tried, of more patients `_DEALS` random ones."""
_CLASSES: Final = PIXELS[1:]


@dataclass(frozen=True)
class Plan:
    """The parts, each a list of rows in the order of the source, all of slices with infection.

    `validation` is empty under `paper`. `left_out` counts the rows in no part by reason; `notes` are
    sentences for people.
    """

    split: str
    seed: int
    train: list[Row]
    validation: list[Row]
    generation_test: list[Row]
    segmentation_test: list[Row]
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, list[Row]]:
        """Name of each of `PARTS` to its rows."""
        return {name: getattr(self, name) for name in PARTS}

    def counts(self) -> dict[str, dict[str, int]]:
        """For each part, the number of slices of each patient."""
        return {name: dict(Counter(row["patient_id"] for row in rows)) for name, rows in self.parts().items()}


def plan_slices(
    source: str | Path | Sequence[Mapping[str, Any]] | None = None,
    split: str = "patient",
    seed: int = 0,
    *,
    name: str = "covid-ct",
    **options: Any,
) -> Plan:
    """The plan for a root (None: COVID_SYNTH_SOURCES) of the source `name`, or for rows of `slices.rows`.

    `options` are those of `covid_ct.read` (`window`, `check`). The same rows, split and seed give the same
    plan; for ten patients or fewer the best deal is found whatever the seed. Raises `UnknownName`,
    `ConfigError`, `EmptySplit` where there are fewer patients (or slices) with infection than parts, and what
    `read_source` raises.
    """
    if split not in SPLITS:
        raise UnknownName("split of CT slices", split, SPLITS)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError("no such seed", found=repr(seed), expected="a whole number from 0 on")
    left_out: Counter[str] = Counter()
    notes: tuple[str, ...] = ()
    split_notes: tuple[str, ...]
    if source is None or isinstance(source, (str, Path)):
        frame = read_source(name, disk.resolve_root(source), **options)
        left_out.update(frame.loc[frame["excluded"] != "", "excluded"])
        rows = slices.rows(frame)
        notes = _effusion(frame)
    else:
        rows = [dict(row) for row in source]
    rows = [row if _known(row) else row | slice_table.counts(slices.read_mask(row)) for row in rows]
    infected = [row for row in rows if _infected(row)]
    left_out["no infection"] += len(rows) - len(infected)
    if split == "paper":
        parts, split_notes = _by_slice(infected, seed), (_LEAKY,)
    else:
        parts, split_notes = _by_patient(infected, seed)
    return Plan(split, seed, **parts, left_out=dict(+left_out), notes=(*notes, *split_notes))


def _effusion(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note on pixels that the set marks as pleural effusion."""
    pixels = frame["effusion_pixels"].fillna(0)
    if not pixels.sum():
        return ()
    return (
        f"{int(pixels.sum()):,} pixels in {int((pixels > 0).sum()):,} slices are marked as pleural effusion,"
        " which is no label here: they count as lung or background",
    )


def _known(row: Mapping[str, Any]) -> bool:
    return all(row.get(name) is not None for name in PIXELS)


def _infected(row: Mapping[str, Any]) -> bool:
    return any(row[name] > 0 for name in _CLASSES)


def _by_slice(rows: list[Row], seed: int) -> dict[str, list[Row]]:
    """300 / 73 / 73 drawn without regard to patients; scaled where there are not 446 in all."""
    if len(rows) < len(PAPER):
        raise EmptySplit(
            "too few slices with infection", found=str(len(rows)), expected=f"{len(PAPER)} or more"
        )
    scale = min(1.0, len(rows) / sum(PAPER))
    generation, segmentation = (max(1, round(count * scale)) for count in PAPER[1:])
    train = min(PAPER[0], len(rows) - generation - segmentation)
    order = np.random.default_rng([seed, 446]).permutation(len(rows))[: train + generation + segmentation]
    bounds = (0, train, train + generation, len(order))
    names = ("train", "generation_test", "segmentation_test")
    parts: dict[str, list[Row]] = {"validation": []}
    for name, low, high in zip(names, bounds[:-1], bounds[1:], strict=True):
        parts[name] = [rows[place] for place in sorted(order[low:high])]
    return parts


def _by_patient(rows: list[Row], seed: int) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Patients dealt into three parts, then the validation patients taken from the first."""
    patients = sorted({row["patient_id"] for row in rows}, key=disk.natural)
    if len(patients) < len(PAPER):
        raise EmptySplit(
            "too few patients with infection",
            found=str(len(patients)),
            expected=f"{len(PAPER)} or more",
            hint='take split="paper", by slice, if patients on both sides are acceptable',
        )
    table = np.zeros((len(patients), 1 + len(_CLASSES)), np.int64)
    place = {patient: number for number, patient in enumerate(patients)}
    for row in rows:
        table[place[row["patient_id"]]] += [1, *(row[name] > 0 for name in _CLASSES)]
    dealt = _deal(table, np.random.default_rng([seed, 9]))
    validation = _validation(table, dealt)
    names = ["validation" if number in validation else _DEALT[part] for number, part in enumerate(dealt)]
    parts: dict[str, list[Row]] = {name: [] for name in PARTS}
    for row in rows:
        parts[names[place[row["patient_id"]]]].append(row)
    notes = [f"{name} has no slice with {label}" for name, label in _lacking(parts)]
    return parts, tuple(notes)


_DEALT: Final = ("train", "generation_test", "segmentation_test")


def _deal(table: np.ndarray[Any, np.dtype[np.int64]], random: np.random.Generator) -> list[int]:
    """The part (0, 1, 2) of each patient: of all or many deals the one that lacks fewest kinds of lesion in a
    part, of those the one whose numbers of slices are nearest to the paper's shares, and of those that are as
    near the one that tests segmentation on most patients."""
    shares = np.array(PAPER) / sum(PAPER)
    if len(table) <= _FEW:
        dealt = np.indices((3,) * len(table)).reshape(len(table), -1).T
        dealt = dealt[[set(parts) == {0, 1, 2} for parts in dealt.tolist()]]
    else:
        dealt = random.choice(3, size=(_DEALS, len(table)), p=shares)
        seated = np.argsort(random.random(dealt.shape), axis=1)[:, :3]  # no part is left empty
        np.put_along_axis(dealt, seated, np.arange(3)[None], axis=1)
    sums = np.stack([(dealt == part).astype(np.int64) @ table for part in range(3)], axis=1)
    lacking = (sums[:, :, 1:] == 0).sum((1, 2))
    distance = np.abs(sums[:, :, 0] / table[:, 0].sum() - shares).sum(1) / 2
    testers = (dealt == 2).sum(1) / len(table)
    best: list[int] = dealt[int(np.argmin(np.round(lacking + distance - 1e-6 * testers, 9)))].tolist()
    return best


def _validation(table: np.ndarray[Any, np.dtype[np.int64]], dealt: list[int]) -> set[int]:
    """The one or two training patients nearest to `VALIDATION_SHARE` of the training slices, with as many
    kinds of lesion as can be; none where training would be left with nobody or without a kind of lesion."""
    training = [patient for patient, part in enumerate(dealt) if part == 0]
    target = VALIDATION_SHARE * table[training, 0].sum()
    best: tuple[float, set[int]] | None = None
    for count in (1, 2):
        for chosen in combinations(training, count):
            rest = [patient for patient in training if patient not in chosen]
            if not rest or (table[rest].sum(0) == 0).sum() > (table[training].sum(0) == 0).sum():
                continue
            chosen_counts = table[list(chosen)].sum(0)
            score = int((chosen_counts == 0).sum()) + abs(float(chosen_counts[0]) - target) / max(
                1, table[training, 0].sum()
            )
            if best is None or score < best[0] - 1e-9:
                best = score, set(chosen)
    return best[1] if best else set()


def _lacking(parts: Mapping[str, list[Row]]) -> list[tuple[str, str]]:
    named = {"ggo_pixels": "ground-glass opacity", "consolidation_pixels": "consolidation"}
    return [
        (part, label)
        for part, rows in parts.items()
        for column, label in named.items()
        if not any(row[column] > 0 for row in rows)
    ]
