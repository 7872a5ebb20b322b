"""Weights on disk: written, found, verified, refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, UnknownName, WeightsError
from covid_synth_data.generators import noise, weights
from covid_synth_data.generators.trained import Sampler, Translator, load_file
from tests.support import sampler_weights


@pytest.fixture
def released(tmp_path):
    torch.manual_seed(0)
    network = generators.build("cyclegan-unet", width=4)
    card = {
        "name": "cyclegan-unet.test",
        "architecture": "cyclegan-unet",
        "options": {"width": 4},
        "size": 32,
        "source_class": "normal",
        "target_class": "covid-19",
        "licences": ["CC0"],
        "training": {},
        "package_version": "0",
    }
    path = tmp_path / "weights" / "test.safetensors"
    weights.save(path, network.state_dict(), card)
    return path


def test_load_and_translate(released, tmp_path):
    assert generators.list(tmp_path) == ["cyclegan-unet.test"]
    translator = generators.load("cyclegan-unet.test", root=tmp_path, device="cpu")
    films = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    made = translator.translate(films, batch_size=2)
    assert made.shape == films.shape
    assert made.dtype == np.uint8
    assert np.array_equal(made[2:4], translator.translate(films[2:4], batch_size=2))
    assert translator.translate(films[:0]).shape == (0, 32, 32)


def test_weights_are_half_precision_on_disk(released):
    tensors, _ = weights.read(released)
    assert released.stat().st_size < 1.2 * 2 * sum(value.numel() for value in tensors.values()) + 8000
    assert all(value.dtype == torch.float32 for value in tensors.values())


def test_an_unknown_name_says_what_is_there(released, tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'cyclegan-unet.test'"):
        generators.load("cyclegan-unet.tset", root=tmp_path)


def test_a_flipped_byte_is_refused(released):
    content = bytearray(released.read_bytes())
    content[-1] ^= 1
    released.write_bytes(content)
    with pytest.raises(WeightsError, match="is not the file that its card describes"):
        load_file(released)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(WeightsError, match="expected .safetensors"):
        load_file(path)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_network_are_refused(released):
    card = json.loads(released.with_suffix(".json").read_text())
    card["options"] = {"width": 8}
    released.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="does not fit the network"):
        load_file(released)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 3}'])
def test_a_bad_card_is_named(released, text):
    released.with_suffix(".json").write_text(text)
    with pytest.raises(WeightsError, match="card"):
        load_file(released)


def test_bad_films_and_devices(released, tmp_path):
    translator = load_file(released, "cpu")
    with pytest.raises(ConfigError, match="uint8"):
        translator.translate(np.zeros((1, 32, 32), np.float32))
    with pytest.raises(ConfigError, match="no device 'abacus'"):
        load_file(released, "abacus")


# --- generators that start from noise -----------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A release folder with a translator's neighbours: one sampler of one class, one of three."""
    root = tmp_path_factory.mktemp("samplers")
    sampler_weights(root / "weights" / "dcgan.safetensors")
    sampler_weights(root / "weights" / "diffaug.safetensors", "diffaug-gan")
    return root


@pytest.fixture(scope="module")
def plain(folder):
    return generators.load("dcgan.test", root=folder, device="cpu")


@pytest.fixture(scope="module")
def conditional(folder):
    return generators.load("diffaug-gan.test", root=folder, device="cpu")


def test_samples_are_films_that_differ(plain, conditional):
    for sampler, size in ((plain, 96), (conditional, 32)):
        made = sampler.sample(20, seed=0)
        assert (made.shape, made.dtype) == ((20, size, size), np.uint8)
        assert len(np.unique(made.reshape(20, -1), axis=0)) == 20
        assert not np.array_equal(made, sampler.sample(20, seed=1))
        assert sampler.sample(0).shape == (0, size, size)


@pytest.mark.parametrize("which", ["plain", "conditional"])
def test_image_i_depends_on_seed_and_i_alone(which, request):
    """Bit for bit, whatever n and start: across the blocks that they are made in."""
    sampler = request.getfixturevalue(which)
    many = sampler.sample(40, seed=3)
    for start, n in ((0, 1), (0, 16), (7, 1), (15, 2), (16, 16), (31, 9), (39, 1), (5, 30)):
        assert np.array_equal(sampler.sample(n, seed=3, start=start), many[start : start + n])
    parts = [part.cpu().numpy() for part in sampler.blocks(10, 35, seed=3)]
    assert [len(part) for part in parts] == [6, 16, 3]
    assert np.array_equal(np.concatenate(parts), many[10:35])


