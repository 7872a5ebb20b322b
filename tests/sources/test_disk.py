"""Finding folders, listing and matching files, reading tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from covid_synth_data.errors import BadMetadata, MissingSource
from covid_synth_data.sources import disk, kermany
from covid_synth_data.sources.disk import match, read_table, safe_name
from tests.sources.conftest import grey


def test_root_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk.resolve_root(None) is None
    monkeypatch.setenv("COVID_SYNTH_SOURCES", str(tmp_path))
    assert disk.resolve_root(None) == tmp_path
    assert disk.resolve_root(tmp_path / ".") == tmp_path
    monkeypatch.setenv("COVID_SYNTH_SOURCES", str(tmp_path / "gone"))
    with pytest.raises(MissingSource, match=r"gone.*COVID_SYNTH_SOURCES"):
        disk.resolve_root(None)


def test_root_that_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match="no folder"):
        disk.resolve_root(grey(tmp_path / "a.png"))


@pytest.mark.parametrize("place", ["root/chest_xray", "root/chest_xray/chest_xray", "root", "kermany"])
def test_places_of_a_set(tmp_path: Path, place: str) -> None:
    for name in ("NORMAL", "PNEUMONIA"):
        (tmp_path / place / "train" / name).mkdir(parents=True)
    root = tmp_path / place.split("/")[0]
    assert disk.find(kermany.INFO, root) == tmp_path / place


def test_a_folder_of_its_name_counts_even_when_damaged(tmp_path: Path) -> None:
    assert disk.find(kermany.INFO, tmp_path) is None
    (tmp_path / "chest_xray").mkdir()
    assert disk.find(kermany.INFO, tmp_path) == tmp_path / "chest_xray"


def test_list_images_in_natural_order_without_rubbish(tmp_path: Path) -> None:
    for name in ("film-10.png", "film-2.JPEG", "film-1.Jpg"):
        grey(tmp_path / name)
    for name in ("._film-1.jpg", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.png").mkdir()
    assert disk.list_images(tmp_path) == ["film-1.Jpg", "film-2.JPEG", "film-10.png"]
    assert disk.list_images(tmp_path / "gone") == []


def test_match_prefers_the_exact_file() -> None:
    assert match(["a.jpg", "a.png"], ["a.png", "a.jpg"]) == ["a.jpg", "a.png"]
    assert match(["a.jpg", "a.png"], ["a.png"]) == ["", "a.png"]
    assert match(["a.jpg", "B.JPG", "c.d.png"], ["A.JPEG", "b.jpg", "c.d.Png"]) == [
        "A.JPEG",
        "b.jpg",
        "c.d.Png",
    ]
    assert match(["", "x.png"], ["y.png", ""]) == ["", ""]


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/a.png", "a/b.png", "C:\\a.png", "..", ".", "a\0.png", "a" * 300]
)
def test_unsafe_names(name: str) -> None:
    assert not safe_name(name)


@pytest.mark.parametrize(
    "name", ["a.png", "figure 1 (a).jpeg", "10.1016-S0140..jpg", "Röntgen.png", "..a.png"]
)
def test_safe_names(name: str) -> None:
    assert safe_name(name)


def table_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "metadata.csv"
    path.write_bytes(content)
    return path


def test_read_table(tmp_path: Path) -> None:
    path = table_of(tmp_path, b'\xef\xbb\xbfid, view,\n 1 ,"P\nA",\n\n2,AP\n3,PA,,,\n4,PA,,x\n5,P\0A,\n,,\n')
    records = read_table(path, ["id", "view"])
    assert [record.values["id"] for record in records] == ["1", "2", "3", "4", "5", ""]
    assert [record.broken for record in records] == [False, True, False, True, True, False]
    assert [record.row for record in records] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 columns named 'id'"),
        (b"id,id,view\n", "2 columns named 'id'"),
        (b"a,b\n1,2\n", r"metadata.csv, line 1 .*'id'.*found a, b"),
        (
            b"id,view\n1,PA\n2,caf\xe9\n",
            r"metadata.csv, line 3, about column 2 is not UTF-8; found byte 0xe9",
        ),
        ("id,view\n".encode("utf-16"), "line 1, about column 1 is not UTF-8"),
        (b"id,view\n1," + b"x" * 200_000, "line 2 is no CSV"),
    ],
)
def test_read_table_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadMetadata, match=message):
        read_table(table_of(tmp_path, content), ["id", "view"])


def test_read_table_refuses_what_is_far_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MAX_TABLE_BYTES", 5)
    with pytest.raises(BadMetadata, match="8 bytes"):
        read_table(table_of(tmp_path, b"id,view\n"), ["id"])


def test_read_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingSource, match=r"metadata\.csv"):
        read_table(tmp_path / "metadata.csv", ["id"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42.0), ("0", 0.0), ("999", None), ("-1", None), ("", None), ("old", None), ("nan", None)],
)
def test_numbers(text: str, value: float | None) -> None:
    assert disk.Record(2, {"age": text}, broken=False).number("age", 0, 120) == value
