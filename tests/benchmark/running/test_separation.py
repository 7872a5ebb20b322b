"""The leak check of training sets: each film is compared once, and a leak is refused whenever it comes."""

from __future__ import annotations

import contextlib

import datasets
import pytest

from covid_synth_data import tasks
from covid_synth_data.benchmark import run
from covid_synth_data.benchmark.data import composition
from covid_synth_data.benchmark.running.separation import Separation
from covid_synth_data.errors import LeakError
from tests.benchmark.conftest import real, synthetic

POOL, TEST = real("train", 20, 6, 1), real("test", 12, 6, 3)
LEAKS = ["patient_id", "image_id", "source_id"]


@pytest.fixture
def compared(monkeypatch) -> list[tuple[int, bool]]:
    """Of each comparison, how many training films were compared and whether their pixels were too."""
    counted, check = [], tasks.check_leaks

    def counting(splits, *, pixels=True, **others):
        counted.append((len(splits["train"]), pixels))
        check(splits, pixels=pixels, **others)

    monkeypatch.setattr(tasks, "check_leaks", counting)
    return counted


@pytest.fixture
def separation() -> Separation:
    return Separation({"train": POOL, "validation": real("validation", 8, 4, 2), "test": TEST})


def changed(rows: datasets.Dataset, **values: str) -> datasets.Dataset:
    """The first row of `rows` with other values."""
    return rows.select([0]).map(lambda _: values, desc=None)


@pytest.mark.parametrize("column", LEAKS)
def test_a_film_that_joins_films_known_to_be_apart_is_still_compared(separation, column):
    separation.check_pool(POOL)
    separation.check(POOL)
    film = changed(POOL, **{column: TEST[0][column]})
    for _ in range(2):  # what was refused once is not taken for known
        with pytest.raises(LeakError, match="train and test share 1 "):
            separation.check(datasets.concatenate_datasets([POOL, film]))
    separation.check(POOL)


def test_a_synthetic_film_made_from_a_test_film_is_refused(separation):
    rows = synthetic("gnc", 12, 4)
    separation.check_pool(rows)
    with pytest.raises(LeakError, match="source films"):
        separation.check(changed(rows, source_id=TEST[3]["source_id"]))


def test_pixels_of_a_pool_are_compared(separation):
    copy = changed(POOL).remove_columns("image")
    copy = copy.add_column("image", TEST.select([2]).with_format("arrow")[:]["image"].to_pylist())
    copy = copy.cast_column("image", POOL.features["image"])
    with pytest.raises(LeakError, match="equal files"):
        separation.check_pool(copy)


def test_films_are_compared_once(separation, compared):
    separation.check_pool(POOL)
    for rows in (range(26), range(5), range(10, 20)):
        separation.check(POOL.select(rows))
    assert compared == [(26, True)]
    other = real("more", 4, 2, 7)
    for _ in range(2):
        separation.check(other)
    separation.check(other.select([1]))
    assert compared == [(26, True), (6, False)]


def test_all_regimes_and_seeds_take_one_check_of_films_and_one_of_configs(bench, compared):
    run(bench.suite, **bench.arguments, regimes=["real", "real+gnc", "skewed", "balanced"], seeds=3)
    assert compared == [(26, True), (12, True)]


def test_a_test_film_that_a_regime_lets_in_is_refused(bench, monkeypatch):
    compose = composition.compose

    def leaky(regime, *rest):
        mixed = compose(regime, *rest)
        film = bench.splits["test"].select([0])
        return datasets.concatenate_datasets([mixed, film]) if regime.mix == "skew" else mixed

    monkeypatch.setattr(composition, "compose", leaky)
    with pytest.raises(LeakError, match="train and test share"):
        run(bench.suite, **bench.arguments, regimes=["real", "real+gnc", "skewed"])
    assert not bench.arguments["out"].exists()


def test_progress_is_shown_while_films_are_compared():
    """Thousands of films take minutes. Phantoms are not compared by their look, so these pose as films."""
    seen = []
    parts = {
        name: part.map(lambda _: {"source_dataset": "radiography"}, desc=None)
        for name, part in (("train", POOL), ("test", TEST))
    }
    with contextlib.suppress(LeakError):
        Separation(parts).check_pool(parts["train"], lambda *step: seen.append(step))
    assert (len(POOL) + len(TEST), len(POOL) + len(TEST), "films compared") in seen
