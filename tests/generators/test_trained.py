"""Weights on disk: written, found, verified, refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from covid_synth_data import generators
from covid_synth_data.errors import ConfigError, UnknownName, WeightsError
from covid_synth_data.generators import weights
from covid_synth_data.generators.trained import load_file


@pytest.fixture
def released(tmp_path):
    torch.manual_seed(0)
    network = generators.build("cyclegan-unet", width=4)
    card = {
        "name": "cyclegan-unet.test", "architecture": "cyclegan-unet", "options": {"width": 4}, "size": 32,
        "source_class": "normal", "target_class": "covid-19", "licences": ["CC0"], "training": {},
        "package_version": "0",
    }  # fmt: skip
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
    with pytest.raises(ConfigError, match="cannot be used"):
        load_file(released, "abacus")
