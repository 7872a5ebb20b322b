"""A network of timm by name: weights from a file, what results say, and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.classifiers import own, timm_probe
from covid_synth_data.errors import UnknownName, WeightsError

timm = pytest.importorskip("timm", reason="the extra [benchmark] is not installed")

NAME = "test_resnet.r160_in1k"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of timm's smallest network in a file, as the Hub would give them."""
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = timm.create_model(NAME.partition(".")[0], pretrained=False)
    path = tmp_path / f"{NAME}.safetensors"
    save_file(model.state_dict(), path)
    monkeypatch.setenv(timm_probe.ENVIRONMENT, str(tmp_path))
    monkeypatch.setattr(timm_probe, "_KEPT", {})
    timm_probe._loaded.cache_clear()
    yield path
    timm_probe._loaded.cache_clear()


def films(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose positives are striped."""
    random = np.random.default_rng(1)
    labels = np.arange(count) % 2
    pixels = random.integers(80, 120, (count, 64, 64), dtype=np.uint8)
    pixels[labels == 1, ::4] += 90
    return pixels, labels


def test_a_linear_layer_on_its_features_learns(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = films(40)
    estimator = own.build(f"timm:{NAME}", seed=0)
    estimator.fit(pixels[:20], labels[:20], np.ones(20, np.float32))
    found = own.probabilities(estimator, pixels[20:], 2, "timm")
    assert ((found[:, 1] > 0.5) == (labels[20:] == 1)).mean() > 0.9
    assert estimator.features(pixels).shape == (40, estimator.model.num_features)

    def never(films: np.ndarray) -> np.ndarray:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(estimator, "_run", never)
    assert np.array_equal(own.probabilities(estimator, pixels[20:], 2, "timm"), found)


def test_a_weight_of_zero_is_a_film_left_out(weights: Path) -> None:
    pixels, labels = films(24)
    kept = own.build(f"timm:{NAME}", seed=0)
    kept.fit(pixels[:12], labels[:12], np.ones(12, np.float32))
    wrong = np.r_[np.ones(12), np.zeros(12)].astype(np.float32)
    weighted = own.build(f"timm:{NAME}", seed=0)
    weighted.fit(pixels, np.r_[labels[:12], 1 - labels[12:]], wrong)
    assert (weighted.predict_proba(pixels[12:])[:, 1] > 0.5).tolist() == (labels[12:] == 1).tolist()


def test_results_say_which_weights(weights: Path) -> None:
    name, origin = own.named(f"timm:{NAME}")
    assert (name, origin) == ("timm.test_resnet.r160_in1k", f"timm:{NAME}")
    first = own.origin_of(origin)
    assert first.origin == origin
    import safetensors.torch as files

    state = files.load_file(weights)
    state["conv1.0.weight" if "conv1.0.weight" in state else next(iter(state))] += 1
    files.save_file(state, weights)
    timm_probe._loaded.cache_clear()
    assert own.origin_of(origin).sha256 != first.sha256


def test_mistakes(weights: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'test_resnet.r160_in1k'"):
        own.factory("timm:test_resnet.r160_in1")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be loaded.*COVID_SYNTH_TIMM"):
        own.build(f"timm:{NAME}", seed=0)
