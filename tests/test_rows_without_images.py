"""A row without an image (None, or a cell of neither bytes nor path): refused in one line at every place."""

from __future__ import annotations

import datasets
import pytest

import covid_synth_data as csd
from covid_synth_data import importing, lesions
from covid_synth_data.audit import material
from covid_synth_data.benchmark.data.composition import Pool
from covid_synth_data.errors import BadImage
from covid_synth_data.files.pixels import bytes_of, content_of, load_grey
from covid_synth_data.release.batches import batches
from covid_synth_data.splits import leaks

CELLS = [None, {"bytes": None, "path": None}]


@pytest.fixture(scope="module")
def rows():
    """Three phantoms, the second without its image."""
    whole = csd.load_source("phantom", patients=3, size=64).select(range(3))
    cells = whole.cast_column("image", datasets.Image(decode=False))
    kept = [None if index == 1 else cell for index, cell in enumerate(cells["image"])]
    return whole.remove_columns("image").add_column("image", kept, feature=datasets.Image())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("read", [load_grey, content_of, bytes_of])
def test_a_cell(cell, read):
    with pytest.raises(BadImage, match="a row without an image; expected bytes or a path"):
        read(cell)
    with pytest.raises(BadImage, match="film 7 has no image"):
        read(cell, name="film 7")


def _painted(rows):
    return rows.map(lesions.paint_rows, batched=True, with_indices=True, fn_kwargs={"seed": 0})


def _imported(rows, folder):
    rows.save_to_disk(folder / "rows")
    importing.import_images(folder / "rows", folder / "release", "made")


PLACES = {
    "batches": lambda rows, _: list(batches(rows)),
    "batches of the consumer's thread": lambda rows, _: list(batches(rows, workers=0)),
    "leaks": lambda rows, _: leaks.find_leaks({"train": rows, "test": rows.select([0])}),
    "near duplicates": lambda rows, _: leaks.near_duplicates(rows, rows),
    "painting": lambda rows, _: _painted(rows),
    "audit": lambda rows, _: material.of_dataset("rows", rows.add_column("variant", [""] * 3)).keys,
    "benchmark": lambda rows, _: [Pool([rows]).key(name) for name in rows["image_id"][:]],
    "import": _imported,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_names_the_row(place, rows, tmp_path):
    with pytest.raises(BadImage, match="without an image|has no image") as caught:
        PLACES[place](rows, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "release").exists()
