"""A release of a generator that starts from noise: its rows, the same bytes after a stop, made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, VersionExists, WeightsError
from covid_synth_data.generators.trained import load_file
from covid_synth_data.release import manifest
from generation.kinds.kind import maker_of
from generation.recipe import Recipe
from generation.releasing import build as releases
from generation.releasing.documents import dataset
from generation.releasing.documents.measured import Measured
from tests.generation.tiny import as_toml, content, recipe_of
from tests.support import tree

ROOT = Path(__file__).resolve().parents[3]
PHANTOM = next(info for info in csd.list_sources() if info.name == "phantom")


def make(recipe: Recipe, weights: Path, out: Path, progress=lambda *_: None) -> Path:
    return releases.release(recipe, maker_of(recipe, None, weights, "cpu"), out, None, progress)


@pytest.fixture(scope="module")
def noise_recipe() -> Recipe:
    return recipe_of("diffaug")


@pytest.fixture(scope="module")
def weights(finished) -> Path:
    return finished("diffaug").weights


@pytest.fixture(scope="module")
def released(noise_recipe, weights, tmp_path_factory) -> Path:
    return make(noise_recipe, weights, tmp_path_factory.mktemp("releases") / "covid-synth-cxr")


def test_layout(released):
    assert [name for name, data in tree(released).items() if data is not None] == [
        "LICENSE.md",
        "README.md",
        "croissant.json",
        *(f"diffaug-gan/diffaug-gan-{i:05d}-of-00003.parquet" for i in range(3)),
        "manifest.json",
        "weights/diffaug.json",
        "weights/diffaug.md",
        "weights/diffaug.safetensors",
    ]
    assert csd.verify(released).whole


def test_rows_say_that_they_come_from_noise(released):
    rows = datasets.load_dataset(str(released), "diffaug-gan", split="train")
    assert tuple(rows.features) == schema.SYNTHETIC_COLUMNS
    assert rows["variant"][:] == [f"noise:{i}" for i in range(20)]
    assert rows["image_id"][:] == [f"diffaug-gan-{i:05d}" for i in range(20)]
    for name in ("source_dataset", "source_id", "source_class"):
        assert rows.unique(name) == [None]
    assert rows.unique("source_license") == ["CC0 1.0"]
    assert (rows.unique("label"), rows.unique("seed")) == ([schema.COVID], [3])
    assert (rows.unique("subset"), rows.unique("generator")) == (["diffaug-gan"], ["diffaug-gan.tiny"])


def test_every_image_can_be_made_again_from_its_row(released):
    """The weights of the release, the seed, the index in `variant` and the class: bit for bit."""
    sampler = load_file(released / "weights" / "diffaug.safetensors", "cpu")
    for row in csd.load_dataset("covid-synth-cxr", "diffaug-gan", root=released):
        index = int(row["variant"].removeprefix("noise:"))
        again = sampler.sample(1, row["seed"], label=schema.LABELS[row["label"]], start=index)[0]
        assert np.array_equal(np.asarray(row["image"]), again)


def test_the_manifest_says_whom_the_generator_learned_from(released, weights):
    made = manifest.read(released).subsets["diffaug-gan"]
    card = json.loads(weights.with_suffix(".json").read_text())
    assert made.sources == {}
    assert made.learned_from.model_dump() == card["training"]["learned_from"]
    assert made.learned_from.films
    assert (made.rows, made.licences) == (20, ["CC0 1.0"])


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [3, 8, 13, 20])
def test_stopped_and_continued_gives_the_same_bytes(noise_recipe, weights, released, tmp_path, stop):
    def progress(done: int, total: int) -> None:
        if done >= stop:
            raise Stopped

    out = tmp_path / "covid-synth-cxr"
    with pytest.raises(Stopped):
        make(noise_recipe, weights, out, progress)
    assert not (out / "manifest.json").exists()
    make(noise_recipe, weights, out)
    assert tree(out) == tree(released)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == [out.name]


@pytest.mark.slow
def test_a_killed_process_goes_on(weights, released, tmp_path):
    """kill -9 once the first shard is there; the same command makes the same release."""
    (tmp_path / "diffaug.toml").write_text(as_toml(content("diffaug")))
    out = tmp_path / "covid-synth-cxr"
    script = f"""
