"""`covid-synth paint --format release`: pairs as a release folder that everything reads."""

from __future__ import annotations

import csv
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import lesions, schema
from covid_synth_data.benchmark.data import released
from covid_synth_data.errors import LeakError
from covid_synth_data.lesions import folder, painting
from covid_synth_data.lesions.release import release_pairs
from covid_synth_data.release import manifest
from covid_synth_data.release.verification import verify
from tests.support import tree

from .conftest import Films

ROWS = [
    {"source_dataset": "phantom", "source_id": "normal-0000-1", "patient_id": "phantom:normal-0000"},
    {"source_dataset": "phantom", "source_id": "normal-0001-1", "patient_id": "phantom:normal-0001"},
    {"source_dataset": "phantom", "source_id": "normal-0002-1", "patient_id": "phantom:normal-0002"},
]


@pytest.fixture
def films(tmp_path: Path, normals: Films) -> Path:
    """Three films in a folder `normal`, one of a positive, and the table that names them."""
    place = tmp_path / "films"
    (place / "normal").mkdir(parents=True)
    records = []
    for number, row in enumerate(ROWS):
        Image.fromarray(normals.films[number]).save(place / f"normal/film-{number}.png")
        records.append({"file_name": f"normal/film-{number}.png", "label": "normal", **row})
    records.append({**dict.fromkeys(records[0], ""), "file_name": "gone.png", "label": "covid-19"})
    write(place, records)
    return place


def write(place: Path, records: list[dict[str, str]]) -> None:
    with (place / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def test_pairs_become_a_release(films: Path, tmp_path: Path, normals: Films, shell) -> None:
    out = tmp_path / "release"
    options = ("--format", "release", "--seed", 4, "--licence", "CC0")
    done = shell("paint", films, "-o", out, *options)
    assert done.code == 0, done
    assert "3 pairs in the config 'lesion-pairs'" in done.out
    assert "1 left out: labelled covid-19" in done.out
    assert "not stated" not in done.out
    assert verify(out).whole
    rows = datasets.load_dataset(str(out), "lesion-pairs", split="train")
    assert rows.features == schema.features(schema.PAIR_COLUMNS)
    assert rows["label"] == [0, 2] * 3
    assert rows["variant"] == ["full", "lesions:0", "full", "lesions:1", "full", "lesions:2"]
    assert rows["pair_id"][0] == rows["pair_id"][1] == "lesion-pairs-normal-film-0"
    expected = lesions.paint(normals.films[:3], 4)
    for number in range(3):
        film, lesion = rows[2 * number], rows[2 * number + 1]
        assert np.array_equal(np.asarray(film["image"]), normals.films[number])
        assert film["mask"] is None
        assert np.array_equal(np.asarray(lesion["image"]), expected.films[number])
        assert np.array_equal(np.asarray(lesion["mask"]), expected.maps[number])
        assert lesion["extent"] == expected.records[number].extent
    listed = manifest.read(out)
    assert listed.restricted == []
    subset = listed.subsets["lesion-pairs"]
    assert subset.learned_from.films == [f"phantom/{row['source_id']}" for row in ROWS]
    assert subset.learned_from.patients == [row["patient_id"] for row in ROWS]
    assert subset.imported.learned_from == "stated"
    card = (out / "README.md").read_text()
    assert "The first film of a pair is a real film" in card
    assert "3 films of 3 patients" in card
    assert "made elsewhere" not in card
    assert not list(tmp_path.glob(".*.building"))


def test_a_benchmark_refuses_to_test_on_painted_films(films: Path, tmp_path: Path) -> None:
    release_pairs(folder.Job(films, tmp_path / "out"), "mine")
    learned = released.trained_on("covid-synth-cxr", ["mine"], tmp_path / "out")["mine"]
    row = {"image_id": ["phantom/normal-0001-1"], "patient_id": ["phantom:x"]}
    rows = datasets.Dataset.from_dict(row)
    with pytest.raises(LeakError, match="phantom/normal-0001-1"):
        released.check_generators({"validation": rows.select([]), "test": rows}, [learned], [])


def test_films_without_a_table_are_unknown(films: Path, tmp_path: Path, shell) -> None:
    out = tmp_path / "out"
    done = shell("paint", films / "normal", "-o", out, "--format", "release", "--config", "mine")
    assert "not stated: the licence, which real films these are" in done.out
    listed = manifest.read(out)
    assert listed.restricted == ["unknown"]
    assert listed.subsets["mine"].imported.learned_from == "unknown"
    assert "a test film may be among it" in released.unknown_training("covid-synth-cxr", ["mine"], out)[0]
    loaded = csd.load_dataset("covid-synth-cxr", "mine", root=out)
    assert loaded["source_id"][:2] == ["film-0", "film-0"]
    assert csd.mix(loaded.select([0, 2, 4]), loaded, skew=1.0).num_rows == 6


def test_a_stop_loses_nothing_and_leaves_the_same_release(films: Path, tmp_path: Path, monkeypatch) -> None:
    release_pairs(folder.Job(films, tmp_path / "whole"), "mine")

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        release_pairs(folder.Job(films, out), "mine", progress=stop)
    assert not out.exists()
    painted: list[int] = []
    before = folder.paint

    def counted(*arguments, **options):
        painted.append(len(arguments[0]))
        return before(*arguments, **options)

    monkeypatch.setattr(folder, "paint", counted)
    release_pairs(folder.Job(films, out), "mine")
    assert sum(painted) == 1
    assert {name: text for name, text in tree(out).items() if name.endswith(".parquet")} == {
        name: text for name, text in tree(tmp_path / "whole").items() if name.endswith(".parquet")
    }
    assert release_pairs(folder.Job(films, out), "mine")[1] == []


def test_a_second_config_joins(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    release_pairs(folder.Job(films, out), "one")
    listed, _ = release_pairs(folder.Job(films, out, control="neutral"), "two")
    assert (listed.version, list(listed.subsets)) == ("1.1.0", ["one", "two"])
    rows = csd.load_dataset("covid-synth-cxr", "two", root=out)
    assert set(rows["label"]) == {0}
    assert rows["pattern"][:2] == ["", "neutral"]
    assert verify(out).whole


def test_what_cannot_be_a_release(films: Path, tmp_path: Path, normals: Films, shell) -> None:
    out, release = tmp_path / "out", ("--format", "release")
    shell("paint", films, "-o", out, "--config", "mine").error("files have no config", "--format release")
    shell("paint", films, "-o", out, *release, "--config", "pairs").error("one of this project's releases")
    Image.fromarray(normals.films[0][:100, :100]).save(films / "normal/film-1.png")
    shell("paint", films, "-o", out, *release).error("another size", "found 100 x 100", "--size")
    (films / "normal/film-1.png").unlink()
    shell("paint", films, "-o", out, *release).error("no file", "film-1.png")
    write(films, [{"file_name": "../secret.png", "label": "normal"}])
    shell("paint", films, "-o", out, *release).error("outside its folder", "secret.png")
    write(films, [{"file_name": "normal/film-0.png", "label": "covid-19"}])
    shell("paint", films, "-o", out, *release).error("no film in", "1 films of other labels")
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(films / "normal/film-0.png")
    write(films, [{"file_name": "normal/film-0.png", "label": "normal"}])
    shell("paint", films, "-o", out, *release).error("no film can be painted", painting.NO_LUNGS)
    assert not out.exists()
    assert not list(tmp_path.glob(".*.building"))
