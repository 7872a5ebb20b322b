"""Tested films that are films behind a config under another name are found by look."""

from __future__ import annotations

import csv

import datasets
import pytest

from covid_synth_data.benchmark.running.other_names import OtherNames
from covid_synth_data.errors import LeakError
from covid_synth_data.release.manifest import Learned
from covid_synth_data.schema import REAL_COLUMNS, features
from tests.support import film, write_root

PUBLIC = "covid-19-image-repository"
NOTHING = Learned(films=[], patients=[])


@pytest.fixture
def root(shell, tmp_path):
    """Public sets, and a declared source of four films, none of which is in them."""
    paths = [film(tmp_path / f"films/{number}.png", 7000 + number) for number in range(4)]
    with (tmp_path / "films/metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("file_name", "label"), *((path.name, "covid-19") for path in paths)])
    assert shell("source", "add", tmp_path / "films", "--name", "mine").code == 0
    return write_root(tmp_path / "root")


def held_out(tmp_path, source: str = "mine") -> datasets.DatasetDict:
    """Two films of the source in validation, two in test."""

    def part(numbers: range) -> datasets.Dataset:
        rows = {column: [""] * len(numbers) for column in REAL_COLUMNS}
        rows["image"] = [{"path": str(tmp_path / f"films/{n}.png"), "bytes": None} for n in numbers]
        rows |= {"label": [2] * len(numbers), "source_dataset": [source] * len(numbers)}
        rows["image_id"] = [f"{source}/{n}" for n in numbers]
        return datasets.Dataset.from_dict(rows, features=features(REAL_COLUMNS))

    return datasets.DatasetDict(validation=part(range(2)), test=part(range(2, 4)))


def made_from(*names: str) -> datasets.Dataset:
    """Synthetic rows that state these films of the public set as their sources."""
    return datasets.Dataset.from_dict({"source_dataset": [PUBLIC] * len(names), "source_id": list(names)})


def renamed(root, tmp_path, number: int) -> None:
    """The film `film-3` of the public set, re-encoded, becomes the film `number` of the declared one."""
    film(tmp_path / f"films/{number}.png", 1003, side=96)


def test_films_of_ones_own_pass(root, tmp_path):
    names = OtherNames(held_out(tmp_path), root)
    learned = Learned(films=[f"{PUBLIC}/film-{n}" for n in range(9)], patients=[])
    assert names.check("gnc", made_from("film-1"), learned, ()) == []


@pytest.mark.parametrize(
    ("rows", "learned"),
    [
        ([], Learned(films=[f"{PUBLIC}/film-3"], patients=[])),
        (["film-3"], NOTHING),
        ([], Learned(films=[f"{PUBLIC}/film-1"], patients=[f"{PUBLIC}:3"])),
    ],
    ids=["learned from", "made from", "another film of its patient"],
)
@pytest.mark.parametrize(("number", "part"), [(0, "validation"), (3, "test")])
def test_a_copy_of_a_film_behind_the_config_is_refused(root, tmp_path, rows, learned, number, part):
    renamed(root, tmp_path, number)
    names = OtherNames(held_out(tmp_path), root)
    assert names.check("clean", made_from("film-1"), NOTHING, ()) == []
    message = f"the {part} part has copies of films .*mine/{number} = {PUBLIC}/film-3"
    with pytest.raises(LeakError, match=message):
        names.check("gnc", made_from(*rows), learned, ())
    notes = names.check("gnc", made_from(*rows), learned, (part,))
    assert notes == [f"1 {part} films are copies of films behind gnc"]


def test_a_film_under_its_own_name_passes(root, tmp_path):
    """Names are compared elsewhere, and a suite may allow what they have in common."""
    renamed(root, tmp_path, 3)
    parts = held_out(tmp_path, source=PUBLIC)
    own_name = [f"{PUBLIC}/film-1", f"{PUBLIC}/film-3"]
    parts["test"] = parts["test"].remove_columns("image_id").add_column("image_id", own_name)
    assert OtherNames(parts, root).check("gnc", made_from("film-3"), NOTHING, ()) == []


@pytest.mark.parametrize("source", ["radiography", PUBLIC])
def test_a_copy_in_another_public_set_is_refused(root, tmp_path, source):
    renamed(root, tmp_path, 3)
    names = OtherNames(held_out(tmp_path, source=source), root)
    with pytest.raises(LeakError, match=f"test part .*{source}/3 = {PUBLIC}/film-3"):
        names.check("gnc", made_from("film-3"), NOTHING, ())


def test_films_that_the_task_trains_on_are_passed_over(root, tmp_path):
    """Their copies are where the protocol has put them; a film of the same patient is still compared."""
    renamed(root, tmp_path, 3)
    parts = held_out(tmp_path, source="radiography")
    trained = parts["test"].select([0]).remove_columns("image_id")
    parts["train"] = trained.add_column("image_id", [f"{PUBLIC}/film-3"])
    assert OtherNames(parts, root).check("gnc", made_from("film-3"), NOTHING, ()) == []
    parts["train"] = trained.add_column("image_id", [f"{PUBLIC}/film-1"])
    learned = Learned(films=[f"{PUBLIC}/film-2"], patients=[f"{PUBLIC}:3"])
    with pytest.raises(LeakError, match=f"radiography/3 = {PUBLIC}/film-3"):
        OtherNames(parts, root).check("gnc", made_from("film-1"), learned, ())


def test_what_could_not_be_compared_is_noted(root, tmp_path, shell):
    (root / f"{PUBLIC}/png/film-3.png").unlink()
    names = OtherNames(held_out(tmp_path), root)
    (note,) = names.check("gnc", made_from("film-2", "film-3"), NOTHING, ())
    assert note.startswith("1 of 2 films behind gnc are not here")
    (note,) = OtherNames(held_out(tmp_path), None).check("gnc", made_from("film-2", "film-3"), NOTHING, ())
    assert note.startswith("2 of 2 films")
    assert shell("source", "remove", "mine").code == 0
    (note,) = OtherNames(held_out(tmp_path), None).check("gnc", made_from("film-2"), NOTHING, ())
    assert note.startswith("1 of 1 films")
