"""Repeated films: each is kept once, and none whose rows disagree about the class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from covid_synth_data.splits.protocols import joining


def made(count: int, films: int, seed: int) -> tuple[pd.DataFrame, joining.Joined]:
    """Rows of some films, three classes and three sources; some rows are left out before."""
    random = np.random.default_rng([13, seed])
    frame = pd.DataFrame(
        {
            "label": random.choice(["normal", "pneumonia", "covid-19"], count, p=[0.8, 0.1, 0.1]),
            "source_dataset": random.choice(["a", "b", "c"], count),
            "reason": random.choice(["", "lateral view"], count, p=[0.8, 0.2]),
        }
    )
    used = np.flatnonzero(random.random(count) < 0.9)
    numbers = random.integers(0, films, len(used))
    return frame, joining.Joined(used, films=numbers, patients=numbers)


def one_by_one(frame: pd.DataFrame, joined: joining.Joined) -> list[str]:
    """The reasons, row by row."""
    reasons = frame["reason"].tolist()
    for film in set(joined.films.tolist()):
        rows = [row for row in joined.used[joined.films == film].tolist() if not reasons[row]]
        several = len({frame["label"][row] for row in rows}) > 1
        for row in rows if several else rows[1:]:
            kept = f"same film as one kept from {frame['source_dataset'][rows[0]]}"
            reasons[row] = joining.TWO_CLASSES if several else kept
    return reasons


@pytest.mark.parametrize(("count", "films"), [(0, 1), (1, 1), (40, 15), (40, 1000), (200, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_a_film_is_kept_once(count, films, seed):
    frame, joined = made(count, films, seed)
    expected = one_by_one(frame, joined)
    two = {row for row, reason in enumerate(expected) if reason == joining.TWO_CLASSES}
    assert set(joining.contradictions(frame, joined, "label")) == two
    joining.drop_repeats(frame, joined)
    assert frame["reason"].tolist() == expected
