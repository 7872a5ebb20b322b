"""Cells of the tables of segmentation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from covid_synth_data.benchmark.reporting import segmentation
from covid_synth_data.metrics.segmentation import Mean


def mean(value, half, left_out=0):
    return Mean(value=value, half=half, n=3, left_out=left_out)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ([mean(0.4459, 0.1)], "44.59 ± 10.00"),
        ([mean(0.4459, 5.6495, left_out=1)], "44.59 (too few parts for an interval) (1 left out)"),
        ([mean(0.40, 0.1), mean(0.50, 0.2)], "45.00 ± 20.00 {40.00 to 50.00}"),
        ([mean(0.4, None)], "40.00"),
        ([mean(None, None)], segmentation.DASH),
    ],
)
def test_an_interval_wider_than_all_shares_is_not_shown(means, expected):
    assert segmentation._cell(means) == expected


KINDS = {"real": "real", "extend": "extend", "augmented": "augment", "remove": "remove", "undrawn": "undrawn"}


def result(kind: str, seed: int, fraction: float | None = 0.5, **dice: float | None) -> SimpleNamespace:
    """What a row of gains reads of a result file; structures that are not named have the Dice 0.5.

    Patient one has the Dice of infection, patient two always 0.5, patient three none.
    """
    of = {
        name: SimpleNamespace(
            pooled=SimpleNamespace(dice=dice.get(name, 0.5)),
            patients={
                patient: SimpleNamespace(dice=value)
                for patient, value in (("one", dice.get(name, 0.5)), ("two", 0.5), ("three", None))
            },
        )
        for name in segmentation.NAMES
    }
    made = SimpleNamespace(generators=["tiny"] if kind == "extend" else [])
    rule = SimpleNamespace(kind=KINDS[kind], fraction=None if kind == "real" else fraction)
    name = kind if kind == "real" else f"{kind}-{fraction}"
    return SimpleNamespace(
        regime=name, seed=seed, metrics=SimpleNamespace(**of), composition=made, regime_rule=rule
    )


def test_gains_are_paired_by_seed_with_an_interval_over_seeds():
    real = [result("real", seed, infection=value) for seed, value in ((0, 0.40), (1, 0.50), (2, 0.99))]
    longer = [result("extend", seed, infection=value) for seed, value in ((1, 0.53), (0, 0.42), (7, 0.9))]
    header, row = segmentation.gain_rows([real, longer])
    names = ["infection Dice", "GGO Dice", "consolidation Dice"]
    assert header == ["regime", "less", "seeds", *names, "infection Dice over patients", "patients above"]
    assert row[:3] == ["extend-0.5 (tiny)", "real", "2"]  # the seeds that both have
    # Differences 0.02 and 0.03: mean 0.025, t of one degree of freedom 12.706, deviation 0.00707.
    half = 100 * 12.7062 * 0.00707107 / 2**0.5
    assert row[3] == f"+2.50 [{2.5 - half:.2f} to {2.5 + half:.2f}]"
    assert row[4] == "+0.00 [0.00 to 0.00]"
    # Patient one gains 0.025, patient two nothing: mean 0.0125, deviation 0.0177. Seed 2 is not in the row.
    half = 100 * 12.7062 * 0.0176777 / 2**0.5
    assert row[-2:] == [f"+1.25 [{1.25 - half:.2f} to {1.25 + half:.2f}]", "1 of 2"]


def test_fewer_digits_are_rounded_and_not_cut_off():
    real = [result("real", seed, infection=0.4) for seed in (0, 1)]
    longer = [result("extend", seed, infection=0.4616) for seed in (0, 1)]
    _, exact = segmentation.gain_rows([real, longer])
    _, short = segmentation.gain_rows([real, longer], digits=1)
    assert (exact[3], short[3]) == ("+6.16 [6.16 to 6.16]", "+6.2 [6.2 to 6.2]")


def test_gains_need_two_seeds_and_a_dice_on_both_sides():
    real = [result("real", 0), result("real", 1)]
    assert len(segmentation.gain_rows([real, [result("extend", 0)]])) == 1
    nothing = [result("extend", seed, ggo=None) for seed in (0, 1)]
    _, row = segmentation.gain_rows([real, nothing])
    assert row[4] == segmentation.DASH


def test_a_row_is_compared_with_real_slices_and_with_as_many_augmented_ones():
    groups = [
        [result(kind, seed, fraction) for seed in (0, 1)]
        for kind, fraction in (
            ("real", None),
            ("augmented", 0.5),
            ("augmented", 2),
            ("extend", 2),
            ("undrawn", 2),
            ("remove", 0.5),
        )
    ]
    assert [tuple(cells[:2]) for cells in segmentation.gain_rows(groups)[1:]] == [
        ("augmented-0.5", "real"),
        ("augmented-2", "real"),
        ("extend-2 (tiny)", "real"),
        ("extend-2 (tiny)", "augmented-2"),
        ("extend-2 (tiny)", "undrawn-2"),
        ("undrawn-2", "real"),
        ("undrawn-2", "augmented-2"),
        ("remove-0.5", "real"),
        ("remove-0.5", "augmented-0.5"),
    ]
