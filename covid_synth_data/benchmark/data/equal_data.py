"""The real films that a generator was trained on, for classifiers that are to have the same data as it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from covid_synth_data import tasks
from covid_synth_data.errors import EmptySplit
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
    trained = frame[(frame["split"] == "train") & (frame["reason"] == "")]
    candidates = frame[frame["image_id"].isin(trained_on.films) & (frame["split"] != "train")]
    # A source may hold a copy of a training film under another name.
    every = pd.concat([trained, candidates], ignore_index=True).assign(reason="")
    joined = joining.join(every, [])
    new = (joined.used >= len(trained)) & ~pd.Series(joined.films).duplicated().to_numpy()
    rows = every.iloc[joined.used[np.flatnonzero(new)]]
    if rows.empty:
        raise EmptySplit(
            f"no film of the generator of {config} can join the training films",
            found=f"{len(trained_on.films):,} films that it was trained on, {len(candidates):,} of them"
            f" {positive} films of this task that are not trained on anyway",
            expected=f"a {positive} film that is not in the training part",
            hint="leave out the regimes with generator_films",
        )
    rows = rows.assign(label=rows["class"], split="train").reset_index(drop=True)
    return table.to_dataset(rows, plan.label_names)
