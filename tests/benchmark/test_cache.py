"""The store: once made, never again; keyed by content; whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.benchmark import cache
from covid_synth_data.errors import OutputError


def make(keys):
    return np.array([[int(key), 7] for key in keys], np.uint8)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "SHARD_ROWS", 4)
    return cache.Store(tmp_path / "store", (2,), np.uint8)


def test_rows_come_back_by_key_in_any_order(store):
    store.add([str(n) for n in range(10)], make)
    assert store.rows(["9", "0", "9", "4"]).tolist() == [[9, 7], [0, 7], [9, 7], [4, 7]]
    assert len(list(store.folder.glob("*.npy"))) == 3


def test_only_what_is_missing_is_made_also_by_another_process(store):
    store.add(["1", "2"], make)
    asked = []
    other = cache.Store(store.folder, (2,), np.uint8)
    other.add(["2", "3", "3", "1"], lambda keys: asked.extend(keys) or make(keys))
    assert asked == ["3"]
    assert other.rows(["1", "2", "3"])[:, 0].tolist() == [1, 2, 3]


def test_a_stop_loses_the_shard_in_work_only(store):
    def fail_late(keys):
        if "4" in keys:
            raise KeyboardInterrupt
        return make(keys)

    with pytest.raises(KeyboardInterrupt):
        store.add([str(n) for n in range(8)], fail_late)
    again = cache.Store(store.folder, (2,), np.uint8)
    assert again.missing([str(n) for n in range(8)]) == ["4", "5", "6", "7"]
    assert not list(store.folder.glob(".*"))


def test_rows_without_keys_do_not_count(store):
    """What a kill between the two files leaves behind."""
    store.add(["1"], make)
    next(store.folder.glob("*.keys")).unlink()
    assert cache.Store(store.folder, (2,), np.uint8).missing(["1"]) == ["1"]


@pytest.mark.parametrize("damage", [b"", b"not an array"])
def test_a_damaged_shard_is_named(store, damage):
    store.add(["1"], make)
    next(store.folder.glob("*.npy")).write_bytes(damage)
    with pytest.raises(OutputError, match="is damaged.*remove the folder"):
        cache.Store(store.folder, (2,), np.uint8)


def test_a_store_of_another_shape_is_refused(store):
    store.add(["1"], make)
    with pytest.raises(OutputError, match="is damaged"):
        cache.Store(store.folder, (3,), np.uint8)


def test_a_full_disk_keeps_what_was_done(store, monkeypatch):
    import errno

    store.add(["1"], make)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(cache.np, "save", full)
    with pytest.raises(OutputError, match="free some space"):
        store.add(["2"], make)
    monkeypatch.undo()
    assert cache.Store(store.folder, (2,), np.uint8).rows(["1"]).tolist() == [[1, 7]]


def test_the_key_is_the_content_wherever_it_lies(tmp_path):
    (tmp_path / "film.png").write_bytes(b"film")
    by_path = cache.content_key({"bytes": None, "path": str(tmp_path / "film.png")})
    assert by_path == cache.content_key({"bytes": b"film", "path": "elsewhere.png"})
    assert by_path != cache.content_key({"bytes": b"films", "path": None})


def test_the_default_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path / "benchmark"
    monkeypatch.delenv("COVID_SYNTH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "covid-synth-data" / "benchmark"
