"""Slices for a training: what is read, what is kept for evaluations, and draws that only numbers decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from covid_synth_data.ct.labels import COLOURS
from generation.data import slices
from generation.data.slices import SliceBatches, coloured, held_out
from generation.training import loop
from tests.generation.ct_tiny import recipe_of, slices_of


def batches_of(**data) -> SliceBatches:
    recipe = recipe_of("pix2pix", data=data)
    return SliceBatches(recipe, slices_of(), loop.make_fabric(recipe, "cpu"))


def test_training_films_are_slices_with_maps_of_training_patients():
    (read,) = slices.read_slices(recipe_of("spade"), None, lambda done, total: None)
    assert isinstance(read, slices.TrainingSlices)
    assert read.pixels.shape == read.maps.shape
    assert len(read.pixels) + len(read.held_pixels) == len(read.image_ids)
    assert len(read.held_pixels) > 0
    assert set(np.unique(read.maps)) <= {0, 1, 2, 3}
    assert read.fingerprint() != replace(read, maps=read.maps[::-1]).fingerprint()


def test_slices_with_hardly_any_lung_are_left_out():
    (strict,) = slices.read_slices(
        recipe_of("spade", data={"least_lung": 0.2}), None, lambda done, total: None
    )
    assert all((side > 0).mean((1, 2)).min() >= 0.2 for side in (strict.maps, strict.held_maps))
    assert len(strict.image_ids) < len(slices_of().image_ids)


def test_a_batch_is_a_function_of_the_step():
    one, other = batches_of(), batches_of()
    for step in (0, 7, 3):
        assert all(torch.equal(a, b) for a, b in zip(one.batch(step), other.batch(step), strict=True))
    assert not torch.equal(one.batch(0)[1], one.batch(1)[1])


def test_maps_and_slices_go_together():
    m, x = batches_of().batch(0)
    assert m.shape == (2, 4, 64, 64)
    assert x.shape == (2, 1, 64, 64)
    assert (m.sum(1) == 1).all()
    assert (x[m[:, :1] == 1] == -1).all()
    assert x.abs().max() <= 1
    whole = batches_of(area="slice").batch(0)
    assert torch.equal(whole[0], m)
    assert (whole[1][m[:, :1] == 1] > -1).any()
    assert torch.equal(whole[1][m[:, :1] == 0], x[m[:, :1] == 0])


def test_an_epoch_draws_each_slice_as_often():
    batches, count = batches_of(augment=False, copies=1), len(slices_of().pixels)
    drawn = torch.cat([batches.batch(step)[1] for step in range(batches.per_epoch)])
    known = batches.pairs(slices_of().pixels, slices_of().maps)[1]
    found = [int((known == one).flatten(1).all(1).nonzero()[0]) for one in drawn]
    assert batches.per_epoch == count // 2
    assert len(set(found)) == len(found)
    assert batches_of(copies=3).per_epoch == 3 * count // 2


def test_augmented_draws_of_a_slice_differ():
    batches, count = batches_of(), len(slices_of().pixels)
    plain = batches_of(augment=False)
    assert not torch.equal(batches.batch(0)[0], plain.batch(0)[0])
    assert not torch.equal(batches.batch(0)[1], batches.batch(count)[1])


def test_looks_see_kept_slices():
    batches = batches_of()
    x = batches.first(3)[1]
    held = batches.pairs(slices_of().held_pixels, slices_of().held_maps)[1]
    assert all(any(torch.equal(one, other) for other in held) for one in x)
    assert len(batches.real(4)) == len(batches.maps(4)) == min(4, len(slices_of().pixels))


def test_held_out_are_neighbours_in_the_middle_of_each_patient():
    patients = ["a"] * 10 + ["b"] * 2 + ["c"]
    places = [*range(10, 0, -1), 5, 4, 1]
    kept = held_out(patients, places, 0.3)
    assert sorted(np.array(places)[:10][kept[:10]]) == [4, 5, 6]
    assert kept[10:12].sum() == 1
    assert not kept[12]


def test_paper_split_keeps_some_of_each_patient():
    (read,) = slices.read_slices(recipe_of("spade", data={"split": "paper"}), None, lambda done, total: None)
    assert len(read.held_pixels) > 0


def test_colours_are_the_papers():
    m = torch.eye(4).view(1, 4, 1, 4)
    shown = ((coloured(m)[0, :, 0].T + 1) * 127.5).round().int().tolist()
    assert shown == [list(colour) for colour in COLOURS]


def test_windows_show_lung_and_are_parts_of_the_same_slice():
    whole = batches_of(augment=False)
    cut = batches_of(augment=False, window=64, size=64)
    assert all(torch.equal(a, b) for a, b in zip(whole.batch(2), cut.batch(2), strict=True))
    large = replace(
        slices_of(),
        pixels=np.kron(slices_of().pixels, np.ones((2, 2), np.uint8)),
        maps=np.kron(slices_of().maps, np.ones((2, 2), np.uint8)),
    )
    recipe = recipe_of("pix2pix", data={"augment": False, "size": 128, "window": 64})
    windows = SliceBatches(recipe, large, loop.make_fabric(recipe, "cpu"))
    shares = []
    for step in range(12):
        m, x = windows.batch(step)
        assert m.shape == (2, 4, 64, 64)
        assert all(torch.equal(a, b) for a, b in zip(windows.batch(step), (m, x), strict=True))
        assert (x[m[:, :1] == 1] == -1).all()
        shares += (1 - m[:, 0]).mean((1, 2)).tolist()
    assert min(shares) > 0
    assert np.mean(shares) > 1.5 * (large.maps > 0).mean()


@pytest.mark.parametrize(("kind", "window"), [("pix2pix", 48), ("pix2pix", 80), ("spade", 64), ("sean", 64)])
def test_windows_that_cannot_be_are_refused(kind, window):
    with pytest.raises(ValidationError, match=r"data\.window"):
        recipe_of(kind, data={"window": window})
