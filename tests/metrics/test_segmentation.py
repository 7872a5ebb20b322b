"""Segmentation measures: by hand on a few pixels, against torchmetrics, and where they are not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import segmentation as seg


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, (12, 16, 16), dtype=np.uint8)
    noise = random.integers(0, 4, truth.shape, dtype=np.uint8)
    return truth, np.where(random.random(truth.shape) < 0.7, truth, noise).astype(np.uint8)


def test_by_hand() -> None:
    truth = np.array([[[0, 1, 2, 2], [3, 3, 0, 0]]], np.uint8)
    found = np.array([[[0, 2, 2, 1], [3, 2, 0, 0]]], np.uint8)
    assert seg.counts(truth, found, "ggo").tolist() == [[1, 2, 1, 4]]
    assert seg.counts(truth, found, "consolidation").tolist() == [[1, 0, 1, 6]]
    # Taking one lesion for the other is no mistake where both are infection.
    assert seg.counts(truth, found, "infection").tolist() == [[3, 1, 1, 3]]
    assert seg.scores([3, 1, 1, 3]) == seg.Scores(dice=0.75, sensitivity=0.75, specificity=0.75)


def test_pooled_pixels_agree_with_torchmetrics(maps) -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    for name, values in seg.STRUCTURES.items():
        truth, found = (torch.from_numpy(np.isin(side, values).ravel().astype(np.int64)) for side in maps)
        ours = seg.scores(seg.counts(*maps, name))
        assert ours.dice == pytest.approx(float(functional.binary_f1_score(found, truth)), abs=1e-6)
        assert ours.sensitivity == pytest.approx(float(functional.binary_recall(found, truth)), abs=1e-6)
        assert ours.specificity == pytest.approx(float(functional.binary_specificity(found, truth)), abs=1e-6)


def test_a_structure_in_neither_map_has_no_score() -> None:
    nothing = np.ones((2, 4, 4), np.uint8)
    assert seg.scores(seg.counts(nothing, nothing, "ggo")) == seg.Scores(
        dice=None, sensitivity=None, specificity=1.0
    )
    # Found where there is nothing: that is a Dice of 0, and not left out.
    assert seg.scores(seg.counts(nothing, nothing + 1, "ggo")).dice == 0.0
    whole = np.full((1, 4, 4), 2, np.uint8)
    assert seg.scores(seg.counts(whole, whole, "ggo")) == seg.Scores(
        dice=1.0, sensitivity=1.0, specificity=None
    )


def test_means_leave_out_and_count_what_is_not_defined() -> None:
    found = seg.mean([0.5, None, 0.7, 0.9, None])
    assert (found.n, found.left_out) == (3, 2)
    assert found.value == pytest.approx(0.7)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 2) * 0.2 / math.sqrt(3))
    assert seg.mean([0.5]) == seg.Mean(value=0.5, half=None, n=1, left_out=0)
    assert seg.mean([None]) == seg.Mean(value=None, half=None, n=0, left_out=1)


def test_parts_are_equal_and_hold_each_slice_once() -> None:
    for how in ("random", "neighbours"):
        parts = seg.parts(73, how=how)
        assert sorted(len(part) for part in parts) == [7] * 7 + [8] * 3
        assert sorted(np.concatenate(parts).tolist()) == list(range(73))
    assert all(np.all(np.diff(part) == 1) for part in seg.parts(73, how="neighbours"))
    drawn = [part.tolist() for part in seg.parts(73)]
    assert drawn == [part.tolist() for part in seg.parts(73)]
    assert drawn != [part.tolist() for part in seg.parts(73, seed=1)]
    assert len(seg.parts(4)) == 4


def test_evaluate_is_made_of_the_counts_alone(maps) -> None:
    rows = seg.counts(*maps, "infection")
    patients = ["a"] * 5 + ["b"] * 3 + ["c"] * 4
    found = seg.evaluate(rows, patients)
    assert found.pooled == seg.scores(rows.sum(axis=0))
    assert list(found.patients) == ["a", "b", "c"]
    assert found.patients["b"] == seg.scores(rows[5:8])
    assert found.over_patients.dice == seg.mean([one.dice for one in found.patients.values()])
    assert found.folds.dice == seg.mean([seg.scores(rows[part]).dice for part in seg.parts(12)])
    assert found.folds.dice.n == 10
    assert found.neighbours != found.folds
    assert found == seg.evaluate(rows.tolist(), patients)
    interval = found.bootstrap
    assert interval is not None
    assert interval.dice.low < found.pooled.dice < interval.dice.high
    assert seg.evaluate(rows, ["a"] * 12).bootstrap is None


def test_the_bootstrap_draws_whole_patients() -> None:
    """Slices of one patient are all alike here: drawn one by one, they would give a narrow interval."""
    good, bad = [90, 10, 0, 900], [10, 90, 0, 900]
    rows = [good] * 50 + [bad] * 50
    found = seg.bootstrap(rows, ["a"] * 50 + ["b"] * 50)
    assert found is not None
    assert found.dice.low == pytest.approx(20 / 110)
    assert found.dice.high == pytest.approx(180 / 190)


def test_replicates_without_the_structure_are_counted() -> None:
    found = seg.bootstrap([[5, 1, 1, 9], [0, 0, 0, 16]], ["a", "b"])
    assert found is not None
    assert 300 < found.dice.left_out < 700
    assert found.dice.low == found.dice.high == pytest.approx(10 / 12)
    nothing = seg.bootstrap([[0, 0, 0, 16], [0, 0, 0, 16]], ["a", "b"])
    assert nothing is not None
    assert (nothing.dice.low, nothing.dice.left_out) == (None, seg.REPLICATES)


@pytest.mark.parametrize(
    ("truth", "found", "structure", "message"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 5), np.uint8), "ggo", "two shapes"),
        (
            np.zeros((2, 4, 4), np.uint8),
            np.full((2, 4, 4), 4, np.uint8),
            "ggo",
            "unknown values; found 4 to 4",
        ),
        (np.zeros((2, 4, 4)), np.zeros((2, 4, 4), np.uint8), "ggo", "true label maps of a wrong kind"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "ggo", "wrong kind"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8), "effusion", "no structure 'effusion'"),
    ],
)
def test_bad_maps(truth, found, structure, message) -> None:
    with pytest.raises(MetricError, match=message):
        seg.counts(truth, found, structure)


def test_bad_counts() -> None:
    for wrong in ([[1, 2, 3]], [[1, 2, 3, -1]], np.zeros((0, 4), np.int64), [[0.5, 1, 1, 1]]):
        with pytest.raises(MetricError, match="counts of a wrong kind"):
            seg.scores(wrong)
    with pytest.raises(MetricError, match="patients of other slices"):
        seg.evaluate([[1, 1, 1, 1]], ["a", "b"])
    with pytest.raises(MetricError, match="parts that cannot be made"):
        seg.parts(0)
