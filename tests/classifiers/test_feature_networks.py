"""Extractors whose weights are in no package: read from where their library keeps them, or named as absent.

The networks here have random weights, under the names and in the places of the real files.
"""

from __future__ import annotations

import builtins
import hashlib
import json

import numpy as np
import pytest
import torch

from covid_synth_data.audit.descriptors import Descriptors
from covid_synth_data.classifiers import feature_networks
from covid_synth_data.classifiers.extractor import Extractor
from covid_synth_data.errors import MissingExtra, UnknownName, WeightsError
from covid_synth_data.sources import phantom

FILMS = np.stack([phantom.draw("normal", 64, 0, patient, 1) for patient in range(3)])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Empty folders in place of torch's and of the Hub's cache."""
    import huggingface_hub.constants
    import huggingface_hub.file_download

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def save_inception(hub, monkeypatch) -> None:
    """The file of FID's Inception v3 with random weights; the code is told its name."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        # The library offers no network without a file.
        patch.setattr(torch.nn.Module, "load_state_dict", lambda self, state: None)
        patch.setattr(module.torch, "load", lambda path, **options: {})
        network = module.FeatureExtractorInceptionV3(
            "drawn", ["2048"], feature_extractor_weights_path="drawn"
        )
    folder = hub / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "drawn.pth")
    digest = hashlib.sha256((folder / "drawn.pth").read_bytes()).hexdigest()
    name = f"weights-inception-2015-12-05-{digest[:8]}.pth"
    (folder / "drawn.pth").rename(folder / name)
    monkeypatch.setattr(feature_networks, "INCEPTION_FILE", name)


def save_rad_dino(hub) -> None:
    """A small DINOv2 with random weights in the Hub's cache, as RAD-DINO."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42, patch_size=14
    )
    repository = hub / "hub" / "models--microsoft--rad-dino"
    folder = repository / "snapshots" / "abc"
    transformers.Dinov2Model(shape).save_pretrained(folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    settings = {"image_mean": [0.53, 0.53, 0.53], "image_std": [0.26, 0.26, 0.26]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def test_inception_gives_what_its_library_gives(hub, monkeypatch):
    save_inception(hub, monkeypatch)
    extract = Extractor("cpu", batch_size=2, network="inception-v3")
    assert (extract.name, extract.side, extract.width) == ("inception-v3/fid-2015-12-05/299", 299, 2048)
    features = extract(FILMS)
    assert features.shape == (3, 2048)
    large = np.stack([phantom.draw("normal", 299, 0, patient, 1) for patient in range(3)])
    path = hub / "torch" / "checkpoints" / feature_networks.INCEPTION_FILE
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("same", ["2048"], feature_extractor_weights_path=str(path))
    expected = network(torch.from_numpy(large).unsqueeze(1).expand(-1, 3, -1, -1))[0].numpy()
    np.testing.assert_allclose(extract(large), expected, rtol=1e-4, atol=1e-5)


def test_an_inception_file_of_another_content_is_refused(hub, monkeypatch):
    save_inception(hub, monkeypatch)
    path = hub / "torch" / "checkpoints" / feature_networks.INCEPTION_FILE
    path.write_bytes(b"not the weights")
    with pytest.raises(WeightsError, match="is damaged"):
        Extractor("cpu", network="inception-v3")


def test_rad_dino_gives_its_class_token_at_its_own_size(hub):
    save_rad_dino(hub)
    extract = Extractor("cpu", batch_size=2, network="rad-dino")
    assert (extract.name, extract.layer, extract.width) == ("rad-dino/hub/42", "class token", 24)
    from transformers import Dinov2Model

    network = Dinov2Model.from_pretrained(hub / "hub" / "models--microsoft--rad-dino" / "snapshots" / "abc")
    large = np.stack([phantom.draw("normal", 42, 0, patient, 1) for patient in range(3)])
    pixels = (torch.from_numpy(large).unsqueeze(1).float() / 255 - 0.53) / 0.26
    with torch.inference_mode():
        expected = network.eval()(pixel_values=pixels.expand(-1, 3, -1, -1)).last_hidden_state[:, 0]
    np.testing.assert_allclose(extract(large), expected.numpy(), atol=1e-4)


def test_an_audit_records_side_and_layer(hub, tmp_path):
    save_rad_dino(hub)
    descriptors = Descriptors(Extractor("cpu", network="rad-dino"), folder=tmp_path / "kept")
    assert (descriptors.side, descriptors.layer) == (42, "class token")


@pytest.mark.parametrize(
    ("network", "hint"), [("inception-v3", "torch-fidelity"), ("rad-dino", "hf download microsoft/rad-dino")]
)
def test_weights_that_are_not_here(hub, network, hint):
    pytest.importorskip("torch_fidelity")
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match="not on this machine") as caught:
        Extractor("cpu", network=network)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("network", "module"), [("inception-v3", "torch_fidelity"), ("rad-dino", "transformers")]
)
def test_without_the_extra(network, module, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"\[extractors\]"):
        Extractor("cpu", network=network)


def test_a_network_that_does_not_exist():
    with pytest.raises(UnknownName, match="did you mean 'inception-v3'"):
        Extractor("cpu", network="inception-v2")
