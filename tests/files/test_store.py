"""The store: once made, never again; keyed by content; whole or not at all."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import OutputError
from covid_synth_data.files import store as cache


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


def test_rows_without_a_digest_do_not_count(store):
    """Nothing would say whose they are."""
    store.add(["1"], make)
    next(store.folder.glob("*.sha256")).unlink()
    assert cache.Store(store.folder, (2,), np.uint8).missing(["1"]) == ["1"]


def test_rows_of_other_films_are_refused_and_the_rest_stays(store):
    """Two shards of one shape whose arrays were exchanged, and a third."""
    for key in "123":
        store.add([key], make)
    one, two = (next(p for p in store.folder.glob("*.npy") if np.load(p)[0, 0] == n) for n in (1, 2))
    content = one.read_bytes(), two.read_bytes()
    two.write_bytes(content[0])
    one.write_bytes(content[1])
    found = cache.Store(store.folder, (2,), np.uint8)
    for key, path in (("1", one), ("2", two)):
        with pytest.raises(OutputError, match=f"{path.name} is damaged; found rows of other films.*remove"):
            found.rows(["3", key])
    assert found.rows(["3"]).tolist() == [[3, 7]]
    for path in (one, two):
        path.unlink()
        path.with_suffix(".keys").unlink()
    mended = cache.Store(store.folder, (2,), np.uint8)
    mended.add(["1", "2", "3"], make)
    assert mended.rows(["1", "2", "3"])[:, 0].tolist() == [1, 2, 3]


def array(rows):
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".npy", b""),
        (".npy", b"not an array"),
        (".npy", array(np.zeros((1, 2), np.uint8))[:-1]),
        (".npy", array(np.zeros((1, 2), np.uint8)) + b"more"),
        (".npy", array(np.zeros((2, 2), np.uint8))),
        (".npy", array(np.array([[None, None]]))),
        (".keys", b""),
        (".keys", b"2\n"),
        (".keys", b"\xff\xfe"),
    ],
)
def test_a_damaged_shard_is_named_and_the_others_stay(store, suffix, damage):
    store.add(["1"], make)
    damaged = next(store.folder.glob(f"*{suffix}"))
    store.add(["2"], make)
    damaged.write_bytes(damage)
    with pytest.raises(OutputError, match=f"{damaged.stem}.npy is damaged.*remove {damaged.stem}.npy and"):
        cache.Store(store.folder, (2,), np.uint8)
    for file in store.folder.glob(f"{damaged.stem}*"):
        file.unlink()
    mended = cache.Store(store.folder, (2,), np.uint8)
    assert mended.missing(["1", "2"]) == ["1"]
    assert mended.rows(["2"]).tolist() == [[2, 7]]


def test_many_rows_are_gathered_as_one_by_one(store):
    """By shard, whatever the order and however often a row is asked for."""
    keys = [str(n) for n in range(40)]
    store.add(keys, make)
    for count in (0, 1, 7, 200):
        asked = [keys[n] for n in np.random.default_rng(count).integers(0, 40, count)]
        found = store.rows(asked)
        assert found.shape == (count, 2)
        assert found.dtype == np.uint8
        assert found[:, 0].tolist() == [int(key) for key in asked]
        assert np.array_equal(store.take(store.places(asked)), found)
    with pytest.raises(KeyError, match="absent"):
        store.rows(["1", "absent"])


def test_pages_are_let_go_and_rows_stay(store):
    keys = [str(n) for n in range(10)]
    store.add(keys, make)
    before = store.rows(keys)
    store.let_go()
    assert np.array_equal(store.rows(keys), before)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux counts the pages")
def test_pages_that_were_let_go_do_not_count_as_memory(tmp_path):
    large = cache.Store(tmp_path, (1024, 1024), np.uint8)
    keys = [str(n) for n in range(64)]
    large.add(keys, lambda part: np.ones((len(part), 1024, 1024), np.uint8))

    def shared():
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Shared", "Private_Clean")))

    large.let_go()
    before = shared()
    large.rows(keys)
    assert shared() - before > 50 * 1024
    large.let_go()
    assert shared() - before < 10 * 1024


def test_a_shard_that_is_gone_is_named(store):
    store.add(["1"], make)
    next(store.folder.glob("*.npy")).unlink()
    with pytest.raises(OutputError, match="is damaged.*the next run makes them again"):
        store.let_go()


def test_what_is_given_out_is_a_copy(store):
    store.add(["1", "2", "3"], make)
    for asked in (["1"], ["1", "2"]):
        store.rows(asked)[:] = 0
    assert store.rows(["1", "2"])[:, 0].tolist() == [1, 2]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no list of open files on this system")
def test_a_store_holds_no_file_open(store):
    def opened():
        return len(list(Path("/dev/fd").iterdir()))

    before = opened()
    store.add([str(n) for n in range(60)], make)
    other = cache.Store(store.folder, (2,), np.uint8)
    assert other.rows(["59", "0"])[:, 0].tolist() == [59, 0]
    assert opened() == before


@pytest.mark.parametrize(("shape", "dtype"), [((3,), np.uint8), ((), np.uint8), ((2,), np.int8)])
def test_a_store_of_another_kind_is_refused(store, shape, dtype):
    store.add(["1"], make)
    with pytest.raises(OutputError, match="holds something else.*remove that folder"):
        cache.Store(store.folder, shape, dtype)


def test_a_full_disk_keeps_what_was_done(store, monkeypatch):
    store.add(["1"], make)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(cache, "_save", full)
    with pytest.raises(OutputError, match="free some space"):
        store.add(["2"], make)
    monkeypatch.undo()
    assert cache.Store(store.folder, (2,), np.uint8).rows(["1"]).tolist() == [[1, 7]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_called_so(tmp_path):
    """By the system's own word for it; NumPy's would be how many bytes it could write."""
    with pytest.raises(OSError, match="No space left") as found:
        cache._save(Path("/dev/full"), np.zeros((512, 4096), np.uint8))
    assert found.value.errno == errno.ENOSPC
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    cache._save(tmp_path / "rows.npy", rows)
    assert (tmp_path / "rows.npy").read_bytes() == array(rows)


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
