"""placing: a patient's part follows from the seed and the patient's name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_synth_data.splits.protocols import placing
from covid_synth_data.tasks import plan_task
from tests.trees import usual

SHARES = (0.2, 0.1)


def places(names: list[str], stratum: str = "a", seed: int = 0) -> dict[str, int]:
    numbers = np.array([placing.number(seed, name) for name in names], np.float64)
    return dict(zip(names, placing.place(numbers, [stratum] * len(names), SHARES).tolist(), strict=True))


people = st.sets(st.integers(0, 2000).map(str), min_size=placing.SMALL, max_size=300)


@settings(max_examples=60, deadline=None)
@given(people, people, st.integers(0, 5))
def test_other_people_move_nobody(some: set[str], others: set[str], seed: int) -> None:
    alone, together = places(sorted(some), seed=seed), places(sorted(some | others), seed=seed)
    assert all(together[name] == place for name, place in alone.items())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 5))
def test_other_strata_move_nobody(count: int, others: int, seed: int) -> None:
    names = [f"one:{n}" for n in range(count)]
    more = [f"another:{n}" for n in range(others)]
    numbers = np.array([placing.number(seed, name) for name in [*names, *more]], np.float64)
    together = placing.place(numbers, ["a"] * count + ["b"] * others, SHARES)
    assert together[:count].tolist() == list(places(names, seed=seed).values())


def test_shares_hold_in_expectation() -> None:
    for seed in range(20):
        found = Counter(places([f"x:{n}" for n in range(2000)], seed=seed).values())
        for part, share in enumerate((0.2, 0.1, 0.7)):
            assert abs(found[part] - share * 2000) < 4.5 * (2000 * share * (1 - share)) ** 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(3, placing.SMALL - 1), st.integers(0, 9))
def test_small_strata_have_every_part(count: int, seed: int) -> None:
    found = Counter(places([f"x:{n}" for n in range(count)], seed=seed).values())
    assert set(found) == {0, 1, 2}
    assert abs(found[0] - 0.2 * count) <= 1


def test_a_joined_patient_has_the_first_name() -> None:
    joined = np.array([4, 4, 2])
    assert placing.names(["b:1", "a:9", "c:3"], joined) == {4: "a:9", 2: "c:3"}


def test_another_source_moves_no_patient_of_a_task(tmp_path: Path) -> None:
    usual(tmp_path)
    whole = plan_task("normal-vs-covid", tmp_path).frame.set_index("image_id")["split"]
    sources = ["radiography", "covid-19-image-repository"]
    part = plan_task("normal-vs-covid", tmp_path, sources=sources).frame.set_index("image_id")["split"]
    assert len(part) == 160
    assert (whole[part.index] == part).all()
