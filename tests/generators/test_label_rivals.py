"""pix2pix, pix2pixHD, SPADE, SEAN and the discriminators: shapes, sizes, styles, and life without MONAI."""

from __future__ import annotations

import sys

import pytest
import torch

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, MissingExtra
from covid_synth_data.generators.label_maps import BLACK, reduce
from covid_synth_data.generators.patch import MonaiPatch, MultiResolution, PatchDiscriminator
from covid_synth_data.generators.pix2pix import Pix2PixGenerator
from tests.generators.network_checks import alone_as_together, trained_count
from tests.generators.test_ct_global_local import maps_of

TINY = {
    "pix2pix": {"width": 2, "depth": 4},
    "pix2pixhd": {"width": 2, "blocks": 1},
    "spade": {"width": 2, "levels": 3, "size": 64},
    "sean": {"width": 2, "levels": 3, "style": 4, "size": 64},
}
MILLIONS = {"pix2pix": 41.8, "pix2pixhd": 182.8, "spade": 21.7, "sean": 21.0}


def tiny(name: str):
    torch.manual_seed(2)
    return generators.build(name, **TINY[name]).eval()


def noise_of(network, count: int) -> list[torch.Tensor]:
    return [torch.randn(count, network.latent, generator=torch.manual_seed(0))] if network.latent else []


@pytest.mark.parametrize("name", TINY)
def test_shape_range_and_black_background(name):
    network, maps = tiny(name), maps_of(2, 64)
    with torch.no_grad():
        made = network(maps, *noise_of(network, 2))
    assert made.shape == (2, 1, 64, 64)
    assert made.abs().max() <= 1
    assert (made[maps[:, :1] > 0.5] == BLACK).all()
    assert made[maps[:, :1] < 0.5].std() > 0


@pytest.mark.parametrize("name", TINY)
def test_a_slice_depends_on_its_map_and_noise_alone(name):
    network = tiny(name)
    alone_as_together(network, maps_of(3, 64), *noise_of(network, 3))


@pytest.mark.parametrize("name", TINY)
def test_sizes(name):
    with torch.device("meta"):
        network = generators.build(name)
    assert round(trained_count(network) / 1e6, 1) == MILLIONS[name]


@pytest.mark.parametrize("name", TINY)
def test_maps_of_another_size_are_one_line(name):
    with pytest.raises(ConfigError, match="expected"):
        tiny(name)(torch.zeros(1, 4, 40, 40))


@pytest.mark.parametrize("name", ["spade", "sean"])
def test_without_monai_the_extra_is_named(name, monkeypatch):
    for module in [key for key in sys.modules if key.split(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(MissingExtra, match=r"extra \[ct\]"):
        generators.build(name, **TINY[name])
    with pytest.raises(MissingExtra, match=r"extra \[ct\]"):
        MonaiPatch(2)
    assert generators.build("ct-global-local", width=2, blocks=1)(maps_of(1)).shape == (1, 1, 32, 32)


def test_dropout_of_pix2pix_is_in_training_alone():
    network, maps = Pix2PixGenerator(2, 4), maps_of(1, 64)
    torch.manual_seed(0)
    assert not torch.equal(network.train()(maps), network(maps))
    network.eval()
    assert torch.equal(network(maps), network(maps))


def test_sean_draws_a_slice_in_its_styles_and_remembers_them():
    network, maps = tiny("sean").train(), maps_of(2, 64)
    image = torch.rand(2, 1, 64, 64) * 2 - 1
    before = network.style_mean.clone()
    styles = network.encoder(image, maps)
    made = network(maps, image=image)
    assert torch.allclose(network.style_mean, before + 0.02 * (styles.mean(0) - before), atol=1e-6)
    assert not torch.allclose(made, network(maps, image=-image), atol=1e-4)
    network.eval()
    kept = network.style_mean.clone()
    network(maps, image=image)
    assert torch.equal(network.style_mean, kept)
    with pytest.raises(ConfigError, match="noise"):
        network(maps)


def test_a_style_is_the_mean_over_its_region():
    network = tiny("sean")
    maps = torch.zeros(1, 4, 64, 64)
    maps[:, 1, :, :32], maps[:, 2, :, 32:] = 1, 1
    image = torch.rand(1, 1, 64, 64)
    features = network.encoder.layers(image)
    styles = network.encoder(image, maps)[0]
    assert torch.allclose(styles[1], features[0, :, :, : features.shape[3] // 2].mean((1, 2)), atol=1e-6)
    assert styles[[0, 3]].abs().max() == 0


@pytest.mark.parametrize("patch", [PatchDiscriminator, MonaiPatch])
def test_patch_discriminators_see_70_pixels(patch):
    torch.manual_seed(0)
    network = patch(2).eval()
    x = torch.randn(1, 5, 128, 128, requires_grad=True)
    scores, features = network(x)
    assert scores.shape == (1, 1, 14, 14)
    assert [tuple(f.shape[1:]) for f in features] == [(2, 64, 64), (4, 32, 32), (8, 16, 16)]
    # Norms look at the whole image; without them the field is what the convolutions see.
    for layer in network.modules():
        if isinstance(layer, torch.nn.InstanceNorm2d):
            layer.forward = lambda y: y
    network(x)[0][0, 0, 7, 7].backward()
    seen = x.grad[0].abs().sum(0) > 0
    assert [int(seen.any(axis).sum()) for axis in (0, 1)] == [70, 70]


def test_the_papers_discriminator_has_its_size():
    convs = sum(16 * i * o + o for i, o in [(5, 64), (64, 128), (128, 256), (256, 512), (512, 1)])
    assert trained_count(PatchDiscriminator(64)) == convs + 2 * (128 + 256 + 512)


def test_resolutions():
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, pair):
            seen.append(pair)
            return pair, [pair]

    network, maps = MultiResolution(2, Spy), maps_of(1, 64)
    image = torch.randn(1, 1, 64, 64)
    network(maps, image)
    assert torch.equal(seen[0], torch.cat([maps, image], 1))
    assert torch.equal(seen[1], torch.cat([reduce(maps, 1), torch.nn.functional.avg_pool2d(image, 2)], 1))
    seen.clear()
    network(reduce(maps, 1), image[..., ::2, ::2], first=1)
    assert [tuple(pair.shape) for pair in seen] == [(1, 5, 32, 32)]
    seen.clear()
    network(reduce(maps, 1), image[..., ::2, ::2], first=2)
    assert [tuple(pair.shape) for pair in seen] == [(1, 5, 32, 32)]
    with pytest.raises(ConfigError, match="found 16 pixels a side"):
        network(reduce(maps, 1), image[..., ::2, ::2], first=0)
