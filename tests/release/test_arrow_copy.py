"""The Arrow copy that `datasets` keeps: what is read is what was checked, or it is made again."""

from __future__ import annotations

import os
from pathlib import Path

import datasets
import numpy as np
import pytest

import covid_synth_data as csd
from covid_synth_data.errors import CorruptRelease
from covid_synth_data.release import arrow_copy


def load(world):
    return csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)


def copy_of(rows) -> Path:
    return Path(rows.cache_files[0]["filename"])


def pixels(rows) -> np.ndarray:
    return np.stack([np.asarray(image) for image in rows["image"]])


def flip(path: Path, place: int) -> None:
    """Change one bit and leave size and time as they were: what a bad disk does."""
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=times)


@pytest.fixture
def made(monkeypatch):
    """Counts the copies that are made."""
    seen = []
    prepare = datasets.DatasetBuilder.download_and_prepare
    monkeypatch.setattr(
        datasets.DatasetBuilder,
        "download_and_prepare",
        lambda self, *args, **kwargs: (seen.append(self), prepare(self, *args, **kwargs)),
    )
    return seen


def test_a_whole_copy_is_used_again(world, made):
    first = load(world)
    assert copy_of(load(world)) == copy_of(first)
    assert len(made) == 1


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_the_copy_gives_the_pixels_as_released(world, made, part):
    expected = pixels(load(world))
    copy = copy_of(load(world))
    flip(copy, int(part * copy.stat().st_size))
    assert np.array_equal(pixels(load(world)), expected)
    assert len(made) == 2


def damage(copy: Path, how: str) -> None:
    if how == "cut":
        os.truncate(copy, copy.stat().st_size // 2)
    elif how == "empty":
        copy.write_bytes(b"")
    elif how == "gone":
        copy.unlink()
    elif how == "info":
        (copy.parent / "dataset_info.json").write_text("{")
    elif how == "note":
        home = next(up for up in copy.parents if (up / arrow_copy.NOTE).is_file())
        (home / arrow_copy.NOTE).write_text("{")


@pytest.mark.parametrize("how", ["cut", "empty", "gone", "info", "note"])
def test_a_damaged_copy_is_made_again(world, made, how):
    expected = pixels(load(world))
    damage(copy_of(load(world)), how)
    assert np.array_equal(pixels(load(world)), expected)
    assert np.array_equal(pixels(load(world)), expected)
    assert len(made) == 2


def test_shards_are_compared_byte_for_byte_before_they_are_copied(world, made):
    shard = min((world.release / "cyclegan").iterdir())
    flip(shard, shard.stat().st_size // 2)
    with pytest.raises(CorruptRelease, match="sha256"):
        load(world)
    assert made == []
    flip(shard, shard.stat().st_size // 2)
    assert len(load(world)) == 24


def test_a_copy_that_was_checked_serves_though_a_shard_rots_later(world):
    expected = pixels(load(world))
    shard = min((world.release / "cyclegan").iterdir())
    flip(shard, shard.stat().st_size // 2)
    assert np.array_equal(pixels(load(world)), expected)
    assert not csd.verify(world.release).whole
