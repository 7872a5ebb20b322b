"""The content of the leaderboard, before it is drawn: test sets, the regimes tested, and their gains."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from covid_synth_data.benchmark.reporting import comparisons, controls, encodings, gains, tables
from covid_synth_data.benchmark.reporting.collect import Group, Progress, collect, comparable
from covid_synth_data.benchmark.suite import ClassificationSuite, is_suite, load_classifiers
from covid_synth_data.leaderboard import testsets
from covid_synth_data.metrics.detection import Floats, Ints


@dataclass(frozen=True)
class Entry:
    """A row: a regime under one model and preprocessing. `versus` has one comparison for each baseline
    (itself left out), `best` is the name of the baseline of its block that was chosen on the validation films
    among those with real films like its own, `gain` the gain in the AUC over that one; None for that itself,
    and where no baseline was run."""

    group: Group
    row: tables.Row
    baseline: bool
    versus: tuple[comparisons.Pair, ...]
    best: str | None
    gain: gains.Gain | None

    @property
    def limits(self) -> tuple[float, float] | None:
        """Of the gain: its 95 % interval."""
        return None if self.gain is None else (self.gain.over_best.low, self.gain.over_best.high)

    @property
    def plain(self) -> bool:
        """Whether its real films are those of the split, as they came."""
        return comparisons.real_films(self.group.first.regime_rule) == (None, None)

    @property
    def mark(self) -> Literal["up", "down", ""]:
        """Whether a gain or a loss is claimed (`gains`)."""
        if self.gain is None:
            return ""
        return {"gain": "up", "loss": "down"}.get(self.gain.verdict, "")  # type: ignore[return-value]

    @property
    def scores(self) -> tuple[Ints, Floats]:
        """Labels (films,), 1 for the positive class, and its probabilities (seeds, films)."""
        place = self.group.first.classes.index(self.group.first.positive)
        rows = [sorted(seed.predictions, key=lambda row: row.image_id) for seed in self.group.seeds]
        labels = np.array([row.label == place for row in rows[0]], dtype=np.int64)
        return labels, np.array([[row.probabilities[place] for row in predictions] for predictions in rows])


@dataclass(frozen=True)
class Block:
    """The regimes that differ in nothing but what was trained on, best AUC first: same model, initial
    weights, preprocessing and limit of real negatives. `missing` are baselines of the suite that were not
    run."""

    model: str
    weights: str
    preprocessing: str
    limit: int | None
    entries: tuple[Entry, ...]
    missing: tuple[str, ...]

    @property
    def best(self) -> Entry | None:
        """The baseline to beat of regimes whose real films are those of the split, as they came; where none
        of these was run, that of films which are all encoded alike."""
        chosen = [one for one in self.entries if one.row.regime == one.best]
        return next((one for one in chosen if one.plain), chosen[0] if chosen else None)

    @property
    def name(self) -> str:
        """In words."""
        limit = "" if self.limit is None else f", at most {self.limit:,} real negatives"
        return f"{self.model} ({self.weights}), {self.preprocessing} films{limit}"

    def verdict(self) -> gains.VerdictText:
        """A few lines on the gains in AUC over the baseline to beat."""
        where = self.name
        if self.best is None:
            return gains.VerdictText((f"{where}: no baseline was run, so no gain can be stated.",))
        compared = [entry for entry in self.entries if not entry.baseline and entry.gain is not None]
        if not compared:
            return gains.VerdictText((f"{where}: baselines only.",))
        text = gains.verdict_text(
            [entry.gain for entry in compared if entry.gain is not None],
            controls.regimes(entry.group for entry in compared),
        )
        alike = encodings.sentence(
            [entry.group.sample for entry in self.entries],
            [pair for entry in self.entries for pair in entry.versus],
        )
        beat = f"{where}: the baseline to beat is {self.best.row.regime}."
        return replace(text, lead=tuple(filter(None, [beat, alike, *text.lead])))


@dataclass(frozen=True)
class Board:
    """Everything that was tested on one set of films. `current` says whether the package still has this
    version of the suite."""

    suite: str
    version: str
    task: str
    title: str
    caution: str | None
    current: bool
    digest: str
    blocks: tuple[Block, ...]

    @property
    def entries(self) -> list[Entry]:
        """All rows, block by block."""
        return [entry for block in self.blocks for entry in block.entries]

    @property
    def first(self) -> tables.Row:
        """A row that speaks for what all have in common."""
        return self.blocks[0].entries[0].row

    @property
    def tested(self) -> str:
        """The test set in words."""
        row = self.first
        folds = f", each tested once in {row.folds} folds by patient" if row.folds > 1 else ""
        return (
            f"{row.test_positives} {self.blocks[0].entries[0].group.first.positive} films and"
            f" {row.test_negatives} others of {tables.patients(row)}{folds}"
        )

    @property
    def notes(self) -> list[str]:
        """The notes of the task on its data, each once, without the folds, which `tested` states."""
        notes = dict.fromkeys(note for entry in self.entries for note in entry.row.notes)
        warning = tables.films_warning(self.first)
        task_notes = [note for note in notes if not re.match(r"fold \d+ of \d+", note)]
        return [*([warning] if warning else []), *task_notes]


def boards(
    results_dir: str | Path, progress: Progress | None = None, groups: Sequence[Group] | None = None
) -> list[Board]:
    """The boards of all result files below `results_dir`, each validated first. Raises `ResultError`.

    `groups` are what `collect` read there before. `progress` gets (done, all, what is done).
    """
    by_task: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for group in collect(results_dir, progress) if groups is None else groups:
        suite, version, task = group.key[:3]
        by_task[suite, version, task].append(group)
    made = []
    for number, (key, groups) in enumerate(by_task.items()):
        if progress:
            progress(number, len(by_task), "comparing")
        made.append(_board(key, groups))
    return made


def _board(key: tuple[str, str, str], groups: Sequence[Group]) -> Board:
    name, version, task = key
    suite = load_classifiers(name) if is_suite(name) else None
    current = suite is not None and suite.version == version
    seed, first = groups[0].seeds[0], groups[0].first
    return Board(
        suite=name,
        version=version,
        task=task,
        title=suite.title if suite else name,
        caution=suite.caution if suite else None,
        current=current,
        digest=testsets.digest(testsets.films_of(seed.predictions, first.classes)),
        blocks=tuple(_block(block, suite if current else None) for block in comparable(groups)),
    )


def _block(groups: Sequence[Group], suite: ClassificationSuite | None) -> Block:
    first = groups[0].first
    baselines = {group.first.regime for group in groups if group.first.regime_rule.baseline}
    samples = [item.sample for item in groups]
    pairs = comparisons.compare(samples) if baselines else []
    best = {
        real: chosen.regime
        for real in {comparisons.real_films(sample.rule) for sample in samples}
        if (chosen := comparisons.to_beat(samples, *real)) is not None
    }
    rows = {group.first.regime: tables.row_of(group) for group in groups}
    versus: dict[str, list[comparisons.Pair]] = defaultdict(list)
    for pair in pairs:
        versus[pair.regime].append(pair)
    gain_of = {item.regime: item for item in gains.gains(pairs, baselines=True) if item.metric == "AUC"}
    entries = [
        Entry(
            group=group,
            row=rows[group.first.regime],
            baseline=group.first.regime in baselines,
            versus=tuple(versus[group.first.regime]),
            best=best.get(comparisons.real_films(group.first.regime_rule)),
            gain=gain_of.get(group.first.regime),
        )
        for group in groups
    ]
    of_task = suite.regimes_of(groups[0].first.task) if suite else []
    expected = [name for name in of_task if suite and suite.regimes[name].baseline]
    return Block(
        model=first.model,
        weights=first.weights.name,
        preprocessing=first.preprocessing,
        limit=first.limit,
        entries=tuple(sorted(entries, key=lambda entry: -entry.row.auc.mean)),
        missing=tuple(name for name in expected if name not in rows),
    )
