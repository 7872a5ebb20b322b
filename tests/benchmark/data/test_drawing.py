"""Halves of the training patients: exact counts, whole patients, and configs that follow their films."""

from __future__ import annotations

from collections import Counter

import datasets
import numpy as np
import pytest

from covid_synth_data.benchmark.data import drawing


def films(patients: list[tuple[str, int, str, int]]) -> datasets.Dataset:
    """Rows without images: (patient, label, source, films of the patient)."""
    rows = [
        {
            "image_id": f"{source}/{patient}-{n}",
            "patient_id": f"{source}:{patient}",
            "label": label,
            "source_dataset": source,
        }
        for patient, label, source, count in patients
        for n in range(count)
    ]
    return datasets.Dataset.from_list(rows)


POOL = films(
    [(f"a{n}", 0, "one", 1) for n in range(30)]
    + [(f"b{n}", 1, "one", 1 + n % 4) for n in range(20)]
    + [(f"c{n}", 1, "two", 1) for n in range(7)]
)


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_exact_and_patients_whole(seed: int) -> None:
    drawn = drawing.half(POOL, (0, seed))
    counts = Counter(zip(drawn["label"], drawn["source_dataset"], strict=True))
    assert counts == {(0, "one"): 15, (1, "one"): 25, (1, "two"): 3}
    everyone, mine = Counter(POOL["patient_id"]), Counter(drawn["patient_id"])
    assert all(everyone[name] == count for name, count in mine.items())


def test_seeds_draw_different_halves_and_the_same_one_again() -> None:
    halves = [drawing.half(POOL, (0, seed))["image_id"] for seed in range(20)]
    assert len({tuple(half) for half in halves}) == 20
    assert list(drawing.half(POOL, (0, 3))["image_id"]) == list(halves[3])
    # Each film is drawn about as often as any other of its stratum.
    often = Counter(name for half in halves for name in half if "/a" in name)
    assert max(often.values()) < 18
    assert min(often.values()) > 2


def test_the_variance_over_halves_is_that_of_new_samples() -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=200)
    pool = films([(f"p{n:03}", 0, "one", 1) for n in range(200)])
    place = {name: n for n, name in enumerate(pool["image_id"])}
    means = [
        values[[place[name] for name in drawing.half(pool, (0, seed))["image_id"]]].mean()
        for seed in range(400)
    ]
    assert np.var(means) == pytest.approx(values.var(ddof=1) / 200, rel=0.25)


def test_a_single_film_of_a_class_stays() -> None:
    pool = films([("a", 0, "one", 1), *[(f"b{n}", 1, "one", 1) for n in range(4)]])
    assert {"one/a-0"} < set(drawing.half(pool, (0, 1))["image_id"])


def test_configs_follow_their_films() -> None:
    hosts = POOL.select(range(5))
    made = datasets.Dataset.from_dict(
        {
            "image_id": ["copies-0", "copies-1", "copies-2"],
            "source_dataset": ["one", "one", "two"],
            "source_id": ["a2-0", "a9-0", "a2-0"],
        }
    )
    assert list(drawing.of_hosts(made, hosts)["image_id"]) == ["copies-0"]
    retraced = datasets.Dataset.from_dict({"image_id": ["re/one/a4-0", "re/one/a5-0"]})
    assert list(drawing.of_hosts(retraced, hosts)["image_id"]) == ["re/one/a4-0"]
