"""Files are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from covid_synth_data.errors import OutputError
from covid_synth_data.files.atomic import copy_file, remove_leftovers, replacing, write_text


def test_replacing(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    copy_file(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "two"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["copy", "file.txt", "new"]


def test_content_is_on_the_disk_before_it_replaces_the_old(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    flushed = []

    def fsync(handle):
        flushed.append((path.read_text(), os.pread(handle, 10, 0)))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "new")
    assert flushed == [("old", b"new")]
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")]
)
def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        half()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Next:") as caught:
        write_text(tmp_path / "file" / "below.txt", "x")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write_text(tmp_path / "x", "x")


WRITER = """
import sys, time
from pathlib import Path
from covid_synth_data.files.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def writer(path):
    """A process in the middle of writing `path`."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def hidden(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    with writer(tmp_path / "set.parquet") as process:
        process.kill()
    assert len(hidden(tmp_path)) == 1
    write_text(tmp_path / "other.txt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.txt"]


def test_what_a_living_process_writes_stays(tmp_path):
    with writer(tmp_path / "set.parquet"):
        write_text(tmp_path / "other.txt", "x")
        assert len(hidden(tmp_path)) == 1
        remove_leftovers(tmp_path)
        assert len(hidden(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", [".set.parquet.00000000-4194399.abcd.tmp", ".mine.tmp", ".a.b.tmp", "a.tmp"])
def test_files_of_other_machines_and_of_others_stay(tmp_path, name):
    (tmp_path / name).write_text("x")
    remove_leftovers(tmp_path)
    assert (tmp_path / name).is_file()
