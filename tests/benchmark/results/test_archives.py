"""Result files in archives are read as if they lay in the folder; damaged and crafted ones are refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.results import archives
from covid_synth_data.errors import OutputError, ResultError


def archive(path, members):
    """A *.tar.xz with these files (name to content)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_files_in_archives_are_found_beside_others_and_unpacked_once(tmp_path):
    folder = tmp_path / "results"
    archive(folder / "archives" / "suite.tar.xz", {"suite/a/seed-0.json": b"{}", "suite/notes.txt": b"no"})
    (folder / "mine").mkdir()
    (folder / "mine" / "seed-1.json").write_text("{}")
    found = results.find(folder)
    assert [path.name for path in found] == ["seed-1.json", "seed-0.json"]
    assert results.find(folder, "classification") == found
    assert results.has(folder, "classification")
    assert not results.has(folder, "segmentation")
    unpacked = found[1].parents[2]
    assert not list(unpacked.rglob("notes.txt"))
    found[1].write_text("kept")
    assert results.find(folder)[1].read_text() == "kept"  # not unpacked again
    # Another content is another folder.
    archive(folder / "archives" / "suite.tar.xz", {"suite/a/seed-0.json": b"[]"})
    assert results.find(folder)[1].read_text() == "[]"


def test_an_archive_is_read_alone(tmp_path):
    one = archive(tmp_path / "one.tar.xz", {"suite/a/seed-0.json": b"{}"})
    archive(tmp_path / "two.tar.xz", {"suite/a/seed-1.json": b"{}"})
    assert [path.name for path in results.find(one)] == ["seed-0.json"]
    assert results.has(one, "classification")
    other = tmp_path / "notes.txt"
    other.write_text("no archive")
    with pytest.raises(ResultError, match="no results in .*notes.txt"):
        results.find(other)


def test_a_damaged_archive_is_one_line(tmp_path):
    whole = archive(tmp_path / "suite.tar.xz", {"seed-0.json": b"{}" * 5000})
    content = whole.read_bytes()
    for damaged in (content[: len(content) // 2], b"no archive at all", b""):
        whole.write_bytes(damaged)
        with pytest.raises(ResultError, match=r"cannot read the archive .*suite\.tar\.xz"):
            results.find(tmp_path)
        assert not list((archives.cache_folder() / "results").glob("*"))  # nothing half unpacked


def test_a_file_outside_the_archive_is_refused(tmp_path):
    archive(tmp_path / "in" / "suite.tar.xz", {"../../../seed-0.json": b"{}"})
    with pytest.raises(ResultError, match="outside"):
        results.find(tmp_path / "in")
    assert not list(tmp_path.rglob("seed-0.json"))


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    archive(tmp_path / "suite.tar.xz", {"seed-0.json": b"{}" * 100})
    monkeypatch.setattr(archives, "MOST_BYTES", 199)
    with pytest.raises(ResultError, match="more than"):
        results.find(tmp_path)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    archive(tmp_path / "suite.tar.xz", {"seed-0.json": b"{}"})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot write"):
        results.find(tmp_path)
