"""Which films an audit takes for training, held-out and source films, of releases, folders and phantoms."""

from __future__ import annotations

import json

import numpy as np
import pytest

from covid_synth_data import sources
from covid_synth_data.audit import material, privacy
from covid_synth_data.audit.films import joined
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, UnknownName
from tests.audit.conftest import film_set, noise
from tests.hub import releases
from tests.support import write_root


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
    ("variant", "box"),
    [
        ("full", (0, 0, 1, 1)),
        ("crop:50,100,950,900", (0.05, 0.1, 0.95, 0.9)),
        ("noise:7", (0, 0, 1, 1)),
        ("", (0, 0, 1, 1)),
    ],
)
def test_the_part_that_was_translated(variant, box):
    assert privacy._crop(variant) == pytest.approx(box)
