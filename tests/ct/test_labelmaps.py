"""New label maps: augmented, and lesions in another patient's lungs."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.ct import augment, labelmaps, labels, phantom, slices
from covid_synth_data.errors import BadImage, ConfigError, EmptySplit

pytest.importorskip("torchvision")

STAY = "moved:from=donor;shift=0,0;flip=0;scale=1000"


def lungs(size: int = 100) -> np.ndarray:
    """Two lungs as bars."""
    mask = np.zeros((size, size), np.uint8)
    mask[20:80, 10:40] = mask[20:80, 60:90] = 1
    return mask


def test_lesions_keep_their_place_in_lungs_of_another_size_and_position():
    donor = lungs()
    donor[30:40, 15:25] = 2
    host = np.zeros((200, 200), np.uint8)
    host[60:180, 40:100] = host[60:180, 140:200] = 1  # twice as large, 20 lower and 20 to the right
    made = labelmaps.make(STAY, host, lambda _: donor)
    wanted = host.copy()
    wanted[80:100, 50:70] = 2
    assert np.array_equal(made, wanted)


@pytest.mark.parametrize(
    ("variant", "rows", "columns"),
    [
        ("shift=100,0;flip=0;scale=1000", (30, 40), (23, 33)),
        ("shift=0,-100;flip=0;scale=1000", (24, 34), (15, 25)),
        ("shift=0,0;flip=1;scale=1000", (30, 40), (75, 85)),
    ],
)
def test_shift_and_flip(variant, rows, columns):
    donor = lungs()
    donor[30:40, 15:25] = 3
    made = labelmaps.make(f"moved:from=donor;{variant}", lungs(), lambda _: donor)
    where = np.nonzero(made == 3)
    assert (where[0].min(), where[0].max() + 1) == rows
    assert (where[1].min(), where[1].max() + 1) == columns


def test_the_hosts_own_lesions_are_healed_and_nothing_leaves_its_lungs():
    host, donor = lungs(), lungs()
    host[50:60, 70:80] = 3
    donor[20:80, 30:40] = 2
    made = labelmaps.make("moved:from=donor;shift=60,0;flip=0;scale=1000", host, lambda _: donor)
    assert np.array_equal(made > 0, host > 0)
    assert not (made == 3).any()
    assert (made == 2).any()
    share = labelmaps.kept("moved:from=donor;shift=60,0;flip=0;scale=1000", host, donor)
    assert 0.3 < share < 0.7


def test_moved_pairs(phantom_rows):
    pairs = list(labelmaps.moved(phantom_rows, 20, seed=1))
    by_id = {row["image_id"]: row for row in phantom_rows}
    kept = []
    for row, variant in pairs:
        donor = by_id[labelmaps.donor_of(variant)]
        assert donor["patient_id"] != row["patient_id"]
        made, own = labelmaps.read(row, variant, by_id), slices.read_mask(row)
        assert np.array_equal(labels.lung_field(made), labels.lung_field(own))
        kept.append(labelmaps.kept(variant, own, slices.read_mask(donor)))
        assert labels.infection(made).any()
    assert np.mean(np.array(kept) > 0.5) > 0.9
    assert list(labelmaps.moved(phantom_rows, 7, seed=1)) == pairs[:7]
    assert [variant for _, variant in labelmaps.moved(phantom_rows, 7, seed=2)] != [v for _, v in pairs[:7]]
    assert len({variant for _, variant in pairs}) == 20


def test_augmented_pairs_are_geometry_alone(phantom_rows):
    pairs = list(labelmaps.augmented(phantom_rows, 60, seed=4))
    assert [row["image_id"] for row, _ in pairs[54:]] == [row["image_id"] for row in phantom_rows[:6]]
    assert all("noise" not in variant and variant.startswith(augment.PREFIX) for _, variant in pairs)
    row, variant = pairs[0]
    made = labelmaps.read(row, variant, {}, side=32)
    assert made.shape == (32, 32)
    assert set(np.unique(made)) <= {0, 1, 2, 3}
    assert np.array_equal(made, augment.apply_mask(variant, slices.read_mask(row, 32)))
    assert labelmaps.donor_of(variant) is None


def test_what_cannot_be_moved(phantom_rows):
    one = [row for row in phantom_rows if row["patient_id"] == "ct-phantom:1"]
    with pytest.raises(EmptySplit, match=r"found 1 patients"):
        labelmaps.moved(one, 3)
    with pytest.raises(ConfigError, match="nothing to augment"):
        labelmaps.moved([], 3)
    with pytest.raises(ConfigError, match=r"donor.*not there.*found donor"):
        labelmaps.read(phantom_rows[0], STAY, {})
    with pytest.raises(ConfigError, match="without the donor"):
        labelmaps.make(STAY, lungs())
    with pytest.raises(BadImage, match="no lung in the label map of the host"):
        labelmaps.make(STAY, np.zeros((8, 8), np.uint8), lambda _: lungs())
    with pytest.raises(ConfigError, match="variant"):
        labelmaps.make("moved:from=a", lungs(), lambda _: lungs())


def test_slices_without_lung_are_no_hosts():
    rows = phantom.rows(size=64, patients=2, slices=3)
    empty = rows[0] | {"mask": {"bytes": slices.png(np.zeros((64, 64), np.uint8)), "path": None}}
    hosts = [row["image_id"] for row, _ in labelmaps.moved([empty, *rows[1:]], 10)]
    assert len(hosts) == 10
    assert empty["image_id"] not in hosts


def test_a_move_that_would_lose_the_lesion_is_not_taken(phantom_rows):
    """A lesion in the middle, where the host has no lung, is passed over for one that stays."""
    middle, side = lungs(128), lungs(128)
    middle[20:80, 40:60] = 2
    side[30:60, 15:35] = 2

    def row(name: str, mask: np.ndarray) -> dict[str, object]:
        cell = {"bytes": slices.png(mask), "path": None}
        return {"image_id": name, "patient_id": name, "mask": cell}

    rows = [row("host", lungs(128)), row("middle", middle), row("side", side)]
    taken = [labelmaps.donor_of(variant) for host, variant in labelmaps.moved(rows, 60) if host is rows[0]]
    assert taken == ["side"] * 20
    with pytest.raises(EmptySplit, match="no slice has lungs"):
        labelmaps.moved([row("a", _speck(2)), row("b", _speck(2))], 1)


def _speck(value: int) -> np.ndarray:
    mask = np.zeros((128, 128), np.uint8)
    mask[60:66, 60:66] = value
    return mask
