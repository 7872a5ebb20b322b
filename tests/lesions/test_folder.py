"""`covid-synth paint` and painting of rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from covid_synth_data import lesions
from covid_synth_data.errors import BadImage, ConfigError
from covid_synth_data.files.lock import locked
from covid_synth_data.lesions import folder, painting
from tests.support import tree

from .conftest import Films


@pytest.fixture
def films(tmp_path: Path, normals: Films) -> Path:
    """Three normal films, one of them without lungs, and the masks of all beside them."""
    (tmp_path / "films").mkdir()
    (tmp_path / "lungs").mkdir()
    for number in range(3):
        film, lung = (normals.films[number], normals.lungs[number])
        if number == 1:
            lung = np.zeros_like(lung)
        Image.fromarray(film).save(tmp_path / f"films/film-{number}.png")
        Image.fromarray(lung).save(tmp_path / f"lungs/film-{number}.png")
    return tmp_path / "films"


def test_a_folder_that_another_process_paints_into(films: Path, tmp_path: Path, shell) -> None:
    out, masks = tmp_path / "out", ("--lungs", tmp_path / "lungs")
    for kind in ("png", "release"):
        with locked(out, "a painting"):
            shell("paint", films, "-o", out, *masks, "--format", kind).error(
                "in use", "a painting by process"
            )
        assert not out.exists()
    assert shell("paint", films, "-o", out, *masks).code == 0


def table(out: Path) -> list[dict[str, str]]:
    with (out / "pairs.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_pairs_of_a_folder(films: Path, tmp_path: Path, normals: Films, shell) -> None:
    out = tmp_path / "out"
    done = shell("paint", films, "-o", out, "--lungs", tmp_path / "lungs", "--seed", 4)
    assert done.code == 0, done
    assert f"2 pairs of 3 films in {out}" in done.out
    assert f"1 not painted: {painting.NO_LUNGS}" in done.out
    rows = table(out)
    assert [row["pair_id"] for row in rows] == ["film-0", "film-1", "film-2"]
    assert [bool(row["lesion"]) for row in rows] == [True, False, True]
    expected = lesions.paint(normals.films[:3], 4, lungs=normals.lungs[:3])
    assert np.array_equal(np.asarray(Image.open(out / rows[2]["lesion"])), expected.films[2])
    assert np.array_equal(np.asarray(Image.open(out / rows[2]["mask"])), expected.maps[2])
    assert np.array_equal(np.asarray(Image.open(out / rows[2]["film"])), normals.films[2])
    assert float(rows[0]["extent"]) == expected.records[0].extent


def test_the_same_command_goes_on_after_a_stop(films: Path, tmp_path: Path) -> None:
    job = folder.Job(films, tmp_path / "out", lungs=tmp_path / "lungs")
    whole = folder.Job(films, tmp_path / "whole", lungs=tmp_path / "lungs")
    folder.write_pairs(whole, lambda *_: None)

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write_pairs(job, stop)
    assert not (job.out / "pairs.csv").exists()
    first = (job.out / "lesions/film-0.png").stat().st_mtime_ns
    folder.write_pairs(job, lambda *_: None)
    assert (job.out / "lesions/film-0.png").stat().st_mtime_ns == first
    assert tree(job.out) == tree(whole.out)


def test_another_command_into_the_same_folder(films: Path, tmp_path: Path, shell) -> None:
    assert shell("paint", films, "-o", tmp_path / "out").code == 0
    before = tree(tmp_path / "out")
    shell("paint", films, "-o", tmp_path / "out", "--seed", 1).error("holds something else")
    assert tree(tmp_path / "out") == before


def test_a_film_that_was_painted_needs_force(films: Path, tmp_path: Path, shell) -> None:
    out = tmp_path / "out"
    assert shell("paint", films, "-o", out).code == 0
    shell("paint", out / "lesions", "-o", tmp_path / "again").error("a positive already", "--force")
    assert not (tmp_path / "again").exists()
    assert shell("paint", out / "lesions", "-o", tmp_path / "again", "--force").code == 0


def colour(path: Path) -> None:
    pixels = np.asarray(Image.open(path).convert("RGB")).copy()
    pixels[:20, :20, 0] = 255
    Image.fromarray(pixels).save(path)


def wide(path: Path) -> None:
    Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 257).save(path)


def small(path: Path) -> None:
    Image.open(path).resize((60, 60)).save(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


GREY = "no 8-bit grey film"


@pytest.mark.parametrize(
    ("damage", "says"), [(colour, GREY), (wide, GREY), (small, "too small"), (cut, "cannot decode")]
)
def test_bad_films_leave_nothing_half_written(films: Path, tmp_path: Path, shell, damage, says: str) -> None:
    damage(films / "film-2.png")
    shell("paint", films, "-o", tmp_path / "out").error("film-2.png", says)
    assert not (tmp_path / "out").exists()


def test_bad_folders_and_names(films: Path, tmp_path: Path, shell) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    shell("paint", tmp_path / "empty", "-o", out).error("no film in")
    shell("paint", tmp_path / "gone", "-o", out).error("no folder")
    shell("paint", films, "-o", films).error("among the films")
    shell("paint", films, "-o", out, "--pattern", "covid").error("did you mean 'covid-19'")
    shell("paint", films, "-o", out, "--control", "dim").error("kind of control")
    shell("paint", films, "-o", out, "--format", "jpeg").error("format")
    Image.fromarray(np.zeros((50, 128), np.uint8)).save(tmp_path / "lungs/film-0.png")
    shell("paint", films, "-o", out, "--lungs", tmp_path / "lungs").error("a mask of another size")
    (tmp_path / "lungs/film-0.png").unlink()
    shell("paint", films, "-o", out, "--lungs", tmp_path / "lungs").error("no lung mask of film-0.png")
    assert not out.exists()


def test_a_grey_film_stored_in_colour_is_a_film(films: Path, tmp_path: Path, normals: Films) -> None:
    Image.fromarray(normals.films[0]).convert("RGB").save(films / "film-0.png")
    records = folder.write_pairs(folder.Job(films, tmp_path / "out", size=96), lambda *_: None)
    assert len(records) == 3
    with Image.open(tmp_path / "out/lesions/film-0.png") as lesion:
        assert lesion.size == (96, 96)
    assert json.loads((tmp_path / "out/records/film-0.json").read_text())["reason"] == ""


def rows(normals: Films) -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "image": [Image.fromarray(film) for film in normals.films],
            "lungs": [Image.fromarray(lung) for lung in normals.lungs],
            "label": [0] * len(normals.films),
            "image_id": [f"film-{i}" for i in range(len(normals.films))],
        },
        features=datasets.Features(
            {
                "image": datasets.Image(),
                "lungs": datasets.Image(),
                "label": datasets.Value("int64"),
                "image_id": datasets.Value("string"),
            }
        ),
    )


@pytest.mark.parametrize("batch_size", [1, 5])
def test_rows_of_a_dataset(normals: Films, batch_size: int) -> None:
    negatives = rows(normals)
    pairs = negatives.map(
        lesions.paint_rows,
        batched=True,
        with_indices=True,
        batch_size=batch_size,
        fn_kwargs={"seed": 3},
        remove_columns=negatives.column_names,
    )
    expected = lesions.paint(normals.films, 3, lungs=normals.lungs)
    assert np.array_equal(np.stack([np.asarray(image) for image in pairs["image"]]), expected.films)
    assert np.array_equal(np.stack([np.asarray(mask) for mask in pairs["mask"]]), expected.maps)
    assert set(pairs["label"]) == {2}
    assert list(pairs["pair_id"]) == list(negatives["image_id"])


def test_rows_that_are_positives_or_no_films(normals: Films) -> None:
    batch = {"image": [Image.fromarray(normals.films[0])], "label": [2], "image_id": ["a"]}
    with pytest.raises(ConfigError, match="a is a positive already; found covid-19"):
        lesions.paint_rows(batch, [0])
    assert lesions.paint_rows(batch, [0], force=True)["label"] == [2]
    with pytest.raises(BadImage, match="8-bit grey"):
        lesions.paint_rows({"image": [Image.new("I;16", (80, 80))]}, [0])


def test_controls_stay_negatives(normals: Films) -> None:
    batch = {"image": [Image.fromarray(normals.films[0])], "lungs": [Image.fromarray(normals.lungs[0])]}
    row = lesions.paint_rows(batch, [0], control="neutral")
    assert row["label"] == [0]
    assert not np.asarray(row["mask"][0]).any()


def test_painted_rows_keep_the_classes_of_their_task(normals: Films) -> None:
    """`normal-vs-covid` has two classes; code 0 of `pneumonia-vs-covid` is no normal film."""

    def painted(classes: list[str], **options: object) -> datasets.Dataset:
        labelled = rows(normals).cast_column("label", datasets.ClassLabel(names=classes))
        return labelled.map(
            lesions.paint_rows,
            batched=True,
            with_indices=True,
            fn_kwargs={"seed": 3, **options},
            remove_columns=labelled.column_names,
        )

    two = painted(["normal", "covid-19"])
    assert two.features["label"].names == ["normal", "covid-19"]
    assert set(two["label"]) == {1}
    with pytest.raises(ConfigError, match="film-0 is a positive already; found pneumonia"):
        painted(["pneumonia", "covid-19"])
    with pytest.raises(ConfigError, match=r"do not name pneumonia; .*mixing\.with_classes"):
        painted(["normal", "covid-19"], pattern="ground-glass")
    batch = {"image": [Image.fromarray(normals.films[0])], "lungs": [Image.fromarray(normals.lungs[0])]}
    assert lesions.paint_rows(batch, [0], classes=["normal", "covid-19"])["label"] == [1]
