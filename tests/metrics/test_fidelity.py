"""The fidelity metrics against closed forms, a plain matrix square root, hand sums and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import fidelity


def exactly(rows: int, mean, covariance, seed: int = 0):
    """Rows whose sample mean and unbiased covariance are exactly these."""
    draw = np.random.default_rng(seed).normal(size=(rows, len(mean)))
    draw -= draw.mean(axis=0)
    white = draw @ np.linalg.inv(np.linalg.cholesky(np.cov(draw.T, ddof=1))).T
    return white @ np.linalg.cholesky(np.asarray(covariance, float)).T + np.asarray(mean, float)


def plain(real, fake) -> float:
    """The formula as it is printed, with scipy's square root of a matrix."""
    a, b = np.cov(real.T), np.cov(fake.T)
    root = linalg.sqrtm(linalg.sqrtm(a) @ b @ linalg.sqrtm(a)).real
    return float(np.sum((real.mean(0) - fake.mean(0)) ** 2) + np.trace(a + b - 2 * root))


def test_frechet_of_two_gaussians_on_common_axes():
    # Diagonal covariances: the distance is |shift|^2 + the sum of (sigma1 - sigma2)^2.
    real = exactly(60, [0, 0, 0], np.diag([1.0, 4.0, 9.0]))
    fake = exactly(45, [3, 4, 0], np.diag([4.0, 4.0, 1.0]), seed=1)
    assert fidelity.frechet_distance(real, fake) == pytest.approx(25 + 1 + 0 + 4, abs=1e-9)


def test_frechet_of_covariances_that_do_not_commute():
    real = exactly(60, [0, 0], [[2.0, 1.0], [1.0, 3.0]])
    fake = exactly(60, [1, 0], [[1.0, -0.5], [-0.5, 2.0]], seed=1)
    assert fidelity.frechet_distance(real, fake) == pytest.approx(plain(real, fake), rel=1e-9)


def test_frechet_of_one_column_is_known_by_hand():
    # Means 2 and 5, unbiased variances 2 and 8: 9 + (sqrt 8 - sqrt 2)^2 = 11.
    assert fidelity.frechet_distance([[1], [3]], [[3], [7]]) == pytest.approx(11.0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 12), st.integers(0, 1000))
def test_frechet_is_a_distance_also_with_fewer_rows_than_columns(n, m, d, seed):
    random = np.random.default_rng(seed)
    real, fake = random.normal(size=(n, d)), random.normal(1, 2, size=(m, d))
    found = fidelity.frechet_distance(real, fake)
    assert found >= 0
    assert fidelity.frechet_distance(fake, real) == pytest.approx(found, rel=1e-9, abs=1e-9)
    assert fidelity.frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    assert fidelity.frechet_distance(real, real + 3) == pytest.approx(9 * d, rel=1e-9)
    turned = np.linalg.qr(random.normal(size=(d, d)))[0]
    assert fidelity.frechet_distance(real @ turned, fake @ turned) == pytest.approx(found, rel=1e-8, abs=1e-8)


def test_frechet_of_singular_covariances_keeps_its_digits():
    """Wide features of few films, on top of a large common offset, as real networks give them."""
    random = np.random.default_rng(2)
    real = (random.normal(size=(30, 400)) + 50).astype(np.float32)
    assert fidelity.frechet_distance(real, real[::-1]) < 1e-9
    repeated = np.repeat(real[:1], 5, axis=0)
    spread = np.var(real.astype(float), axis=0, ddof=1).sum()
    away = np.sum((real.astype(float).mean(0) - repeated[0].astype(float)) ** 2)
    assert fidelity.frechet_distance(real, repeated) == pytest.approx(spread + away, rel=1e-9)


