"""Image quality: PSNR, SSIM and RMSE of each slice against their formulas, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import fidelity
from covid_synth_data.metrics import image_quality as quality

pytest.importorskip("torchmetrics")


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    real = random.random((20, 24, 24)).astype(np.float32)  # more than one chunk
    return real, np.clip(real + random.normal(0, 0.05, real.shape), 0, 1).astype(np.float32)


def test_each_slice_by_its_formula(pair) -> None:
    real, fake = pair
    squared = ((real.astype(np.float64) - fake) ** 2).mean(axis=(1, 2))
    assert quality.rmse(real, fake) == pytest.approx(np.sqrt(squared), rel=1e-5)
    assert quality.psnr(real, fake) == pytest.approx(-10 * np.log10(squared), rel=1e-5)


def test_ssim_agrees_with_another_implementation(pair) -> None:
    skimage = pytest.importorskip("skimage.metrics")
    found = quality.ssim(*pair)
    for ours, real, fake in zip(found, *pair, strict=True):
        _, whole = skimage.structural_similarity(
            real,
            fake,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        # Beyond its border a slice is continued differently, and theirs leaves the border out of its mean.
        assert ours == pytest.approx(whole.mean(), abs=1e-3)
    assert (found < 1).all()


def test_what_does_not_differ(pair) -> None:
    real, _ = pair
    assert np.isinf(quality.psnr(real, real)).all()
    assert quality.ssim(real, real) == pytest.approx(np.ones(20))
    found = quality.evaluate(real, real)
    assert found.psnr == quality.Average(mean=None, deviation=None, n=0, left_out=20)
    assert (found.rmse.mean, found.rmse.n, found.fid, found.side) == (0.0, 20, None, 24)


def test_one_slice_is_measured_alone(pair) -> None:
    real, fake = pair
    for measure in (quality.psnr, quality.ssim, quality.rmse):
        assert measure(real, fake)[7] == pytest.approx(measure(real[7:8], fake[7:8])[0], rel=1e-5)


def test_the_distance_names_its_extractor() -> None:
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(30, 4)), random.normal(1, 1, (20, 4))
    found = quality.frechet(real, fake, "lite0-frozen")
    assert found.value == fidelity.frechet_distance(real, fake)
    assert (found.extractor, found.real, found.fake) == ("lite0-frozen", 30, 20)
    slices = np.zeros((2, 16, 16))
    assert quality.evaluate(slices, slices, found).fid == found


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((2, 16, 16)), np.zeros((3, 16, 16)), "two shapes"),
        (np.zeros((2, 16, 16)), np.full((2, 16, 16), 1.5), "made slices out of range"),
        (np.full((2, 16, 16), np.nan), np.zeros((2, 16, 16)), "real slices out of range"),
        (np.zeros((2, 16, 16), np.uint8), np.zeros((2, 16, 16)), "real slices of a wrong kind"),
    ],
)
def test_bad_slices(real, fake, message) -> None:
    for measure in (quality.psnr, quality.ssim, quality.rmse):
        with pytest.raises(MetricError, match=message):
            measure(real, fake)


def test_slices_too_small_for_a_window() -> None:
    with pytest.raises(MetricError, match="too small for SSIM"):
        quality.ssim(np.zeros((1, 8, 8)), np.zeros((1, 8, 8)))


def test_importing_the_module_needs_no_torch() -> None:
    code = "import sys; from covid_synth_data.metrics import image_quality; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
