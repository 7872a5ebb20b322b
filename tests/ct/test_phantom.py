"""CT phantoms: repeatable, with the anatomy of a chest and label maps that fit it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.ct import labels, phantom, slices
from covid_synth_data.errors import ConfigError
from covid_synth_data.sources import load_source, read_source, source_status


def test_a_slice_is_a_function_of_its_arguments():
    image, mask = phantom.draw(64, 1, 2, 3, 8)
    assert (image.dtype, image.shape, mask.dtype, mask.shape) == (np.uint8, (64, 64), np.uint8, (64, 64))
    again = phantom.draw(64, 1, 2, 3, 8)
    assert np.array_equal(image, again[0])
    assert np.array_equal(mask, again[1])
    for other in [(64, 9, 2, 3, 8), (64, 1, 4, 3, 8), (64, 1, 2, 4, 8)]:
        assert not np.array_equal(image, phantom.draw(*other)[0])


@pytest.mark.parametrize("size", [64, 100, 256])
def test_grey_values_are_those_of_the_lung_window(size):
    """Air of the room near 60, lung near 85, soft tissue above 200, the scanner's circle black outside."""
    image, mask = phantom.draw(size, 0, 0, 9, 16)
    assert image[0, 0] == 0
    assert 50 < np.median(image[size // 16 : size // 10, size // 2 - 5 : size // 2 + 5]) < 72
    assert 70 < np.median(image[mask == labels.LUNG]) < 105
    middle = image[size // 3 : size // 2, size // 2 - 4 : size // 2 + 4]
    assert np.median(middle) > 200


def test_lesions_have_the_brightness_of_their_kind():
    """Healthy lung, ground glass and consolidation in this order, each over the whole set."""
    images, masks = phantom.arrays(size=96, patients=4, slices=6)
    means = [float(images[:, 0][masks == value].mean()) for value in (1, 2, 3)]
    assert means[0] + 0.1 < means[1] < means[2] - 0.2
    assert means[2] > 0.75


def test_consolidation_is_sharp_and_ground_glass_is_soft():
    images, masks = phantom.arrays(size=256, patients=2, slices=6)
    slopes = {}
    for value in (2, 3):
        steps = [
            np.abs(np.diff(image[0], axis=1))[np.diff((mask >= value).astype(int), axis=1) != 0]
            for image, mask in zip(images, masks, strict=True)
        ]
        slopes[value] = np.median(np.concatenate(steps))
    assert slopes[3] > 2 * slopes[2]


def test_lungs_in_every_slice_and_the_heart_on_the_patients_left():
    _, masks = phantom.arrays(size=64, patients=6, slices=8)
    assert (masks > 0).sum((1, 2)).min() > 100
    low = labels.lung_field(masks.reshape(6, 8, 64, 64)[:, 2])
    assert (
        low[:, :, :32].sum() > low[:, :, 32:].sum()
    )  # the heart takes from the lung at the right of the picture


def test_neighbouring_slices_resemble_each_other():
    _, masks = phantom.arrays(size=64, patients=2, slices=8)
    first, second = labels.lung_field(masks[:8]), labels.lung_field(masks[8:])
    near = np.mean([(first[k] & first[k + 1]).sum() / (first[k] | first[k + 1]).sum() for k in range(7)])
    other = np.mean([(first[k] & second[k]).sum() / (first[k] | second[k]).sum() for k in range(8)])
    assert near > 0.85
    assert other < 1


def test_some_patients_have_no_consolidation_and_some_slices_no_infection(phantom_rows):
    solid = {row["patient_id"] for row in phantom_rows if row["consolidation_pixels"]}
    assert 3 <= len(solid) < 9
    assert {row["patient_id"] for row in phantom_rows if row["ggo_pixels"]} == {
        f"ct-phantom:{number}" for number in range(1, 10)
    }
    assert any(not row["ggo_pixels"] and not row["consolidation_pixels"] for row in phantom_rows)


def test_what_is_read_is_what_is_drawn_also_the_second_time():
    for size, seed in ((64, 4), (64, 5), (72, 4), (64, 4), (160, 4)):
        frame = read_source("ct-phantom", size=size, patients=1, slices=2, seed=seed)
        for number, row in enumerate(frame.itertuples(), 1):
            drawn = phantom.draw(size, seed, 0, number, 2)
            for cell, picture in zip((row.bytes, row.mask_bytes), drawn, strict=True):
                with Image.open(io.BytesIO(cell)) as image:
                    assert np.array_equal(np.asarray(image), picture)
            assert row.ggo_pixels == np.count_nonzero(drawn[1] == 2)


def test_the_source():
    frame = read_source("ct-phantom", size=64, patients=2, slices=3, seed=5)
    assert len(frame) == 6
    assert frame["image_id"][0] == "ct-phantom/patient1_slice001"
    assert frame["patient_id"].tolist() == ["ct-phantom:1"] * 3 + ["ct-phantom:2"] * 3
    assert frame["slice"].tolist() == [1, 2, 3] * 2
    assert read_source("ct-phantom", size=64, patients=2, slices=3, seed=5)["bytes"].equals(frame["bytes"])
    rows = load_source("ct-phantom", size=64, patients=2, slices=3, seed=5)
    assert tuple(rows.column_names) == schema.CT_COLUMNS
    assert rows.features == schema.features(schema.CT_COLUMNS)
    image, mask = slices.read_slice(rows[1])
    drawn = phantom.draw(64, 5, 0, 2, 3)
    assert np.array_equal(np.rint(image * 255), drawn[0])
    assert np.array_equal(mask, drawn[1])
    assert frame["lung_pixels"][1] == (drawn[1] == 1).sum()
    assert source_status("ct-phantom").summary.startswith("built in")


@pytest.mark.parametrize(
    "options", [{"size": 63}, {"size": 2048}, {"patients": 0}, {"slices": 0}, {"seed": -1}, {"sise": 64}]
)
def test_wrong_options_are_one_line(options):
    with pytest.raises(ConfigError) as caught:
        read_source("ct-phantom", **{"size": 64, "patients": 1, "slices": 1, **options})
    assert "\n" not in str(caught.value)


def test_a_slice_that_is_not_there():
    with pytest.raises(ConfigError, match="slice 9 of 8"):
        phantom.draw(64, 0, 0, 9, 8)


def test_ragged_borders_fray_and_lungs_stay():
    def border(mask: np.ndarray) -> int:
        lesion = labels.infection(mask)
        return int((lesion[1:] != lesion[:-1]).sum() + (lesion[:, 1:] != lesion[:, :-1]).sum())

    even, frayed = ([phantom.draw(128, 3, p, 6, 12, ragged)[1] for p in range(4)] for ragged in (0, 1))
    assert all(np.array_equal(a > 0, b > 0) for a, b in zip(even, frayed, strict=True))
    assert all(border(b) > 1.5 * border(a) > 0 for a, b in zip(even, frayed, strict=True))
    areas = [sum(labels.infection(mask).sum() for mask in masks) for masks in (even, frayed)]
    assert areas[1] == pytest.approx(areas[0], rel=0.3)
    (row,) = phantom.rows(size=64, patients=1, slices=1, ragged=2)
    assert not np.array_equal(slices.read_mask(row), phantom.draw(64, 0, 0, 1, 1)[1])
    for wrong in (-1, 5):
        with pytest.raises(ConfigError, match="ragged"):
            phantom.draw(64, 0, 0, 1, 1, wrong)


ALONE = {"size": 64, "patients": 3, "slices": 4, "seed": 5, "ragged": 1}


def test_a_row_alone_is_the_row_of_all():
    for row in phantom.rows(**ALONE):
        assert phantom.row(row["source_id"], **ALONE) == row


@pytest.mark.parametrize(
    "name", ["patient4_slice001", "patient1_slice005", "patient0_slice001", "slice001", ""]
)
def test_a_slice_that_is_not_among_them(name):
    with pytest.raises(ConfigError, match="no such slice of a CT phantom"):
        phantom.row(name, **ALONE)