def test_a_sample_leaves_the_global_random_state_and_needs_none(plain):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = plain.sample(3, seed=9)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert np.array_equal(plain.sample(3, seed=9), first)


def test_the_noise_of_an_image_is_its_own():
    for kind in ("normal", "uniform"):
        drawn = np.stack([noise.noise(kind, 500, 0, i) for i in range(20)])
        assert (drawn.dtype, drawn.shape) == (np.float32, (20, 500))
        assert np.abs(np.corrcoef(drawn) - np.eye(20)).max() < 0.2
        assert np.array_equal(noise.noise(kind, 500, 0, 7), drawn[7])
        assert not np.array_equal(noise.noise(kind, 500, 1, 7), drawn[7])
    assert 0 <= drawn.min() < drawn.max() < 1


def test_a_conditional_sampler_makes_the_classes_in_turn_or_the_one_asked_for(conditional):
    turns = conditional.sample(18, seed=2)
    for kind, label in enumerate(("normal", "pneumonia", "covid-19")):
        asked = conditional.sample(18, seed=2, label=label)
        same = [bool(np.array_equal(*pair)) for pair in zip(turns, asked, strict=True)]
        assert same == [i % 3 == kind for i in range(18)]
        assert [conditional.label_of(i) for i in range(kind, 9, 3)] == [label] * 3
        assert conditional.label_of(1, label) == label


def test_a_sampler_of_one_class_takes_its_own_name_only(plain):
    assert np.array_equal(plain.sample(2, label="covid-19"), plain.sample(2))
    assert plain.label_of(5) == "covid-19"
    with pytest.raises(UnknownName, match="class of dcgan.test 'normal'; expected one of covid-19"):
        plain.sample(2, label="normal")


def test_a_sampler_of_several_classes_at_once_says_no_class(tmp_path):
    sampler = load_file(sampler_weights(tmp_path / "mixed.safetensors", target_class=None), "cpu")
    assert sampler.label_of(0) is None
    with pytest.raises(UnknownName, match="class of dcgan.test 'normal'"):
        sampler.sample(1, label="normal")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": -1}, "no such n; found -1"),
        ({"n": 2, "start": -1}, "no such start; found -1"),
        ({"n": 1, "seed": -1}, "no such seed; found -1"),
        ({"n": 1, "seed": 0.5}, "no such seed; found 0.5"),
        ({"n": 1.5}, "no such n; found 1.5"),
        ({"n": 1, "seed": True}, "no such seed; found True"),
    ],
)
def test_numbers_that_are_none(plain, arguments, says):
    with pytest.raises(ConfigError, match=says):
        plain.sample(**arguments)


def test_an_unknown_label_says_which_there_are(conditional):
    with pytest.raises(UnknownName, match="class of diffaug-gan.test 'covid19'.*did you mean 'covid-19'"):
        conditional.sample(1, label="covid19")


def test_load_gives_what_the_card_says(folder, released):
    assert generators.list(folder) == ["dcgan.test", "diffaug-gan.test"]
    assert isinstance(generators.load("dcgan.test", root=folder, device="cpu"), Sampler)
    assert isinstance(generators.load("dcgan.test", root=folder / "weights", device="cpu"), Sampler)
    assert isinstance(load_file(released, "cpu"), Translator)


def test_a_card_of_before_there_were_samplers_is_still_read(released):
    """The weights of the first releases have no `kind` and no `classes`."""
    beside = released.with_suffix(".json")
    card = json.loads(beside.read_text())
    for key in ("kind", "classes"):
        del card[key]
    beside.write_text(json.dumps(card))
    assert weights.read_card(released).kind == "translator"
    assert isinstance(load_file(released, "cpu"), Translator)


def test_a_card_of_a_third_kind_is_refused(released):
    beside = released.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), "kind": "teller"}))
    with pytest.raises(WeightsError, match="card"):
        load_file(released)


def test_the_checksum_of_a_sampler_is_checked(tmp_path):
    path = sampler_weights(tmp_path / "dcgan.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is not the file that its card describes"):
        generators.load("dcgan.test", root=tmp_path, device="cpu")


def test_the_releases_of_a_checkout_are_searched(folder, tmp_path, monkeypatch):
    (tmp_path / "covid-synth-cxr").symlink_to(folder)
    monkeypatch.setattr("covid_synth_data.release.places.CHECKOUT", tmp_path)
    assert generators.list() == ["dcgan.test", "diffaug-gan.test"]
    assert generators.load("dcgan.test", device="cpu").card.name == "dcgan.test"
    with pytest.raises(UnknownName, match="did you mean 'dcgan.test'"):
        generators.load("dcgan.tset")