def test_frechet_grows_with_what_is_done_to_the_films():
    real = np.random.default_rng(0).normal(size=(300, 20))
    other = np.random.default_rng(1).normal(size=(300, 20))
    noise = np.random.default_rng(2).normal(size=(300, 20))
    values = [fidelity.frechet_distance(real, other + strength * noise) for strength in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert values[3] > 5 * values[0]


def test_kernel_distance_is_the_u_statistic_pair_by_pair():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 3)), random.normal(0.5, 1, size=(5, 3))

    def kernel(x, y):
        return (float(x @ y) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(kernel(x[i], x[j]) for x in (a, b) for i, j in pairs if i != j) / 20
    across = sum(kernel(a[i], b[j]) for i, j in pairs) / 25
    found = fidelity.kernel_distance(a, b, subsets=3, size=5)
    assert found.value == pytest.approx(within - 2 * across, rel=1e-12)
    assert found.spread == pytest.approx(0, abs=1e-12)  # a subset of all rows is always the same
    assert (found.subsets, found.size) == (3, 5)


def test_kernel_distance_is_unbiased_and_finds_a_shift():
    random = np.random.default_rng(3)
    same = [
        fidelity.kernel_distance(random.normal(size=(40, 8)), random.normal(size=(30, 8)), subsets=20).value
        for _ in range(40)
    ]
    error = np.std(same) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 3 * error
    assert min(same) < 0 < max(same)
    real, fake = random.normal(size=(200, 8)), random.normal(0.7, 1, size=(200, 8))
    found = fidelity.kernel_distance(real, fake)
    assert found.size == 100
    assert found.value > 5 * found.spread > 0


def test_kernel_distance_is_seeded_and_symmetric_on_average():
    random = np.random.default_rng(4)
    real, fake = random.normal(size=(60, 4)), random.normal(1, 1, size=(50, 4))
    found = fidelity.kernel_distance(real, fake, seed=7)
    assert found == fidelity.kernel_distance(real, fake, seed=7)
    assert found != fidelity.kernel_distance(real, fake, seed=8)
    assert fidelity.kernel_distance(fake, real).value == pytest.approx(found.value, rel=0.1)


def test_diversity_is_the_mean_standard_deviation_of_the_pixels():
    films = np.random.default_rng(0).integers(0, 256, (150, 6, 5), dtype=np.uint8)
    assert fidelity.diversity(films) == pytest.approx(films.astype(float).std(axis=0).mean(), rel=1e-12)
    assert fidelity.diversity(np.array([[[0]], [[255]]], np.uint8)) == 127.5
    assert fidelity.diversity(np.repeat(films[:1], 100, axis=0)) == 0.0
    assert fidelity.diversity(films[np.random.default_rng(1).permutation(150)]) == fidelity.diversity(films)


def good(rows: int = 4, columns: int = 3):
    return np.random.default_rng(0).normal(size=(rows, columns))


@pytest.mark.parametrize("measure", [fidelity.frechet_distance, fidelity.kernel_distance])
@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (good(4, 2), "different extractors"),
        (good(1), "too few"),
        (good(0), "too few"),
        (good()[0], "wrong kind.*float64 \\(3,\\)"),
        (good(4, 3)[None], "wrong kind"),
        (good(4, 0), "wrong kind"),
        (good().astype(complex), "wrong kind"),
        ([["a", "b", "c"]] * 4, "wrong kind"),
        (np.where(np.eye(4, 3, -1) > 0, np.nan, 1.0), "not finite; found 3 rows, first row 1"),
        (np.where(np.eye(4, 3, -3) > 0, np.inf, 1.0), "not finite; found 1 rows, first row 3"),
    ],
)
def test_features_without_a_distance(measure, bad, text):
    with pytest.raises(MetricError, match=text):
        measure(good(), bad)
    with pytest.raises(MetricError, match=text):
        measure(bad, good())


def test_the_error_names_the_set():
    with pytest.raises(MetricError, match="fake films"):
        fidelity.frechet_distance(good(), np.full((3, 3), np.nan))


@pytest.mark.parametrize("options", [{"subsets": 0}, {"size": 1}, {"size": 5}])
def test_subsets_that_cannot_be_drawn(options):
    with pytest.raises(MetricError, match="cannot be drawn"):
        fidelity.kernel_distance(good(), good(9), **options)


@pytest.mark.parametrize(
    "films",
    [
        np.zeros((3, 4, 4)),
        np.zeros((3, 4), np.uint8),
        np.zeros((3, 1, 4, 4), np.uint8),
        np.zeros((3, 0, 4), np.uint8),
    ],
)
def test_films_of_a_wrong_kind(films):
    with pytest.raises(MetricError, match="wrong kind"):
        fidelity.diversity(films)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_films(count):
    with pytest.raises(MetricError, match="too few films"):
        fidelity.diversity(np.zeros((count, 4, 4), np.uint8))
