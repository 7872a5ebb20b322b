"""Pairs of a film and the same film with lesions: their rows, their release, made again exactly."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import datasets
import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import ConfigError, EmptySplit
from covid_synth_data.release import manifest
from generation.kinds.kind import maker_of
from generation.recipe import HostRecipe, family
from generation.releasing import build
from generation.releasing import reproduce as reproducing

COUNT, SIDE = 6, 64


def recipe_for(**release: object) -> HostRecipe:
    table = {"dataset": "covid-synth-cxr", "version": "0.0.1", "subset": "pairs", "folder": "pairs"}
    table |= {"count": COUNT, "codec": "png", "shard_rows": 8, "batch_size": 4, **release}
    data = {"sources": ["phantom"], "phantom": {"size": SIDE, "patients": 12}, "size": SIDE}
    content = {"name": "pairs", "family": "lesions", "seed": 2, "data": data, "release": table}
    model: type[HostRecipe] = family("lesions").Recipe
    return model.model_validate(content)


def paint(films, seed=0, pattern="covid-19", *, indices):
    """In place of the painter: a square whose place is drawn from (seed, index)."""
    made, maps, records = films.copy(), np.zeros_like(films), []
    for film, shown, index in zip(made, maps, indices, strict=True):
        left, top = np.random.default_rng([seed, index]).integers(8, 40, 2)
        film[top : top + 12, left : left + 12] = 255
        shown[top : top + 12, left : left + 12] = 255
        shown[top, left] = 1  # the least that counts as painted
        records.append(SimpleNamespace(pattern="ground-glass", extent=0.04, reason=""))
    return SimpleNamespace(films=made, maps=maps, records=tuple(records))


@pytest.fixture
def painter(monkeypatch):
    """The stand-in as `covid_synth_data.lesions`."""
    module = ModuleType("covid_synth_data.lesions")
    module.paint = paint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "covid_synth_data.lesions", module)
    monkeypatch.setattr(csd, "lesions", module, raising=False)
    return module


@pytest.fixture
def released(painter, tmp_path):
    recipe = recipe_for()
    return build.release(recipe, maker_of(recipe, None, None), tmp_path / "out", None, lambda *_: None)


def test_rows_come_in_pairs_of_a_film_and_the_same_film_with_lesions(released, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    assert csd.verify(released).whole
    rows = datasets.load_dataset(str(released), "pairs", split="train")
    assert rows.features == schema.features(schema.PAIR_COLUMNS)
    assert len(rows) == 2 * COUNT
    for number in range(COUNT):
        plain, ill = rows[2 * number], rows[2 * number + 1]
        assert plain["pair_id"] == ill["pair_id"] == f"pairs-{number:05d}"
        assert (plain["label"], ill["label"]) == (0, schema.COVID)
        assert plain["source_id"] == ill["source_id"]
        assert (plain["variant"], ill["variant"]) == ("full", f"lesions:{number}")
        assert (plain["pattern"], plain["extent"]) == ("", 0.0)
        assert (ill["pattern"], ill["extent"]) == ("ground-glass", 0.04)
        changed = np.asarray(plain["image"]) != np.asarray(ill["image"])
        assert changed.any()
        assert not changed[np.asarray(ill["mask"]) == 0].any()
        assert not np.asarray(plain["mask"]).any()
        assert set(np.unique(ill["mask"])) == {0, 17, 255}


def test_hosts_are_training_films(released):
    splits = csd.load_task("normal-vs-covid", sources=["phantom"], phantom={"size": SIDE, "patients": 12})
    used = set(csd.load_dataset("covid-synth-cxr", "pairs", root=released)["source_id"])
    assert used <= set(splits["train"]["source_id"])


def test_pairs_need_no_weights_and_are_made_again_exactly(released):
    subset = manifest.read(released).subsets["pairs"]
    assert (subset.weights, subset.learned_from.films, subset.generator) == (None, [], "lesions.pairs")
    report = reproducing.reproduce(released, None, 2 * COUNT, 0, "cpu", lambda *_: None)
    assert report.passed
    assert {row.verdict for row in report.rows} == {"exact"}
    assert "without weights" in (released / "README.md").read_text()
    assert "holds real films" in (released / "README.md").read_text()


def test_weights_are_refused(painter, tmp_path):
    with pytest.raises(ConfigError, match="paints without weights"):
        maker_of(recipe_for(), None, tmp_path / "x.safetensors")


def test_films_without_lungs_are_no_hosts(painter, monkeypatch):
    def nothing(films, **options):
        record = SimpleNamespace(pattern="", extent=0.0, reason="no two lungs found")
        return SimpleNamespace(films=films, maps=np.zeros_like(films), records=(record,))

    monkeypatch.setattr(painter, "paint", nothing)
    with pytest.raises(EmptySplit, match="no film can be painted"):
        maker_of(recipe_for(), None, None)


def test_a_recipe_without_training_is_not_trained(maintain):
    maintain("train", "generation/recipes/pairs.toml").error("needs no training")
