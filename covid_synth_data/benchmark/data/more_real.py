"""Real films that a suite's regimes do not train on: those of a generator, or held back to pose as synthetic.

A classifier may be given them, so that it has the same data as a generator, or to learn what so many real
films would have gained.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from covid_synth_data import tasks
from covid_synth_data.benchmark.suite.made import HeldBack
from covid_synth_data.errors import EmptySplit, ImpossibleMix
from covid_synth_data.sources import table
from covid_synth_data.splits.protocols import joining

if TYPE_CHECKING:
    import datasets

    from covid_synth_data.release.manifest import Learned


def generator_films(
    config: str, trained_on: Learned, plan: tasks.TaskPlan, positive: str
) -> datasets.Dataset:
    """The films of the class `positive` that the generator of `config` was trained on and that `plan` does
    not train on, each once, in `schema.REAL_COLUMNS` with the labels of the plan.

    The protocol may leave out their source; a classifier of its training films then has less data than the
    generator had. Raises `EmptySplit` where there is none.
    """
    frame = plan.frame[plan.frame["class"] == positive]
    candidates = frame[frame["image_id"].isin(trained_on.films) & (frame["split"] != "train")]
    rows = _no_copies(candidates, frame[_used(frame) & (frame["split"] == "train")])
    if rows.empty:
        raise EmptySplit(
            f"no film of the generator of {config} can join the training films",
            found=f"{len(trained_on.films):,} films that it was trained on, {len(candidates):,} of them"
            f" {positive} films of this task that are not trained on anyway",
            expected=f"a {positive} film that is not in the training part",
            hint="name the other regimes with --regime",
        )
    return _as_training_films(rows, plan)


def held_back(
    name: str, made: HeldBack, plan: tasks.TaskPlan, trained_on: Collection[str], positive: str
) -> datasets.Dataset:
    """`made.count` films of the class `positive` for the config `name`, drawn from `made.seed`, each once, in
    `schema.REAL_COLUMNS` with the labels of the plan.

    Without `made.source` they are of the training part and not among the ids `trained_on`; with it they are
    films of that source which the plan leaves out and which are no copies of films that it uses. Raises
    `ImpossibleMix` where there are too few.
    """
    frame = plan.frame[plan.frame["class"] == positive]
    if made.source is None:
        rows = frame[_used(frame) & (frame["split"] == "train") & ~frame["image_id"].isin(list(trained_on))]
    else:
        away = frame[(frame["source_dataset"] == made.source) & ~_used(frame)]
        rows = _no_copies(away, frame[_used(frame)])
    count = made.count
    if len(rows) < count:
        place = "training part" if made.source is None else f"films of {made.source} that are not used"
        raise ImpossibleMix(
            f"the config {name!r} cannot hold back {count:,} films",
            found=f"{len(rows):,} {positive} films in the {place}",
            expected=f"at least {count:,}",
            hint="lower the count, or data.max_positives of the suite",
        )
    chosen = np.random.default_rng([made.seed, *name.encode()]).choice(len(rows), count, replace=False)
    return _as_training_films(rows.iloc[np.sort(chosen)], plan)


def _used(frame: pd.DataFrame) -> pd.Series:
    return (frame["reason"] == "") & (frame["split"] != "")


def _no_copies(candidates: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """The readable rows of `candidates` that are no film of `kept` under another name, each film once."""
    every = pd.concat([kept, candidates], ignore_index=True).assign(reason="")
    joined = joining.join(every, [])
    first = ~pd.Series(joined.films).duplicated().to_numpy()
    return every.iloc[joined.used[(joined.used >= len(kept)) & first]]


def _as_training_films(rows: pd.DataFrame, plan: tasks.TaskPlan) -> datasets.Dataset:
    rows = rows.assign(label=rows["class"], split="train", reason="").reset_index(drop=True)
    return table.to_dataset(rows, plan.classes)
