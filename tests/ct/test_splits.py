"""Splits by patient and by slice."""

from __future__ import annotations

from typing import Any

import pytest

from covid_synth_data.ct import splits
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, UnknownName

REAL = {
    "1": (43, 40),
    "2": (14, 11),
    "3": (127, 118),
    "4": (25, 13),
    "5": (45, 23),
    "6": (1, 0),
    "7": (9, 0),
    "8": (36, 2),
    "9": (73, 18),
}
"""Slices with infection, and of these with consolidation, of each patient of the real set."""


def rows(patients: dict[str, tuple[int, int]], healthy: int = 0) -> list[dict[str, Any]]:
    found = []
    for patient, (infected, solid) in patients.items():
        found += [
            {
                "image_id": f"covid-ct/{patient}_{number}",
                "slice": number,
                "patient_id": f"covid-ct:{patient}",
                "lung_pixels": 50,
                "ggo_pixels": int(number < infected) * 9,
                "consolidation_pixels": int(number < solid) * 5,
            }
            for number in range(infected + healthy)
        ]
    return found


def ids(part: list[dict[str, Any]], column: str) -> set[str]:
    return {row[column] for row in part}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_patient_is_in_two_parts(seed):
    plan = splits.plan_slices(rows(REAL, healthy=3), seed=seed)
    parts = list(plan.parts().values())
    patients = [ids(part, "patient_id") for part in parts]
    assert all(patients)
    assert sum(map(len, patients)) == len(set.union(*patients)) == 9
    assert sum(map(len, parts)) == 373
    assert plan.left_out == {"no infection": 27}


def test_shares_are_near_the_papers():
    plan = splits.plan_slices(rows(REAL))
    sizes = {name: len(part) for name, part in plan.parts().items()}
    assert sizes["train"] + sizes["validation"] == pytest.approx(373 * 300 / 446, abs=8)
    assert sizes["generation_test"] == pytest.approx(61, abs=6)
    assert sizes["segmentation_test"] == pytest.approx(61, abs=6)
    assert 0 < sizes["validation"] < 0.3 * sizes["train"]
    assert plan.notes == ()
    assert all(any(row["consolidation_pixels"] for row in part) for part in plan.parts().values())
    assert sum(plan.counts()["train"].values()) == sizes["train"]


def test_plans_are_repeatable_and_depend_on_the_seed():
    many = {str(number): (10 + number % 7, 5) for number in range(40)}
    first, again, other = (splits.plan_slices(rows(many), seed=seed) for seed in (4, 4, 5))
    assert first == again
    assert first.counts() != other.counts()


def test_the_papers_split_by_slice():
    plan = splits.plan_slices(rows({"1": (446, 9)}, healthy=20), "paper")
    assert [len(part) for part in plan.parts().values()] == [300, 0, 73, 73]
    scaled = splits.plan_slices(rows(REAL), "paper")
    assert [len(part) for part in scaled.parts().values()] == [251, 0, 61, 61]
    more = splits.plan_slices(rows({"1": (600, 9)}), "paper")
    assert [len(part) for part in more.parts().values()] == [300, 0, 73, 73]
    for plan in (scaled, more):
        parts = [ids(part, "image_id") for part in plan.parts().values()]
        assert len(set.union(*parts)) == sum(map(len, parts))
        assert "both sides" in plan.notes[0]
    assert scaled.train == sorted(scaled.train, key=lambda row: rows(REAL).index(row))
    assert splits.plan_slices(rows(REAL), "paper", seed=1).train != scaled.train


def test_phantoms_and_counts_that_are_not_known(phantom_rows):
    unknown = [
        row | dict.fromkeys(("lung_pixels", "ggo_pixels", "consolidation_pixels")) for row in phantom_rows
    ]
    assert splits.plan_slices(unknown).counts() == splits.plan_slices(phantom_rows).counts()


def test_a_part_that_lacks_a_kind_of_lesion_is_said():
    plan = splits.plan_slices(rows({str(number): (5, 5 * (number < 2)) for number in range(6)}))
    assert any("no slice with consolidation" in note for note in plan.notes)


def test_three_patients_are_enough_two_are_not():
    plan = splits.plan_slices(rows({"1": (5, 1), "2": (5, 1), "3": (5, 1)}))
    assert [len(part) for part in plan.parts().values()] == [5, 0, 5, 5]
    with pytest.raises(EmptySplit, match=r'found 2; expected 3 or more.*split="paper"'):
        splits.plan_slices(rows({"1": (5, 1), "2": (5, 1), "3": (0, 0)}, healthy=2))
    with pytest.raises(EmptySplit, match="too few slices"):
        splits.plan_slices(rows({"1": (2, 1)}), "paper")


def test_wrong_arguments(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'patient'"):
        splits.plan_slices(rows(REAL), "patients")
    with pytest.raises(ConfigError, match="seed"):
        splits.plan_slices(rows(REAL), seed=-1)
    with pytest.raises(MissingSource, match="covid-ct"):
        splits.plan_slices(tmp_path)


@pytest.mark.real_data
def test_the_real_set(real_root):
    plan = splits.plan_slices(real_root, check=False)
    assert plan.left_out == {"no lung in the label map": 115, "no infection": 341}
    counted = {patient: count for part in plan.counts().values() for patient, count in part.items()}
    assert counted == {f"covid-ct:{patient}": infected for patient, (infected, _) in REAL.items()}
    assert {name: len(part) for name, part in plan.parts().items()} == {
        "train": 209,
        "validation": 43,
        "generation_test": 61,
        "segmentation_test": 60,
    }
