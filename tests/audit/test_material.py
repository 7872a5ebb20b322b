"""Which films an audit takes for training, held-out and source films, of releases, folders and phantoms."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import sources
from covid_synth_data.audit import material, origins
from covid_synth_data.audit.contract import Encoding
from covid_synth_data.audit.films import joined
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, UnknownName
from covid_synth_data.files.pixels import load_grey, resize
from covid_synth_data.lesions import priors
from tests.audit.conftest import film_set, noise
from tests.hub import releases
from tests.support import film, write_root


@pytest.fixture
def root(tmp_path):
    return write_root(tmp_path / "root", positives=30)


def released(folder, films=(), patients=(), data=None):
    """A release of 40 images whose generator learned from these films."""
    releases.build(folder, subsets={"gnc": (40,)})
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["subsets"]["gnc"]["learned_from"] = {"films": list(films), "patients": list(patients)}
    content["subsets"]["gnc"]["recipe"] = {"seed": 0, "data": data or {}}
    path.write_text(json.dumps(content))
    return folder


def test_films_learned_from_are_apart_from_films_of_other_patients(root, tmp_path):
    frame = sources.read_source("covid-19-image-repository", root)
    ids, patients = frame["image_id"].tolist(), frame["patient_id"].tolist()
    folder = released(tmp_path / "rel", ids[:12], patients[:15])
    found = material.gather("gnc", root, folder)
    assert found.training_known
    assert set(found.training.ids) == set(ids[:12])
    assert set(found.held_out.ids) == set(ids[15:])
    assert len(found.elsewhere) == len(found.sources) == 0
    assert (found.subject.version, found.subject.label) == ("1.0.0", "covid-19")
    assert len(found.synthetic) == 40
    assert found.synthetic.origins[3] == "phantom/film-3"
    assert len(material.gather("gnc", root, folder, limit=7).synthetic) == 7


def test_a_film_under_a_name_of_another_set_is_no_film_of_another_hospital(root, tmp_path):
    """Public sets publish each other's films. One that was learned from is neither held out nor foreign."""
    frame = sources.read_source("covid-19-image-repository", root)
    ids, patients = frame["image_id"].tolist(), frame["patient_id"].tolist()
    copied = root / "COVID-19_Radiography_Dataset" / "COVID" / "images"
    copied.mkdir(parents=True)
    for number in range(20):
        # Films 0 and 1 were learned from, film 29 was not; the others are new.
        if number < 3:
            path = root / "covid-19-image-repository" / "png" / f"film-{(0, 1, 29)[number]}.png"
            Image.open(path).resize((80, 80)).save(copied / f"COVID-{number + 1}.png")
        else:
            film(copied / f"COVID-{number + 1}.png", 7000 + number)
    found = material.gather("gnc", root, released(tmp_path / "rel", ids[:12], patients[:12]))
    assert set(found.training.ids) == set(ids[:12])
    assert set(found.held_out.ids) == set(ids[12:])
    assert set(found.elsewhere.ids) == {f"radiography/COVID-{number}" for number in range(4, 21)}
    assert set(found.elsewhere.groups).isdisjoint({*found.training.groups, *found.held_out.groups})


def test_a_film_that_is_twice_in_a_set_is_in_one_half_and_once(root, tmp_path):
    twins = [root / "covid-19-image-repository" / "png" / f"film-{number}.png" for number in (3, 4)]
    shutil.copy(twins[0], twins[1])
    found = material.gather("gnc", root, released(tmp_path / "rel"))
    names = [*found.training.ids, *found.held_out.ids]
    assert len(names) == 29
    assert sum("film-3" in name or "film-4" in name for name in names) == 1


def test_real_maps_are_of_films_that_no_prior_was_fitted_to(root, tmp_path):
    top = root / "COVID-QU-Ex" / "Infection Segmentation Data" / "Train" / "COVID-19"
    for number in range(20):
        film(top / "images" / f"covid_{number}.png", 8000 + number)
        film(top / "infection masks" / f"covid_{number}.png", 9000 + number)
    film(top / "images" / "covid_unmapped.png", 8100)
    found = material.gather("gnc", root, released(tmp_path / "rel")).mapped
    assert 5 < len(found) < 20
    assert not any(priors.fitted_on(name) or "unmapped" in name for name in found.ids)
    place = len(found) - 1
    expected = load_grey(top / "infection masks" / f"{found.ids[place].partition('/')[2]}.png")
    np.testing.assert_array_equal(found.take([0, place]).lesions(1), expected)
    with pytest.raises(ConfigError, match="films without maps"):
        film_set("films", noise(1, 1), "t").lesions(0)


