"""Recipes: the shipped ones are valid, wrong ones are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from covid_synth_data import catalog
from covid_synth_data.errors import ConfigError, UnknownName
from generation.recipe import SliceData, load_recipe

RECIPES = sorted((Path(__file__).resolve().parents[2] / "generation" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem or recipe.name == path.stem.removeprefix("cyclegan-")
    baseline_of_ct = isinstance(recipe.data, SliceData) and not path.stem.startswith("ct-")
    if "pretraining" in path.stem or baseline_of_ct:
        assert recipe.release is None
        return
    assert recipe.release is not None
    assert any(
        entry.dataset == recipe.release.dataset and recipe.release.subset in entry.subsets
        for entry in catalog.DATASETS
    )


@pytest.mark.parametrize(("name", "count"), [("cyclegan-nc", 16_537), ("cyclegan-pc", 4_758)])
def test_the_papers_schedule(name, count):
    recipe = load_recipe(next(path for path in RECIPES if path.stem == name))
    schedule = recipe.training
    assert (schedule.epochs, schedule.batch_size, schedule.learning_rate, schedule.beta1) == (
        100,
        16,
        2e-4,
        0.5,
    )
    assert (recipe.data.per_domain, recipe.data.size, recipe.release.count) == (180, 256, count)
    assert (recipe.losses.cycle, recipe.losses.identity, schedule.flip) == (10, 1, False)
    assert recipe.data.licences == "permissive"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("epochs = 3", "epoch = 3", "unknown key 'training.epoch'.*did you mean 'epochs'"),
        ("epochs = 3", "epochs = '3'", "wrong value for 'training.epochs'.*found '3'"),
        ("epochs = 3", "epochs = 0", "wrong value for 'training.epochs'"),
        ("epochs = 3\n", "", "wrong value for 'training'.*exactly one of epochs and steps"),
        ("size = 32\nper", "size = 40\nper", "wrong value for 'data.size'"),
        ('subset = "gnc"', 'subset = "../gnc"', "wrong value for 'release.subset'"),
        ('folder = "cyclegan"', 'folder = "/tmp"', "wrong value for 'release.folder'"),
        ('version = "0.0.1"', 'version = "1"', "wrong value for 'release.version'"),
        ('name = "tiny"', 'name = "../tiny"', "wrong value for 'name'"),
        ("seed = 3", "seed = -3", "wrong value for 'seed'"),
        ('generator = "cyclegan-unet"', 'generator = "unet"', "wrong value for 'network.generator'"),
        ("[training]", "[training", "not valid TOML"),
        ('codec = "png"', 'codec = "gif"', "wrong value for 'release.codec'"),
    ],
)
def test_a_wrong_recipe_is_one_line(recipe_file, tmp_path, old, new, says):
    text = recipe_file.read_text()
    assert old in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=says) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)
    assert "wrong.toml" in str(caught.value)


def test_unknown_family_and_missing_file(recipe_file, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(recipe_file.read_text().replace('family = "cyclegan"', 'family = "cyclgan"'))
    with pytest.raises(UnknownName, match="did you mean 'cyclegan'"):
        load_recipe(path)
    with pytest.raises(ConfigError, match=r"no recipe .*expected one of wrong\.toml"):
        load_recipe(tmp_path / "none.toml")
