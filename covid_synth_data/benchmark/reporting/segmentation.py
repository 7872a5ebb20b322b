"""The tables made of result files: as Tables III and IV of jiang2020, and what they do not say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from covid_synth_data import escaping
from covid_synth_data.benchmark.reporting.markdown import markdown_table
from covid_synth_data.benchmark.reporting.published import jiang2020, load
from covid_synth_data.benchmark.results import SegmentationResult, find, validate_values
from covid_synth_data.benchmark.suite import is_suite, load_suite
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics import segmentation

Group = list[SegmentationResult]

OWN: Final = "ct-global-local"
"""The architecture that the paper means where it names none."""

_OF: Final = "jiang2020"

NAMES: Final = {"ggo": "GGO", "consolidation": "consolidation", "infection": "infection"}
SHORT: Final = {"dice": "Dice", "sensitivity": "Sen", "specificity": "Spec"}
DASH: Final = "n/a"

NOTES: Final = (
    "In %. First table: mean over ten random parts of the test slices ± half of its 95 % t interval, as"
    " jiang2020 reports; with several seeds the mean over them, {lowest to highest seed} and the widest half."
    " Scores of a part are of its pooled pixels; parts without the structure are left out.",
    "Second table: Dice of all test pixels together [2.5 to 97.5 % of a bootstrap over patients; with several"
    " seeds the widest], the mean over ten runs of neighbouring slices ± half, and the mean over patients.",
    "Third table: Dice of all test pixels of a row less that of a baseline with the same seed, the mean over"
    " the seeds that both have [95 % t interval over seeds]: it speaks of other trainings on the same slices,"
    " not of other patients. Over patients: the difference of each test patient, its mean over these seeds,"
    " and the mean of these [95 % t interval over patients, which takes the seeds as given]; last the number"
    " of patients that gain. A row with one common seed is left out.",
    "Train: real + synthetic slices of an epoch; repeated and augmented are real slices again, undrawn are"
    " synthetic ones before a generator drew their lungs.",
)

WIDEST_HALF: Final = 0.5
"""An interval of a share with this half on each side covers all of [0, 1]."""


def summarise(results_dir: str | Path) -> list[Group]:
    """The results below `results_dir`, one group for each row of the table, its seeds in order.

    Every file is validated first. Raises `ResultError` when there is none, when one is wrong, and when the
    results of a table were not tested on the same slices or the seeds of a row used different data.
    """
    groups: dict[tuple[str, ...], Group] = defaultdict(list)
    for path in find(Path(results_dir), "segmentation"):
        result = validate_values(path, SegmentationResult)
        groups[(*_table(result), result.regime, *result.composition.generators)].append(result)
    rows = [sorted(group, key=lambda result: result.seed) for group in groups.values()]
    _check(rows)
    return sorted(rows, key=_rank)


def report(results_dir: str | Path, suite: str | None = None) -> str:
    """The tables of all results below `results_dir`, or of one `suite`, as Markdown; what the cells mean
    stands below them."""
    blocks: dict[tuple[str, ...], list[Group]] = defaultdict(list)
    for group in summarise(results_dir):
        if suite not in (None, group[0].suite):
            continue
        blocks[_table(group[0])].append(group)
    parts = [text for groups in blocks.values() for text in _block(groups)]
    return "\n\n".join([*parts, *(f"Note: {note}" for note in NOTES)]) + "\n"


def _block(groups: Sequence[Group]) -> list[str]:
    first = groups[0][0]
    test = first.test
    title = (
        f"{first.suite} {first.suite_version}, protocol {first.protocol}, profile {first.profile}:"
        f" tested on {test.slices} slices of {len(test.patients)} patients at {first.size} x {first.size}"
    )
    suite = load_suite(first.suite) if is_suite(first.suite) else None
    remarks = [*([suite.caution] if suite and suite.caution else [])]
    remarks += [escaping.markdown(note) for group in groups for result in group for note in result.notes]
    theirs = (
        ["Theirs beside ours", _versus_paper(groups), f"Note: {jiang2020.NOTE}"] if first.suite == _OF else []
    )
    gains = gain_rows(groups)
    return [
        title,
        markdown_table(_paper_rows(groups)),
        markdown_table(_honest_rows(groups)),
        *([markdown_table(gains)] if len(gains) > 1 else []),
        *theirs,
        *(f"Note: {text}" for text in dict.fromkeys(remarks)),
    ]


def _versus_paper(groups: Sequence[Group]) -> str:
    """The printed Tables III and IV, each cell with ours."""
    ours: dict[tuple[str, str, str, str], str] = {}
    for group in groups:
        generators = group[0].composition.generators
        made_by = generators[0].partition(".")[0] if len(generators) == 1 else ""
        for structure in NAMES:
            for measure in segmentation.MEASURES:
                means = [getattr(getattr(result.metrics, structure).folds, measure) for result in group]
                ours[group[0].regime, made_by, structure, measure] = _cell(means)
    return markdown_table(jiang2020.rows(load(), ours, OWN))


def _paper_rows(groups: Sequence[Group]) -> list[list[str]]:
    header = ["regime", "train", "seeds"]
    header += [f"{name} {SHORT[measure]}" for name in NAMES.values() for measure in segmentation.MEASURES]
    rows = [header]
    for group in groups:
        cells = [_name(group[0]), _train(group[0]), str(len(group))]
        for structure in NAMES:
            for measure in segmentation.MEASURES:
                means = [getattr(getattr(result.metrics, structure).folds, measure) for result in group]
                cells.append(_cell(means))
        rows.append(cells)
    return rows


def _honest_rows(groups: Sequence[Group]) -> list[list[str]]:
    header = ["regime"]
    for name in NAMES.values():
        header += [f"{name} pooled", f"{name} neighbours", f"{name} per patient"]
    patients = groups[0][0].test.patients
    rows = [[*header, *(f"infection {patient}" for patient in patients)]]
    for group in groups:
        cells = [_name(group[0])]
        for structure in NAMES:
            structures = [getattr(result.metrics, structure) for result in group]
            cells.append(_pooled(structures))
            cells.append(_cell([result.neighbours.dice for result in structures]))
            cells.append(_cell([result.over_patients.dice for result in structures]))
        cells += [_of_patient(group, patient) for patient in patients]
        rows.append(cells)
    return rows


def gain_rows(groups: Sequence[Group], digits: int = 2) -> list[list[str]]:
    """The header, and for each row the differences of Dice to its baselines, paired by seed.

    The baselines are real slices alone, real slices with as many plainly or strongly augmented ones as the
    row adds or replaces, and for synthetic slices that are added the same before their lungs were drawn.
    Points have `digits` decimals.
    """
    structures = ("infection", "ggo", "consolidation")
    names = [f"{NAMES[structure]} Dice" for structure in structures]
    rows = [["regime", "less", "seeds", *names, "infection Dice over patients", "patients above"]]
    for group in groups:
        for baseline in groups:
            common = {result.seed for result in group} & {result.seed for result in baseline}
            if group is baseline or len(common) < 2 or not _is_baseline(baseline[0], group[0]):
                continue
            cells = [_signed(_gain(group, baseline, structure, common), digits) for structure in structures]
            gains = patient_gains(group, baseline, common)
            above = f"{sum(gain > 0 for gain in gains.values())} of {len(gains)}"
            cells += [_signed(segmentation.mean(list(gains.values())), digits), above]
            rows.append([_name(group[0]), baseline[0].regime, str(len(common)), *cells])
    return rows


def _is_baseline(one: SegmentationResult, of: SegmentationResult) -> bool:
    """Whether `one` is what a gain of `of` is counted from."""
    rule, other = one.regime_rule, of.regime_rule
    if rule.kind == "undrawn":
        return other.kind == "extend" and rule.fraction == other.fraction
    more = rule.kind in ("augment", "strong") and rule.fraction == other.fraction
    return rule.kind == "real" or more


def patient_gains(group: Group, baseline: Group, seeds: set[int]) -> dict[str, float]:
    """The difference of infection's Dice of each test patient, the mean over `seeds`.

    Patients whose slices show no infection, or for whom none is found, have none on a side and are left out.
    """

    def means(of: Group) -> dict[str, float]:
        scores: dict[str, list[float]] = defaultdict(list)
        for result in of:
            for patient, score in result.metrics.infection.patients.items():
                if result.seed in seeds and score.dice is not None:
                    scores[patient].append(score.dice)
        return {patient: float(np.mean(values)) for patient, values in scores.items()}

    ours, theirs = means(group), means(baseline)
    return {patient: ours[patient] - theirs[patient] for patient in ours if patient in theirs}


def _gain(group: Group, baseline: Group, structure: str, seeds: set[int]) -> segmentation.Mean:
    """The mean difference over `seeds`; a seed without Dice on one side is left out."""

    def dice(of: Group) -> dict[int, float | None]:
        return {result.seed: getattr(result.metrics, structure).pooled.dice for result in of}

    ours, theirs = dice(group), dice(baseline)
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(seeds)]
    return segmentation.mean([None if a is None or b is None else a - b for a, b in pairs])


def _signed(mean: segmentation.Mean, digits: int) -> str:
    if mean.value is None or mean.half is None:
        return DASH
    low, high = 100 * (mean.value - mean.half), 100 * (mean.value + mean.half)
    return f"{100 * mean.value:+.{digits}f} [{low:.{digits}f} to {high:.{digits}f}]"


def _cell(means: Sequence[segmentation.Mean]) -> str:
    """Mean over the seeds ± the widest half, with the seeds' range where there is one.

    Two or three parts can give a half that is wider than all values that a share can have; it is not shown.
    """
    values = [mean.value for mean in means if mean.value is not None]
    if not values:
        return DASH
    halves = [mean.half for mean in means if mean.half is not None]
    half = f" ± {100 * max(halves):.2f}" if halves else ""
    if halves and max(halves) > WIDEST_HALF:
        half = " (too few parts for an interval)"
    left_out = max(mean.left_out for mean in means)
    without = f" ({left_out} left out)" if left_out else ""
    return f"{100 * float(np.mean(values)):.2f}{half}{_range(values)}{without}"


def _pooled(structures: Sequence[segmentation.Structure]) -> str:
    values = [item.pooled.dice for item in structures if item.pooled.dice is not None]
    if not values:
        return DASH
    limits = [item.bootstrap.dice for item in structures if item.bootstrap is not None]
    lows = [item.low for item in limits if item.low is not None]
    highs = [item.high for item in limits if item.high is not None]
    interval = f" [{100 * min(lows):.2f} to {100 * max(highs):.2f}]" if lows else ""
    return f"{100 * float(np.mean(values)):.2f}{_range(values)}{interval}"


def _of_patient(group: Group, patient: str) -> str:
    scores = [result.metrics.infection.patients[patient].dice for result in group]
    values = [score for score in scores if score is not None]
    return f"{100 * float(np.mean(values)):.2f}{_range(values)}" if values else DASH


def _range(values: Sequence[float]) -> str:
    low, high = f"{100 * min(values):.2f}", f"{100 * max(values):.2f}"
    return "" if low == high else f" {{{low} to {high}}}"


def _name(result: SegmentationResult) -> str:
    made_by = ", ".join(result.composition.generators)
    return result.regime + (f" ({made_by})" if made_by else "")


def _train(result: SegmentationResult) -> str:
    made_of = result.composition
    extra = [("repeated", made_of.repeated), ("augmented", made_of.augmented), ("undrawn", made_of.undrawn)]
    text = "".join(f" + {count} {name}" for name, count in extra if count)
    return f"{made_of.real} + {made_of.synthetic}{text}"


def _table(result: SegmentationResult) -> tuple[str, ...]:
    """The fields that the results of one table share."""
    limit = "" if result.limit is None else f"limit {result.limit}"
    return (
        result.suite,
        result.suite_version,
        result.source,
        result.protocol,
        result.profile,
        str(result.size),
        limit,
    )


def _check(rows: Sequence[Group]) -> None:
    """Rows of one table were tested on the same slices, and the seeds of a row used the same data."""
    tested: dict[tuple[str, ...], tuple[SegmentationResult, frozenset[tuple[str, int, int]]]] = {}
    for group in rows:
        for result in group:
            # True pixels besides, so that other label maps under the same names are noticed.
            slices = frozenset(
                (row.image_id, row.ggo[0] + row.ggo[2], row.infection[0] + row.infection[2])
                for row in result.slices
            )
            other, expected = tested.setdefault(_table(result), (result, slices))
            if slices != expected:
                raise ResultError(
                    f"results of {result.suite} {result.protocol} were tested on different slices",
                    found=f"{result.regime} seed {result.seed} differs in {len(slices ^ expected)} slices",
                    expected=f"those of {other.regime} seed {other.seed}",
                    hint="keep results of different sources in different folders",
                )
        if len({str((result.dataset, result.train)) for result in group}) > 1 or len(
            {result.seed for result in group}
        ) < len(group):
            raise ResultError(
                f"the seeds of {_name(group[0])} do not belong together",
                found="different datasets or training slices, or a seed twice",
                hint="keep them in different folders",
            )


def _rank(group: Group) -> tuple[object, ...]:
    """Order of a row: regimes as the suite lists them, by name where it is not ours."""
    result = group[0]
    order = list(load_suite(result.suite).regimes) if is_suite(result.suite) else []
    place = order.index(result.regime) if result.regime in order else len(order)
    return (*_table(result), place, result.regime, *result.composition.generators)
