"""Which slices are on which side, what a release may bring in, and what a completed slice is made of."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data import load_dataset
from covid_synth_data.benchmark.segmentation import data
from covid_synth_data.benchmark.segmentation.composition import Item
from covid_synth_data.ct import augment, labelmaps, phantom
from covid_synth_data.ct.labels import lung_field
from covid_synth_data.ct.slices import read_slice
from covid_synth_data.errors import EmptySplit, LeakError, ReleaseError
from covid_synth_data.release import manifest
from tests.benchmark.segmentation.conftest import SIDE


def quiet(done: int, total: int, what: str) -> None:
    pass


def sides_of(suite, rows, protocol="patient", limit=None):
    return data.split(suite, suite.protocols[protocol], rows, limit)[0]


def released(folder):
    return load_dataset("covid-synth-ct", "ct", root=folder)


def test_patients_are_apart(suite, rows) -> None:
    sides = sides_of(suite, rows)
    patients = {side: {row["patient_id"] for row in chosen} for side, chosen in sides.items()}
    assert all(patients.values())
    assert sum(map(len, patients.values())) == len(set().union(*patients.values()))


def test_slices_stand_in_the_order_of_the_body(suite, rows) -> None:
    for chosen in sides_of(suite, rows).values():
        patients = [row["patient_id"] for row in chosen]
        assert patients == sorted(patients, key=patients.index)
        for name in set(patients):
            numbers = [row["slice"] for row in chosen if row["patient_id"] == name]
            assert numbers == sorted(numbers)


def test_a_limit_leaves_the_test_as_it_is(suite, rows) -> None:
    whole, cut = sides_of(suite, rows), sides_of(suite, rows, limit=3)
    assert (len(cut["train"]), len(cut["validation"])) == (3, 3)
    assert cut["test"] == whole["test"]
    assert all(row in whole["train"] for row in cut["train"])


def test_the_papers_split_is_by_slice(suite, rows) -> None:
    sides = sides_of(suite, rows, "paper")
    names = [row["image_id"] for chosen in sides.values() for row in chosen]
    assert len(names) == len(set(names))
    patients = [{row["patient_id"] for row in chosen} for chosen in sides.values()]
    assert patients[0] & patients[2]


def test_sides_that_share_patients_are_refused(suite, rows) -> None:
    wrong = suite.protocols["paper"].model_copy(update={"apart": "patient"})
    with pytest.raises(LeakError, match="train and validation share .* patients"):
        data.split(suite, wrong, rows, None)
    nobody = suite.protocols["paper"].model_copy(update={"validation": ["validation"]})
    with pytest.raises(EmptySplit, match="no slice for validation"):
        data.split(suite, nobody, rows, None)


def test_synthetic_rows_know_their_slices(suite, rows, release, pairs) -> None:
    sides = sides_of(suite, rows)
    found = data.synthetic(released(release), sides)
    assert found.ids == [f"ct-{number:05d}" for number in range(12)]
    assert [sides["train"][source]["image_id"] for source in found.sources] == [
        row["image_id"] for row, _ in pairs
    ]
    assert (found.notes, set(found.generators)) == ([], {"grey.v1"})


def test_a_completed_slice_is_real_around_the_synthetic_lung(suite, rows, release, pairs) -> None:
    """Augmented label maps get the real slice augmented alike; moved lesions leave it as it is."""
    sides = sides_of(suite, rows)
    found = data.synthetic(released(release), sides)
    by_id = {row["image_id"]: row for row in rows}
    for index, (row, variant) in enumerate(pairs):
        image, mask = found.complete(index, sides["train"], SIDE)
        assert np.array_equal(mask, labelmaps.read(row, variant, by_id, SIDE))
        lung = lung_field(mask)
        assert lung.any()
        assert (image[lung] == 77).all()
        real, own = read_slice(row, SIDE)
        if labelmaps.donor_of(variant) is None:
            real, own = augment.apply(variant, real, own)
        assert np.array_equal(image[~lung], np.rint(real * 255).astype(np.uint8)[~lung])


def test_slices_of_phantoms_have_the_phantom_around_the_lung(suite, rows, make_release, tmp_path) -> None:
    """Their label maps are of nobody, so no side of the split counts."""
    options = {"size": SIDE, "patients": 3, "slices": 4, "seed": 5, "ragged": 1}
    others = phantom.rows(**options)
    pairs = [(row, "full") for row in others] + list(labelmaps.augmented(others, 1, seed=2))
    release = make_release(tmp_path / "covid-synth-ct", pairs)
    real = [{**row, "image_id": f"covid-ct/{row['source_id']}"} for row in rows]
    sides = sides_of(suite, real)
    assert data.synthetic(released(release), sides).ids == []
    found = data.synthetic(released(release), sides, options)
    assert found.notes == ["13 synthetic slices have the body of a phantom around the lung"]
    by_id = {row["image_id"]: row for row in others}
    for index, (row, variant) in enumerate(pairs):
        image, mask = found.complete(index, sides["train"], SIDE)
        assert np.array_equal(mask, labelmaps.read(row, variant, by_id, SIDE))
        body, own = augment.apply(variant, *read_slice(row, SIDE))
        lung = lung_field(own)
        assert (image[lung] == 77).all()
        assert np.array_equal(image[~lung], np.rint(body * 255).astype(np.uint8)[~lung])
        before, same = found.undrawn(index, sides["train"], SIDE)
        assert np.array_equal(before, np.rint(body * 255).astype(np.uint8))
        assert np.array_equal(same, mask)
    other = data.synthetic(released(release), sides, {**options, "seed": 6})
    with pytest.raises(ReleaseError, match="was not made from the slice at hand"):
        other.complete(0, sides["train"], SIDE)


def test_slices_with_moved_lesions_were_never_there_undrawn(suite, rows, release, pairs) -> None:
    sides = sides_of(suite, rows)
    found = data.synthetic(released(release), sides)
    for index, (row, variant) in enumerate(pairs):
        if labelmaps.donor_of(variant):
            with pytest.raises(ReleaseError, match=f"ct-{index:05d} has lesions that no slice shows"):
                found.undrawn(index, sides["train"], SIDE)
        else:
            image, mask = found.undrawn(index, sides["train"], SIDE)
            real, own = augment.apply(variant, *read_slice(row, SIDE))
            assert np.array_equal(image, np.rint(real * 255).astype(np.uint8))
            assert np.array_equal(mask, own)


def test_rows_of_slices_that_are_not_trained_on_are_left_out(suite, rows, release) -> None:
    sides = sides_of(suite, rows, limit=3)
    found = data.synthetic(released(release), sides)
    assert len(found.ids) < 12
    assert found.notes == [
        f"{12 - len(found.ids)} synthetic slices left out: made from slices that are not trained on"
    ]


@pytest.mark.parametrize("part", ["segmentation_test", "validation"])
def test_a_row_of_a_held_out_slice_is_refused(suite, rows, plan, make_release, tmp_path, part) -> None:
    held = getattr(plan, part)[0]
    release = make_release(tmp_path / "covid-synth-ct", [(plan.train[0], "full"), (held, "full")])
    with pytest.raises(LeakError, match=f"ct-00001 .* of the .* part; found {held['image_id']}"):
        data.synthetic(released(release), sides_of(suite, rows))


def test_lesions_of_a_held_out_slice_are_refused(suite, rows, plan, make_release, tmp_path) -> None:
    held = next(row for row in plan.segmentation_test if row["ggo_pixels"])
    variant = f"moved:from={held['image_id']};shift=0,0;flip=0;scale=1000"
    release = make_release(tmp_path / "covid-synth-ct", [(plan.train[0], variant)])
    with pytest.raises(LeakError, match=held["image_id"]):
        data.synthetic(released(release), sides_of(suite, rows))


def test_a_generator_that_learned_from_the_test_is_refused(suite, rows, plan) -> None:
    sides, rule = sides_of(suite, rows), suite.protocols["patient"]
    patient = plan.segmentation_test[0]["patient_id"]
    for films, patients in (([plan.segmentation_test[0]["image_id"]], []), ([], [patient])):
        with pytest.raises(LeakError, match="the test part has slices that a generator"):
            data.check_generator(sides, manifest.Learned(films=films, patients=patients), rule)
    seen = manifest.Learned(films=[], patients=[plan.validation[0]["patient_id"]])
    (note,) = data.check_generator(sides, seen, rule)
    assert "slices, or others of their patients, taught a generator" in note
    with pytest.raises(LeakError, match="the validation part"):
        data.check_generator(sides, seen, rule.model_copy(update={"generators_saw": []}))
    assert data.check_generator(sides, manifest.Learned(films=[], patients=[]), rule) == []


def test_a_release_of_other_slices_is_noticed(suite, rows, plan, make_release, tmp_path) -> None:
    """The names fit, the lungs do not: the user's copy of the source is another one."""

    def shifted(*arguments):
        return np.roll(labelmaps.read(*arguments), 9, axis=1)

    release = make_release(tmp_path / "covid-synth-ct", [(plan.train[0], "full")], masks=shifted)
    sides = sides_of(suite, rows)
    with pytest.raises(ReleaseError, match="ct-00000 was not made from the slice at hand"):
        data.synthetic(released(release), sides).complete(0, sides["train"], SIDE)


def test_a_release_without_label_maps(suite, rows, release) -> None:
    with pytest.raises(ReleaseError, match="no label maps"):
        data.synthetic(released(release).remove_columns("mask"), sides_of(suite, rows))


def test_items_are_put_together_in_order(suite, rows, release) -> None:
    sides = sides_of(suite, rows)
    train, made = data.read(sides["train"], SIDE, quiet, ""), data.synthetic(released(release), sides)
    variant = augment.variant(0, 0)
    items = [Item("real", 1), Item("synthetic", 2), Item("real", 1, variant), Item("real", 1)]
    images, masks = data.put_together(items, train, made, quiet)
    assert np.array_equal(images[0], train.images[1])
    assert np.array_equal(images[3], images[0])
    assert np.array_equal(images[1], made.complete(2, sides["train"], SIDE)[0])
    changed, mask = augment.apply(variant, train.images[1].astype(np.float32) / 255, train.masks[1])
    assert np.array_equal(images[2], np.rint(changed * 255).astype(np.uint8))
    assert np.array_equal(masks[2], mask)
    assert data.name_of(items[0], sides["train"], made) == f"{sides['train'][1]['image_id']} full"
    assert data.name_of(items[1], sides["train"], made).startswith("ct-00002 ")
