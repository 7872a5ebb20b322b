"""From rows to arrays."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.ct import phantom, slices
from covid_synth_data.errors import BadImage
from covid_synth_data.sources import load_source


def cell(picture: np.ndarray, mode: str | None = None) -> dict[str, object]:
    buffer = io.BytesIO()
    image = Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def row(image: np.ndarray, mask: np.ndarray) -> dict[str, object]:
    return {"image": cell(image), "mask": cell(mask), "image_id": "covid-ct/x"}


def test_values_and_types(phantom_rows):
    image, mask = slices.read_slice(phantom_rows[4])
    drawn = phantom.draw(64, 3, 0, 5, 6)
    assert (image.dtype, mask.dtype) == (np.float32, np.uint8)
    assert np.array_equal(image, drawn[0].astype(np.float32) / np.float32(255))
    assert np.array_equal(mask, drawn[1])


def test_rows_of_a_dataset_read_the_same_decoded_or_not():
    import datasets

    rows = load_source("ct-phantom", size=64, patients=1, slices=1)
    raw = rows.cast_column("image", datasets.Image(decode=False)).cast_column(
        "mask", datasets.Image(decode=False)
    )
    for one, other in zip(slices.read_slice(rows[0]), slices.read_slice(raw[0]), strict=True):
        assert np.array_equal(one, other)


def test_smaller_by_area_and_to_the_nearest(phantom_rows):
    image, mask = slices.read_slice(phantom_rows[0])
    small, labels = slices.read_slice(phantom_rows[0], 32)
    assert np.allclose(small, image.reshape(32, 2, 32, 2).mean((1, 3)), atol=1.1 / 255)
    assert set(np.unique(labels)) <= set(np.unique(mask))
    pairs = mask.reshape(32, 2, 32, 2).transpose(0, 2, 1, 3).reshape(32, 32, 4)
    assert (pairs == labels[..., None]).any(-1).all()


def test_stack(phantom_rows):
    images, masks = slices.stack(phantom_rows[:3], 32)
    assert (images.shape, images.dtype) == ((3, 1, 32, 32), np.float32)
    assert (masks.shape, masks.dtype) == ((3, 32, 32), np.uint8)
    assert np.array_equal(images[2, 0], slices.read_slice(phantom_rows[2], 32)[0])
    assert slices.stack([], 32)[0].shape == (0, 1, 32, 32)


def test_a_stack_of_different_sizes_needs_a_side(phantom_rows):
    other = phantom.rows(size=80, patients=1, slices=1)
    with pytest.raises(BadImage, match=r"another size.*80 x 80.*64 x 64"):
        slices.stack([phantom_rows[0], *other])
    assert slices.stack([phantom_rows[0], *other], 64)[0].shape == (2, 1, 64, 64)


def test_label_maps_are_taken_as_numbers_whatever_their_mode():
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    palette = Image.fromarray(mask).convert("P")
    palette.putdata([0, 1, 2, 3])
    palette.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    for picture in (
        Image.fromarray(mask),
        palette,
        Image.fromarray(mask.astype(np.uint16)),
        Image.fromarray(np.repeat(mask[..., None], 3, 2)),
    ):
        assert np.array_equal(slices.read_mask({"mask": picture}), mask)


def test_bad_rows_name_the_slice():
    grey, mask = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    with pytest.raises(BadImage, match=r"covid-ct/x is of another size.*8 x 6.*8 x 8"):
        slices.read_slice(row(grey, mask[:6]))
    with pytest.raises(BadImage, match=r"covid-ct/x has values that are no label; found 7"):
        slices.read_slice(row(grey, mask + np.uint8(7)))
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 1] = 2
    with pytest.raises(BadImage, match="colour picture"):
        slices.read_slice(row(grey, colours))
    with pytest.raises(BadImage, match="covid-ct/x has no picture"):
        slices.read_slice({**row(grey, mask), "image": None})
    with pytest.raises(BadImage, match="covid-ct/x is not there"):
        slices.read_slice({**row(grey, mask), "mask": {"bytes": None, "path": None}})
    broken = cell(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    broken["bytes"] = broken["bytes"][:900]
    with pytest.raises(BadImage, match="cannot decode covid-ct/x"):
        slices.read_slice({**row(grey, mask), "image": broken})


def test_png_gives_back_what_it_was_given():
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8) % 4
    assert np.array_equal(slices.read_mask({"mask": {"bytes": slices.png(mask), "path": None}}), mask)
