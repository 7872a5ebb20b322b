"""The metrics of the audit: known answers, agreement with scikit-learn and torchmetrics, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import copies, diversity, fidelity, intervals, manifold, neighbours, privacy


def rows(n: int, d: int = 16, seed: int = 0, at: float = 0.0) -> np.ndarray:
    return np.random.default_rng([7, seed]).normal(at, 1, (n, d)).astype(np.float32)


def names(n: int, each: int = 1, name: str = "p") -> list[str]:
    return [f"{name}{i // each}" for i in range(n)]


# Neighbours


@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_are_those_of_scikit_learn(k, monkeypatch):
    monkeypatch.setattr(neighbours, "_QUERIES", 17)
    monkeypatch.setattr(neighbours, "_REFERENCES", 29)
    queries, references = rows(60), rows(100, seed=1, at=40.0)
    distances, expected = (
        NearestNeighbors(algorithm="brute").fit(references.astype(float)).kneighbors(queries, k)
    )
    found = neighbours.nearest(queries, references, k)
    np.testing.assert_array_equal(found.rows, expected)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)


def test_a_copy_is_at_distance_0_far_from_the_origin():
    references = rows(50, at=1000.0)
    found = neighbours.nearest(references[::-1], references)
    assert (found.distances == 0).all()
    assert (found.rows[:, 0] == np.arange(50)[::-1]).all()


@pytest.mark.parametrize("limits", [16.0, np.linspace(4, 40, 90)])
def test_balls_are_counted_in_blocks_as_one_by_one(limits, monkeypatch):
    monkeypatch.setattr(neighbours, "_QUERIES", 7)
    monkeypatch.setattr(neighbours, "_CENTRES", 13)
    queries, centres = (rows(n, 16, seed).astype(np.float32) for n, seed in ((50, 1), (90, 2)))
    squared = ((queries[:, None].astype(float) - centres[None]) ** 2).sum(axis=2)
    expected = (squared <= limits).sum(axis=1)
    assert neighbours.counts_within(queries, centres, limits).tolist() == expected.tolist()
    assert 0 < expected.sum() < 50 * 90


def test_own_row_and_own_group_are_passed_over():
    references = np.repeat(rows(10), 2, axis=0)
    groups = np.repeat(np.arange(10), 2)
    assert (neighbours.nearest(references, references, same=True).distances == 0).all()
    apart = neighbours.nearest(references, references, query_groups=groups, reference_groups=groups)
    assert (apart.distances > 0.1).all()
    assert (groups[apart.rows[:, 0]] != groups).all()


def test_a_query_without_another_group_has_no_neighbour():
    one = np.zeros(4)
    found = neighbours.nearest(rows(4), rows(4), query_groups=one, reference_groups=one)
    assert np.isinf(found.distances).all()
    assert (found.rows == -1).all()


# Intervals


def test_the_interval_of_a_mean_holds_the_mean_about_95_times_in_100():
    random = np.random.default_rng(3)
    inside = 0
    for seed in range(100):
        centres = random.normal(size=40)
        values = np.repeat(centres, 3) + random.normal(0, 0.1, 120)
        found = intervals.mean(values, names(120, 3), seed=seed)
        inside += found.low <= 0 <= found.high
    assert 85 <= inside <= 100


def test_the_jackknife_of_a_mean_is_about_its_standard_error():
    values = rows(400, 1, seed=5)
    found = intervals.jackknife(lambda x: float(x.mean()), [values], [names(400)], parts=20)
    assert (found.high - found.low) / 2 == pytest.approx(2.1 * values.std() / 20, rel=0.5)


# Fidelity


def test_frechet_and_kernel_distance_are_those_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid")
    kid = pytest.importorskip("torchmetrics.image.kid")
    first, second = rows(80, 6).astype(float), rows(90, 6, seed=1, at=0.5).astype(float)
    means = [torch.from_numpy(x.mean(axis=0)) for x in (first, second)]
    spreads = [torch.from_numpy(np.cov(x.T)) for x in (first, second)]
    expected = fid._compute_fid(means[0], spreads[0], means[1], spreads[1])
    assert fidelity.frechet_distance(first, second) == pytest.approx(float(expected), rel=1e-6)
    same = second[:80]
    expected = kid.poly_mmd(torch.from_numpy(first), torch.from_numpy(same))
    found = fidelity.kernel_distance_between_groups(first, same, names(80), names(80))
    assert found.value == pytest.approx(float(expected), rel=1e-9)
    assert fidelity.kernel_distance(first, same, subsets=1, size=80).value == pytest.approx(found.value)


def test_the_kernel_interval_holds_0_for_one_distribution_and_not_for_two():
    first, near, far = rows(200, 8), rows(200, 8, seed=2), rows(200, 8, seed=3, at=0.7)
    same = fidelity.kernel_distance_between_groups(first, near, names(200), names(200))
    other = fidelity.kernel_distance_between_groups(first, far, names(200), names(200))
    assert same.low < 0 < same.high < other.low


def test_identical_sets_have_precision_recall_and_coverage_1():
    real = rows(60, at=100.0)
    found = manifold.measure(real, real[::-1]).values()
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert fidelity.frechet_distance(real, real) == pytest.approx(0, abs=1e-3)


def test_distant_sets_have_none_of_it():
    assert set(manifold.measure(rows(40), rows(50, at=50.0)).values().values()) == {0.0}


def test_a_collapsed_set_is_precise_and_covers_little():
    real = rows(100, 4)
    found = manifold.measure(real, real[:1] + 0.01 * rows(80, 4, seed=9)).values()
    assert found["precision"] > 0.9
    assert found["recall"] < 0.2
    assert found["coverage"] < 0.3


def test_manifold_by_a_plain_loop():
    real, fake, k = rows(25, 3), rows(30, 3, seed=1), 3
    between = np.linalg.norm(real[:, None] - fake[None], axis=2)
    inner = [np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, k] for x in (real, fake)]
    found = manifold.measure(real, fake, k).values()
    held = between <= inner[0][:, None]
    assert found["precision"] == held.any(axis=0).mean()
    assert found["recall"] == (between <= inner[1][None]).any(axis=1).mean()
    assert found["density"] == pytest.approx(held.sum(axis=0).mean() / k)
    assert found["coverage"] == held.any(axis=1).mean()


# Diversity


def test_the_vendi_score_counts_different_films():
    assert diversity.vendi_score(np.eye(12)) == pytest.approx(12)
    assert diversity.vendi_score(np.ones((30, 5))) == pytest.approx(1)
    assert diversity.vendi_score(np.repeat(np.eye(4), 25, axis=0)) == pytest.approx(4)
    with pytest.raises(MetricError, match="length 0"):
        diversity.vendi_score(np.zeros((3, 2)))


def test_pairs_of_one_picture_are_alike_and_of_noise_are_not():
    picture = np.tile(np.arange(32, dtype=np.uint8) * 8, (6, 32, 1))
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32), dtype=np.uint8)
    assert diversity.pair_similarity(picture, pairs=10) == pytest.approx(1)
    assert diversity.pair_similarity(noise, pairs=10).max() < 0.3


# Copies


def test_copies_stand_beyond_the_threshold_and_other_films_do_not():
    train, held_out = rows(200), rows(200, seed=1)
    fresh, copied = rows(300, seed=2), train[:150] + 0.001
    at = neighbours.nearest(held_out, train).distances[:, 0]
    for made, low, high in ((fresh, 0.0, 0.05), (copied, 1.0, 1.0)):
        found = copies.beyond_threshold(neighbours.nearest(made, train).distances[:, 0], at)
        assert low <= found.made.value <= high
        assert found.held_out.value <= 0.01
    with pytest.raises(MetricError, match="too few held-out films.*at least 100"):
        copies.beyond_threshold(at, at[:99])
    likeness = copies.beyond_threshold(-at, -at, above=True)
    assert likeness.made.value <= 0.01


def test_authenticity_and_ct_tell_copies():
    train, held_out = rows(200), rows(200, seed=1)
    fresh, copied = rows(200, seed=2), train[:200] + 0.001
    assert copies.authentic(train, copied).mean() == 0
    assert copies.authentic(train, fresh).mean() > 0.3
    far = neighbours.nearest(held_out, train).distances[:, 0]
    scores = [copies.ct_score(neighbours.nearest(x, train).distances[:, 0], far) for x in (fresh, copied)]
    assert abs(scores[0]) < 3
    assert scores[1] < -10


def test_authenticity_passes_over_films_of_the_same_patient():
    train = np.repeat(rows(50), 2, axis=0) + 0.001 * rows(100, seed=3)
    near = train[::2] + 0.1 * rows(50, seed=4)
    patients = np.repeat(np.arange(50), 2)
    assert copies.authentic(train, near).mean() == 1
    assert copies.authentic(train, near, patients).mean() == 0


def test_cells_of_ct():
    values = np.arange(20.0)
    cells = np.repeat([0, 1], 10)
    assert copies.ct_score(values, values, cells, cells) == 0
    with pytest.raises(MetricError, match="no cell"):
        copies.ct_score(values, values, cells, cells + 5)


# Privacy


def test_reidentification_of_equal_films_and_of_unrelated_ones():
    gallery = rows(100)
    ids = np.arange(100)
    exact = privacy.ranks(gallery[:30] + 0.01, gallery, ids[:30], ids)
    assert (exact[0] == 1).all()
    found = privacy.top_k(*exact, 1, names(30))
    assert found.share.value == 1
    assert found.chance == pytest.approx(0.01)
    lost = privacy.ranks(rows(30, seed=4), gallery, ids[:30], ids)
    assert privacy.top_k(*lost, 10, names(30)).chance == pytest.approx(0.1)
    assert privacy.top_k(*lost, 10, names(30)).share.value < 0.4


def test_a_patient_is_found_by_another_film():
    patients = np.repeat(np.arange(20), 2)
    gallery = np.repeat(rows(20), 2, axis=0) + 0.01 * rows(40, seed=1)
    found = privacy.ranks(gallery, gallery, patients, patients, left_out=np.arange(40))
    assert (found[0] == 1).all()
    assert (found[1] == 1).all()
    assert (found[2] == 39).all()


def test_ties_count_against_the_attack():
    gallery = np.ones((5, 2))
    place, _, _ = privacy.ranks(gallery[:1], gallery, np.array([2]), np.arange(5))
    assert place[0] == 5


def test_an_answer_that_is_not_there():
    with pytest.raises(MetricError, match="not in the gallery; found 9"):
        privacy.ranks(rows(1), rows(3), np.array([9]), np.arange(3))


def test_members_that_were_copied_are_told_and_others_are_not():
    train, others = rows(120), rows(120, seed=1)
    for made, low, high in ((train[:100] + 0.05, 0.8, 1.0), (rows(100, seed=2), 0.3, 0.7)):
        inside, outside = privacy.attack_scores(train, made), privacy.attack_scores(others, made)
        for attack in ("nearest", "neighbours"):
            found = privacy.membership(
                inside[attack], outside[attack], names(120), names(120, name="q"), seed=1
            )
            assert low < found.value <= high, attack
        assert found.low < 0.5 < found.high or low == 0.8


def test_shuffled_members_are_a_guess():
    scores = np.random.default_rng(2).normal(size=300)
    found = privacy.membership(scores[:150], scores[150:], names(150), names(150, name="q"))
    assert found.low < 0.5 < found.high


# Bad input


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda x: manifold.measure(x[:4], x), "too few real films; found 4; expected at least 6"),
        (lambda x: manifold.measure(x, x[:, :3]), "different extractors"),
        (lambda x: neighbours.nearest(x[:0], x), "too few queries; found 0"),
        (lambda x: neighbours.nearest(x, x[:3], 4), "too few references for 4"),
        (lambda x: diversity.vendi_score(x * np.nan), "not finite; found 20 rows"),
        (lambda x: copies.ct_score([], [1.0]), "unusable distances of the made"),
        (lambda x: intervals.mean([], []), "without a mean"),
        (lambda x: fidelity.kernel_distance_between_groups(x, x, ["a"] * 20, names(20)), "no interval"),
        (lambda x: privacy.membership([np.nan], [0.0], ["a"], ["b"]), "not finite"),
    ],
)
def test_bad_input(measure, message):
    with pytest.raises(MetricError, match=message):
        measure(rows(20))


def test_ranks_by_likeness_are_those_by_distance():
    random = np.random.default_rng(3)
    gallery, queries = random.normal(size=(30, 8)), random.normal(size=(12, 8))
    answers, groups = np.arange(12), np.arange(30) % 15
    left_out = np.where(np.arange(12) % 2, np.arange(12), -1)
    squared = ((queries[:, None] - gallery[None]) ** 2).sum(axis=2)
    by_distance = privacy.ranks(queries, gallery, answers, groups, left_out)
    by_likeness = privacy.ranks_by_likeness(-squared, answers, groups, left_out)
    for first, second in zip(by_distance, by_likeness, strict=True):
        np.testing.assert_array_equal(first, second)
    with pytest.raises(MetricError, match="do not fit the queries"):
        privacy.ranks_by_likeness(squared[:5], answers, groups)
    with pytest.raises(MetricError, match="not finite"):
        privacy.ranks_by_likeness(np.full((12, 30), np.nan), answers, groups)
    with pytest.raises(MetricError, match="not in the gallery"):
        privacy.ranks_by_likeness(squared, answers + 99, groups)
