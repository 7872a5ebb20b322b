"""Batches: classes in turn, each film once a round, shares of several devices, films to look at."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from covid_synth_data.errors import ConfigError
from generation.data.batches import FilmBatches, PairBatches, check_share, to_float
from generation.data.films import TrainingImages
from tests.generation.tiny import recipe_of


def fabric(rank: int = 0, devices: int = 1) -> SimpleNamespace:
    return SimpleNamespace(global_rank=rank, world_size=devices, device=torch.device("cpu"))


def side(label: str, first: int, count: int) -> TrainingImages:
    """Films of 4 x 4 pixels of one grey value each: `first`, `first` + 1, ..."""
    values = np.arange(first, first + count, dtype=np.uint8)
    ids = [f"set/{value}" for value in values]
    return TrainingImages(label, np.repeat(values, 16).reshape(count, 4, 4), ids, ["MIT"])


def greys(x: torch.Tensor) -> list[int]:
    """The grey value of each film of a batch."""
    return x.add(1).mul(127.5).round()[:, 0, 0, 0].int().tolist()


CLASSES = [side("normal", 0, 10), side("pneumonia", 100, 3), side("covid-19", 200, 5)]


def batches(per_step: int, *, rank: int = 0, devices: int = 1, balanced: bool = True) -> FilmBatches:
    recipe = recipe_of("diffaug", data={"balanced": balanced})
    return FilmBatches(recipe, CLASSES, fabric(rank, devices), per_step)


def test_films_are_floats_of_one_channel():
    x, y = batches(6).batch(0)
    assert (x.shape, x.dtype, y.dtype) == ((6, 1, 4, 4), torch.float32, torch.int64)
    ends = to_float(torch.tensor([[[0, 255]]], dtype=torch.uint8))
    assert ends.flatten().tolist() == [-1, 1]


def test_balanced_batches_hold_the_classes_in_turn():
    drawn = batches(4)
    labels = [label for step in range(6) for label in drawn.batch(step)[1].tolist()]
    assert labels == [i % 3 for i in range(24)]
    for step in range(6):
        x, y = drawn.batch(step)
        assert [grey // 100 for grey in greys(x)] == y.tolist()


def test_each_film_comes_once_a_round_of_its_class():
    drawn = batches(3)
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for step in range(30):
        x, y = drawn.batch(step)
        for grey, label in zip(greys(x), y.tolist(), strict=True):
            seen[label].append(grey)
    for label, films in enumerate(CLASSES):
        whole = {int(film[0, 0]) for film in films.pixels}
        rounds = [seen[label][i : i + len(whole)] for i in range(0, 30, len(whole))]
        assert all(set(one) == whole for one in rounds)
        assert len({tuple(one) for one in rounds}) > 1  # in another order each time


def test_unbalanced_batches_take_every_film_once_a_round():
    drawn = batches(6, balanced=False)
    assert drawn.per_epoch == 3
    for epoch in range(2):
        found = [batch for step in range(3) for batch in [drawn.batch(3 * epoch + step)]]
        values = Counter(grey for x, _ in found for grey in greys(x))
        assert values == Counter(int(film[0, 0]) for part in CLASSES for film in part.pixels)
        assert all(grey // 100 == label for x, y in found for grey, label in zip(greys(x), y, strict=True))


def test_a_batch_depends_on_seed_and_step_alone():
    one, two = batches(5), batches(5)
    for step in (7, 2, 7):
        assert torch.equal(one.batch(step)[0], two.batch(step)[0])
    other = FilmBatches(recipe_of("diffaug", seed=4), CLASSES, fabric(), 5)
    assert any(greys(one.batch(step)[0]) != greys(other.batch(step)[0]) for step in range(4))


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("balanced", [True, False])
def test_devices_share_a_batch_without_overlap(devices, balanced):
    whole = batches(6, balanced=balanced)
    ranks = [batches(6, rank=rank, devices=devices, balanced=balanced) for rank in range(devices)]
    for step in range(5):
        shares = [part.batch(step) for part in ranks]
        assert {len(x) for x, _ in shares} == {6 // devices}
        for place in range(2):
            together = torch.cat([share[place] for share in shares])
            assert torch.equal(together, whole.batch(step)[place])


@pytest.mark.parametrize("devices", [2, 3])
def test_each_device_has_films_of_every_class(devices):
    for rank in range(devices):
        labels = batches(3 * devices, rank=rank, devices=devices).batch(0)[1]
        assert sorted(labels.tolist()) == [0, 1, 2]


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(ConfigError, match="a batch of 5 cannot be shared by 2 devices"):
        batches(5, devices=2)
    with pytest.raises(ConfigError, match="a batch of 3 cannot be shared by 2 devices"):
        check_share(3, fabric(devices=2))


def test_flips_are_drawn_anew_and_off_by_default():
    slope = np.broadcast_to(np.arange(4, dtype=np.uint8), (6, 4, 4))
    films = [TrainingImages("covid-19", np.ascontiguousarray(slope), [str(i) for i in range(6)], ["MIT"])]

    def mirrored(flip: bool, rank: int = 0) -> list[list[bool]]:
        recipe = recipe_of("dcgan", training={"flip": flip})
        drawn = FilmBatches(recipe, films, fabric(rank, 2), 12)
        return [(x[:, 0, 0, 0] > x[:, 0, 0, 3]).tolist() for x, _ in map(drawn.batch, range(8))]

    assert not any(map(any, mirrored(False)))
    some = mirrored(True)
    assert 10 < sum(map(sum, some)) < 38
    assert len(set(map(tuple, some))) > 1
    assert some != mirrored(True, rank=1)
    assert some == mirrored(True)


def test_films_to_look_at_are_spread_over_the_classes():
    drawn = batches(3)
    x, y = drawn.first(6)
    assert y.tolist() == [0, 1, 2, 0, 1, 2]
    assert greys(x)[0] == 0
    assert greys(x)[5] == 204
    real = drawn.real(9)
    assert Counter(int(film[0, 0]) // 100 for film in real) == {0: 3, 1: 3, 2: 3}
    assert [int(film[0, 0]) for film in real[:3]] == [0, 4, 9]
    assert len(drawn.real(1000)) == 18
    assert len({int(film[0, 0]) for film in drawn.real(1000)}) == 18


def test_pairs_are_drawn_as_before_from_both_domains(recipe):
    """The order of a CycleGAN's films is part of its weights: it must stay as it is."""
    domains = [side("normal", 0, 8), side("covid-19", 200, 8)]
    drawn = PairBatches(recipe, domains, fabric())
    assert (drawn.per_epoch, drawn.batch_size) == (2, 4)
    for step in range(5):
        epoch, index = divmod(step, 2)
        for domain, x in enumerate(drawn.batch(step)):
            order = np.random.default_rng([recipe.seed, 1 + epoch, domain]).permutation(8)
            expected = order[4 * index : 4 * index + 4] + 200 * domain
            assert greys(x) == expected.tolist()
    halves = [PairBatches(recipe, domains, fabric(rank, 2)).batch(3) for rank in range(2)]
    for domain in range(2):
        whole = greys(drawn.batch(3)[domain])
        assert [greys(half[domain]) for half in halves] == [whole[0::2], whole[1::2]]
    assert greys(drawn.first(3)[1]) == [200, 201, 202]
    assert [int(film[0, 0]) for film in drawn.real(2)] == [200, 207]
    assert [int(film[0, 0]) for film in drawn.sources(3)] == [0, 1, 2]