@pytest.mark.parametrize(
    ("recipe", "encoding", "untrained"),
    [
        ({"release": {"codec": "webp", "quality": 90}}, Encoding("webp", 90), False),
        ({"family": "lesions", "release": {"codec": "jpeg", "quality": 95}}, Encoding("jpeg", 95), True),
        ({"release": {"codec": "gif", "quality": 9}}, None, False),
        ({}, None, False),
    ],
)
def test_what_a_recipe_says_of_the_images(root, tmp_path, recipe, encoding, untrained):
    folder = released(tmp_path / "rel")
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["subsets"]["gnc"]["recipe"] |= recipe
    path.write_text(json.dumps(content))
    found = material.gather("gnc", root, folder)
    assert (found.encoding, found.untrained) == (encoding, untrained)


def test_a_generator_of_phantoms_is_held_against_phantoms(tmp_path):
    phantoms = sources.read_source("phantom", size=32, patients=4)
    covid = phantoms[phantoms["label"] == "covid-19"]
    learned = covid[covid["patient_id"] == covid["patient_id"].iloc[0]]
    data = {"sources": ["phantom"], "phantom": {"size": 32, "patients": 4}}
    folder = released(tmp_path / "rel", learned["image_id"], learned["patient_id"], data)
    found = material.gather("gnc", None, folder)
    assert set(found.training.ids) == set(learned["image_id"])
    assert set(found.held_out.ids) == set(covid["image_id"]) - set(learned["image_id"])


def test_a_set_that_says_nothing_of_its_training(root, tmp_path):
    found = material.gather("gnc", root, released(tmp_path / "rel"))
    assert not found.training_known
    assert set(found.training.groups).isdisjoint(found.held_out.groups)
    assert len(found.training) + len(found.held_out) == 30


def test_bad_material(root, tmp_path):
    folder = released(tmp_path / "rel")
    with pytest.raises(ConfigError, match="a limit of no films"):
        material.gather("gnc", root, folder, limit=0)
    with pytest.raises(EmptySplit, match="no pneumonia image"):
        material.gather("gnc", root, folder, label="pneumonia")
    with pytest.raises(UnknownName, match="unknown class 'covid'"):
        material.gather("gnc", root, folder, label="covid")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(MissingSource, match="without real films"):
        material.gather("gnc", tmp_path / "nothing", folder)


# Sets of films


def test_a_draw_depends_on_seed_and_ids_alone():
    films = film_set("films", noise(30, 1), "t")
    turned = films.take(np.arange(30)[::-1])
    assert set(films.draw(9, 4).ids) == set(turned.draw(9, 4).ids)
    assert films.draw(9, 4).ids != films.draw(9, 5).ids
    assert films.draw(99, 4) is films


def test_changed_films_have_keys_of_their_own():
    films = film_set("films", noise(6, 1), "t")
    dark = films.altered("dark", lambda film, place: film // 2, [str(i) for i in range(6)])
    assert set(dark.keys).isdisjoint(films.keys)
    part = dark.take([4, 1])
    assert part.keys == (dark.keys[4], dark.keys[1])
    np.testing.assert_array_equal(part.grey(0), films.grey(4) // 2)
    with pytest.raises(ConfigError, match="changed before"):
        dark.altered("again", lambda film, place: film)


def test_sets_are_joined_in_order():
    first, second = film_set("a", noise(3, 1), "a"), film_set("b", noise(2, 2), "b", dataset="set-b")
    both = joined("both", first, second)
    assert both.ids == (*first.ids, *second.ids)
    assert both.keys == (*first.keys, *second.keys)
    assert both.datasets == ("set-a",) * 3 + ("set-b",) * 2


@pytest.mark.parametrize(
    ("variant", "shown"),
    [
        ("full", np.s_[:, :]),
        ("crop:50,100,250,0", np.s_[10:100, 5:75]),
        ("noise:7", np.s_[:, :]),
        ("", np.s_[:, :]),
    ],
)
def test_the_part_of_the_source_film_that_was_translated(variant, shown):
    """As the release cut it: margins in thousandths, not corners."""
    source = noise(1, 3, side=100)[0]
    sources = film_set("sources", [noise(1, 4)[0], source], "o")
    images = film_set("made", [np.zeros((40, 40), np.uint8)], "s", origins=["o/1"])
    images = replace(images, variants=(variant,))
    before = origins.as_translated(sources, images)
    np.testing.assert_array_equal(before.grey(0), resize(np.ascontiguousarray(source[shown]), 40))
    encoded = origins.as_translated(sources, images, Encoding("webp", 50))
    loss = np.abs(encoded.grey(0).astype(int) - before.grey(0))
    assert 0 < loss.mean() < 12
    assert encoded.keys != before.keys
