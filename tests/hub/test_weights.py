"""Weights from a Hub over HTTP: found by the generator's name, fetched once, checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from covid_synth_data.generators import build as network
from covid_synth_data.generators import weights
from covid_synth_data.release import manifest, writing
from tests.hub.conftest import REPO
from tests.hub.releases import build

SAMPLE = """
import hashlib, json
from covid_synth_data import generators
sampler = generators.load({name!r}, root={root!r})
print(json.dumps(hashlib.sha256(sampler.sample(3).tobytes()).hexdigest()))
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with a small sampler among its weights."""
    folder = build(tmp_path_factory.mktemp("weights") / "covid-synth-cxr")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tensors = network("wgan", width=4).state_dict()
    card = {
        "name": "wgan.tiny",
        "kind": "sampler",
        "architecture": "wgan",
        "options": {"width": 4},
        "size": 96,
        "target_class": "covid-19",
        "licences": ["CC0 1.0"],
        "training": {},
        "package_version": "0",
    }
    names = [f"weights/{stem}.{kind}" for stem in ("nc", "tiny") for kind in ("safetensors", "json")]
    weights.save(folder / "weights" / "nc.safetensors", tensors, card | {"name": "wgan.nc"})
    weights.save(folder / "weights" / "tiny.safetensors", tensors, card)
    listed = manifest.read(folder)
    kept = [file for file in listed.files if file.path not in names]
    new = [writing.entry(folder, name) for name in names]
    manifest.write(folder, listed.model_copy(update={"files": [*kept, *new]}))
    return folder


def test_a_sampler_is_found_by_name_and_fetched_once(hub, client, released):
    client.generation("publish", released, "--repo", REPO).ok()
    code = SAMPLE.format(name="wgan.tiny", root=f"{REPO}@v1.0.0")
    first = client.python(code).value
    here = client.python(SAMPLE.format(name="wgan.tiny", root=str(released))).value
    assert first == here
    hub.log.clear()
    assert client.python(code).value == first
    assert not [line for line in hub.log if "/resolve/" in line]


def test_a_misspelt_name_and_a_missing_version_are_one_line(hub, client, released):
    client.generation("publish", released, "--repo", REPO).ok()
    sample = "from covid_synth_data.cli import main; import sys; sys.argv = {arguments}; main()"
    wrong = ["covid-synth", "sample", "wgan.tyni", "--release", f"{REPO}@v1.0.0", "-o", "out"]
    assert "did you mean 'wgan.tiny'" in client.python(sample.format(arguments=wrong)).error
    wrong = ["covid-synth", "sample", "wgan.tiny", "--release", f"{REPO}@v9.9.9", "-o", "out"]
    assert "has no version 9.9.9" in client.python(sample.format(arguments=wrong)).error
