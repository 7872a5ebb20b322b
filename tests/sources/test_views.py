"""One rule for views, endings and hidden files."""

from __future__ import annotations

from pathlib import Path

import pytest

from covid_synth_data.files.pixels import SUFFIXES
from covid_synth_data.reader_study import films
from covid_synth_data.sources import disk, load_source, read_source, table, views
from tests.sources.conftest import grey, xray


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("frontal", ["PA", "ap", "AP Supine", "APS", "AP_supine", "AP-Erect", "AP (portable)", "PA erect"]),
        ("frontal", ["antero-posterior", "Posteroanterior", "postero anterior", "Frontal", "CHEST PA"]),
        ("lateral", ["L", "LL", "RL", "Lateral", "lat", "LLAT", "left lateral", "Right-Lat"]),
        ("", ["", "?", "Axial", "Coronal", "RAO", "LAO", "apical", "lordotic", "Pediatric", "A", "1", "AP1"]),
    ],
)
def test_views(kind: str, words: list[str]) -> None:
    for word in words:
        assert views.kind(word) == kind, word
        assert views.kind(word.lower()) == kind, word


def test_a_supine_film_in_short_is_used(chestxray) -> None:
    root = chestxray([xray("a.jpg", view="APS"), xray("b.jpg", view="LL")], ["a.jpg", "b.jpg"])
    frame = read_source("covid-chestxray", root)
    assert frame["excluded"].tolist() == ["", table.LATERAL]


@pytest.mark.parametrize("ending", [ending for ending in SUFFIXES if ending not in disk.DICOM_SUFFIXES])
def test_endings(chestxray, ending: str) -> None:
    if ending == ".jp2":
        pytest.importorskip("PIL.Jpeg2KImagePlugin")
    root = chestxray([xray("a.jpg")], [f"a{ending}"])
    rows = load_source("covid-chestxray", root)
    assert rows[0]["image"].mode == "L"


RUBBISH = ("__MACOSX/._x.png", "._film.png", ".hidden/film.png", "@eaDir/film.png", "notes.txt", "Thumbs.db")


def test_hidden_files_are_left_out_everywhere(tmp_path: Path) -> None:
    for name in RUBBISH:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"rubbish")
    for name in ("film-2.png", "film-10.JFIF", "below/film-3.tif", "below/film-4.dcm"):
        grey(tmp_path / name) if not name.endswith(("dcm", "JFIF")) else (tmp_path / name).write_bytes(b"x")
    assert disk.list_images(tmp_path) == ["film-2.png", "film-10.JFIF"]
    below = [path.relative_to(tmp_path).as_posix() for path in disk.films_below(tmp_path)]
    assert sorted(below) == ["below/film-3.tif", "below/film-4.dcm", "film-10.JFIF", "film-2.png"]
    assert sorted(film.name for film in films.real_films(str(tmp_path), None, "test", "")) == sorted(below)
