"""The paper's augmentation: image and label map together, repeatable from the variant alone."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.ct import augment, phantom
from covid_synth_data.errors import ConfigError

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

STILL = "augment:crop=0,0,1000;rotate=0.00;elastic=0.0000,6,0"


def slice_of(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    image, mask = phantom.draw(size, 0, 0, 4, 8)
    return image.astype(np.float32) / np.float32(255), mask


def test_a_variant_that_does_nothing_changes_nothing():
    image, mask = slice_of()
    for chosen in (STILL, augment.FULL):
        made, labels = augment.apply(chosen, image, mask)
        assert np.allclose(made, image, atol=1e-5)
        assert np.array_equal(labels, mask)


@pytest.mark.parametrize(
    "chosen",
    [
        "augment:crop=60,40,880;rotate=0.00;elastic=0.0000,6,0",
        "augment:crop=0,0,1000;rotate=9.00;elastic=0.0000,6,0",
        "augment:crop=0,0,1000;rotate=0.00;elastic=0.0150,6,3",
        "augment:crop=30,50,900;rotate=-7.50;elastic=0.0120,6,5",
    ],
)
def test_image_and_label_map_move_together(chosen):
    """An image that is its own label map stays so, but for the interpolation at borders."""
    _, mask = slice_of(128)
    made, labels = augment.apply(chosen, (mask > 0).astype(np.float32), mask)
    assert not np.array_equal(labels, mask)
    assert set(np.unique(labels)) <= set(np.unique(mask))
    assert ((made > 0.5) == (labels > 0)).mean() > 0.985


def test_crop_enlarges_what_it_names():
    image = np.zeros((100, 100), np.float32)
    image[20:30, 60:70] = 1
    made, _ = augment.apply(
        "augment:crop=50,0,500;rotate=0.00;elastic=0.0000,6,0", image, image.astype(np.uint8)
    )
    assert made.sum() < 1  # columns 5 to 55 do not hold it
    made, labels = augment.apply(
        "augment:crop=500,0,500;rotate=0.00;elastic=0.0000,6,0", image, image.astype(np.uint8)
    )
    rows, columns = np.nonzero(labels)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 59, 20, 39)
    assert made.sum() == pytest.approx(400, abs=5)


def test_noise_is_the_images_alone():
    image, mask = slice_of()
    made, labels = augment.apply(f"{STILL};noise=0.0500,7", image, mask)
    inner = (image > 0.3) & (image < 0.7)
    assert (made - image)[inner].std() == pytest.approx(0.05, rel=0.15)
    assert np.array_equal(labels, mask)
    assert 0 <= made.min() <= made.max() <= 1


def test_greys_change_and_what_is_black_stays_black():
    image, mask = slice_of()
    image[:10] = 0
    made, labels = augment.apply(f"{STILL};grey=1.200,0.100,0.800,0", image, mask)
    expected = np.clip((image - 0.5) * 1.2 + 0.6, 0, 1) ** 0.8
    assert np.allclose(made[image > 0], expected[image > 0], atol=1e-5)
    assert (made[image == 0] == 0).all()
    assert np.array_equal(labels, mask)


def test_left_and_right_are_exchanged_in_image_and_label_map():
    image, mask = slice_of()
    made, labels = augment.apply(f"{STILL};grey=1.000,0.000,1.000,1", image, mask)
    assert np.allclose(made, image[:, ::-1], atol=1e-5)
    assert np.array_equal(labels, mask[:, ::-1])


def test_grey_is_drawn_after_everything_else_and_within_its_range():
    plain = augment.AugmentRange(crop=0.7, rotate=20.0, elastic=0.02, noise=0.04)
    mirrored = set()
    for i in range(200):
        chosen, _, grey = augment.variant(3, i, augment.STRONG).partition(";grey=")
        assert chosen == augment.variant(3, i, plain)
        contrast, added, exponent, flip = map(float, grey.split(","))
        assert abs(contrast - 1) < 0.3005
        assert abs(exponent - 1) < 0.3005
        assert abs(added) < 0.1505
        mirrored.add(flip)
        assert "grey" not in augment.variant(3, i)
    assert mirrored == {0, 1}
    with pytest.raises(ConfigError, match="grey out of range"):
        augment.AugmentRange(grey=1.0)


def test_the_same_variant_makes_the_same_picture_and_global_seeds_do_not_matter():
    image, mask = slice_of()
    chosen = augment.variant(5, 17)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = augment.apply(chosen, image, mask)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again = augment.apply(chosen, image, mask)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert (first[0].dtype, first[1].dtype) == (np.float32, np.uint8)
    assert np.array_equal(augment.apply_mask(chosen, mask), first[1])


def test_the_same_geometry_at_any_size():
    chosen = "augment:crop=30,50,900;rotate=-7.50;elastic=0.0120,6,5"
    large, small = slice_of(256)[1], slice_of(64)[1]
    made = augment.apply_mask(chosen, large)[2::4, 2::4] > 0
    assert (made == (augment.apply_mask(chosen, small) > 0)).mean() > 0.96


def test_pairs_are_even_and_depend_on_their_number_alone():
    pairs = list(augment.augmented(["a", "b", "c"], 12, seed=2))
    assert [row for row, _ in pairs] == ["a", "b", "c"] * 4
    assert len({chosen for _, chosen in pairs}) == 12
    assert list(augment.augmented(["a", "b", "c"], 5, seed=2)) == pairs[:5]
    assert list(augment.augmented(["a", "b", "c"], 12, seed=3)) != pairs
    assert augment.variant(2, 4) == pairs[4][1]
    assert augment.variant(2, 4, noise=False) == pairs[4][1].split(";noise")[0]


def test_variants_stay_within_the_settings():
    settings = augment.AugmentRange(crop=0.7, rotate=5, elastic=0.01, noise=0.1, points=4)
    steps = [augment._parse(augment.variant(0, i, settings)) for i in range(200)]
    assert all(700 <= step.crop[2] <= 1000 and abs(step.turn) <= 5 for step in steps)
    assert all(step.spread <= 0.01 and step.noise <= 0.1 and step.points == 4 for step in steps)
    assert min(step.crop[2] for step in steps) < 730
    assert min(step.turn for step in steps) < -4 < 4 < max(step.turn for step in steps)


@pytest.mark.parametrize(
    "chosen",
    [
        "",
        "crop:0,0,1000,1000",
        "augment:crop=0,0,1000",
        "augment:crop=600,0,600;rotate=0.00;elastic=0.0,6,0",
        "augment:crop=0,0,0;rotate=0.00;elastic=0.0,6,0",
        "augment:crop=0,0,1000;rotate=0.00;elastic=0.0,1,0",
        STILL + ";noise=x",
        "moved:from=a;shift=0,0;flip=0;scale=1000",
    ],
)
def test_variants_that_are_none(chosen):
    image, mask = slice_of(64)
    with pytest.raises(ConfigError, match="variant"):
        augment.apply(chosen, image, mask)


def test_wrong_arguments():
    with pytest.raises(ConfigError, match="crop out of range"):
        augment.AugmentRange(crop=0.1)
    for rows, count, seed in (([], 1, 0), (["a"], -1, 0), (["a"], 1, -1)):
        with pytest.raises(ConfigError, match="nothing to augment"):
            augment.augmented(rows, count, seed)
    with pytest.raises(ConfigError, match="one size"):
        augment.apply(STILL, np.zeros((8, 8), np.float32), np.zeros((8, 9), np.uint8))