import os, sys
from pathlib import Path
from generation.kinds.kind import maker_of
from generation.releasing import build
from generation.recipe import load_recipe
def progress(done, total):
    if done >= 10 and {"{kill}"}:
        os.kill(os.getpid(), 9)
recipe = load_recipe(Path({str(tmp_path / "diffaug.toml")!r}))
maker = maker_of(recipe, None, Path({str(weights)!r}), "cpu")
build.release(recipe, maker, Path({str(out)!r}), None, progress)
"""
    codes = [
        subprocess.run(
            [sys.executable, "-c", script.replace("{kill}", str(kill))],
            cwd=ROOT,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=120,
        ).returncode
        for kill in (True, False)
    ]
    assert codes == [-9, 0]
    assert tree(out) == tree(released)


def test_the_number_of_a_shard_does_not_change_an_image(weights, released, tmp_path):
    other = recipe_of("diffaug", release={"count": 9, "shard_rows": 5})
    rows = datasets.load_dataset(str(make(other, weights, tmp_path / "covid-synth-cxr")), split="train")
    whole = datasets.load_dataset(str(released), split="train")
    assert [np.asarray(one).tobytes() for one in rows["image"]] == [
        np.asarray(one).tobytes() for one in whole["image"][:9]
    ]


def test_a_second_family_joins_the_release(released, noise_recipe, finished, weights, tmp_path):
    out = make(noise_recipe, weights, tmp_path / "covid-synth-cxr")
    make(recipe_of("dcgan"), finished("dcgan").weights, out)
    assert csd.verify(out).rows == {"dcgan": 20, "diffaug-gan": 20}
    assert sorted(datasets.get_dataset_config_names(str(out))) == ["dcgan", "diffaug-gan"]
    assert datasets.load_dataset(str(out), "dcgan", split="train")[0]["image"].size == (96, 96)
    shards = {name: data for name, data in tree(released).items() if name.endswith(".parquet")}
    assert shards.items() <= tree(out).items()


def test_other_weights_or_another_class_are_refused(weights, released, finished, tmp_path):
    before = tree(released)
    with pytest.raises(VersionExists, match="another recipe, weights or films"):
        make(recipe_of("diffaug", seed=4), weights, released)
    assert tree(released) == before
    with pytest.raises(ConfigError, match="dcgan.tiny makes no normal; found covid-19"):
        make(recipe_of("dcgan", release={"label": "normal"}), finished("dcgan").weights, tmp_path / "one")
    mixed = recipe_of("pretraining", release=content("baseline")["release"])
    with pytest.raises(ConfigError, match="makes no covid-19; found several classes at once"):
        make(mixed, finished("pretraining").weights, tmp_path / "two")
    assert not list(tmp_path.iterdir())


def test_weights_of_the_other_kind_do_not_go_with_a_recipe(recipe, weights, tmp_path):
    with pytest.raises(WeightsError, match="does not go with this recipe.*found a sampler"):
        make(recipe, weights, tmp_path / "out")


def test_the_card_of_a_release_tells_translated_from_drawn(released, recipe):
    """What each subset was made from, and the works that its images come from."""
    listed = manifest.read(released)
    text = dataset.card(listed, Measured(), [], [])
    assert "each image was drawn from noise by a generator that learned from normal, pneumonia" in text
    assert "Zhao et al. 2020" in text
    assert "Zunair & Hamza" not in text
    assert text == (released / "README.md").read_text()
    films = manifest.SourceFilms(films=7, sha256="0" * 64)
    changes = {"sources": {"phantom": films}, "recipe": recipe.model_dump()}
    gnc = listed.subsets["diffaug-gan"].model_copy(update=changes)
    both = listed.model_copy(update={"subsets": {"gnc": gnc, **listed.subsets}})
    text = dataset.card(both, Measured(), [], [])
    assert "each image was drawn from noise" in text
    assert "Zunair & Hamza 2021, Synthesis" in text
