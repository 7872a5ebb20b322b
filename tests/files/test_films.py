"""One decoder: whatever the file, the Dataset, the arrays and what is written show the same film."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data import schema
from covid_synth_data.errors import BadImage
from covid_synth_data.files import films, pixels
from covid_synth_data.release.batches import batches
from covid_synth_data.sources import table
from tests import inputs

pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")


def rows(*paths: Path) -> Any:
    """A Dataset of these files."""
    common = {"label": "normal", "source_class": "", "source_license": "CC0 1.0"}
    frame = table.build("s", [{"source_id": f"{i}", "path": str(p), **common} for i, p in enumerate(paths)])
    return table.to_dataset(frame)


def every(folder: Path) -> list[Path]:
    return [inputs.write(kind, folder, f"film-{n}") for n, kind in enumerate(inputs.USABLE)]


@pytest.mark.parametrize("kind", inputs.USABLE)
def test_the_dataset_shows_what_load_grey_does(tmp_path: Path, kind: str) -> None:
    path = inputs.write(kind, tmp_path)
    grey = pixels.load_grey(path)
    shown = rows(path)[0]["image"]
    assert (shown.mode, grey.dtype, grey.shape) == ("L", np.uint8, inputs.SCENE.shape)
    np.testing.assert_array_equal(np.asarray(shown), grey)
    np.testing.assert_array_equal(next(batches(rows(path)))[0][0], grey)
    np.testing.assert_array_equal(pixels.load_grey(path.read_bytes()), grey)
    if kind in inputs.DECODED:
        assert np.abs(grey.astype(int) - inputs.SCENE).max() <= inputs.DECODED[kind]
    film = grey[4:] if kind == "DICOM with padding" else grey
    scene = inputs.SCENE[4:] if kind == "DICOM with padding" else inputs.SCENE
    assert np.corrcoef(film.ravel(), scene.ravel())[0, 1] > 0.99  # upright, not inverted


def test_plain_files_stay_as_they_are(tmp_path: Path) -> None:
    """Their bytes, and with them every digest, are those of the file."""
    for kind in ("8-bit grey PNG", "8-bit grey JPEG", "JPEG named .jfif"):
        path = inputs.write(kind, tmp_path, kind)
        assert films.cells([str(path)]) == [str(path)]
        out = tmp_path / f"{kind}.parquet"
        films.write_parquet(rows(path), out)
        kept = datasets.Dataset.from_parquet(str(out)).cast_column("image", datasets.Image(decode=False))
        assert kept[0]["image"] == {"bytes": path.read_bytes(), "path": path.name}


def test_a_torch_format_holds_one_type(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    shown = rows(*every(tmp_path)).with_format("torch")["image"][:]
    assert {film.dtype for film in shown} == {torch.uint8}
    assert len({tuple(film.shape) for film in shown}) == 1


def test_what_is_derived_from_a_dataset_shows_the_same(tmp_path: Path) -> None:
    """Through `map`, which writes the rows anew."""
    made = rows(*every(tmp_path / "x [v1]"))
    expected = [np.asarray(film) for film in made["image"]]
    mapped = made.map(lambda row: {"view": row["view"] + "x"}).shuffle(seed=1)
    for row in mapped:
        np.testing.assert_array_equal(np.asarray(row["image"]), expected[int(row["source_id"])])


@pytest.mark.parametrize("kind", inputs.BROKEN)
def test_no_film_is_one_line(tmp_path: Path, kind: str) -> None:
    path = inputs.write(kind, tmp_path, "lost")
    for read in (
        lambda: pixels.load_grey(path),
        lambda: rows(path)[0],
        lambda: list(batches(rows(path))),
        lambda: films.write_parquet(rows(path), tmp_path / "out.parquet"),
    ):
        with pytest.raises(BadImage, match=r"lost\.") as caught:
            read()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.parquet").exists()


FRESH = """
import sys, hashlib
sys.modules["covid_synth_data"] = None
import datasets
rows = datasets.load_dataset("parquet", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
for row in rows:
    print(row["image_id"], row["image"].mode, hashlib.sha256(row["image"].tobytes()).hexdigest())
"""


def opened_elsewhere(path: Path, cache: Path) -> dict[str, tuple[str, str]]:
    """Mode and hash of the pixels of every row, by a process that has `datasets` and not this package."""
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(path), str(cache)],
        capture_output=True,
        text=True,
        check=True,
        cwd=cache.parent,
        env={"PATH": "", "HF_HUB_OFFLINE": "1"},
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: (mode, digest) for name, mode, digest in lines}


def test_what_is_written_stands_alone_and_names_no_patient(tmp_path: Path) -> None:
    import hashlib

    made = rows(*every(tmp_path / "films"))
    out = tmp_path / "out.parquet"
    films.write_parquet(made, out)
    content = out.read_bytes()
    assert inputs.PATIENT.encode() in (tmp_path / "films/film-14.dcm").read_bytes()
    for planted in (inputs.PATIENT, inputs.PATIENT_ID, "DICM", str(tmp_path)):
        assert planted.encode() not in content
    there = opened_elsewhere(out, tmp_path / "cache")
    for row in made:
        pixels_of = hashlib.sha256(row["image"].tobytes()).hexdigest()
        assert there[row["image_id"]] == ("L", pixels_of)


def test_a_mix_over_dicom_stands_alone(tmp_path: Path) -> None:
    real = rows(*every(tmp_path / "films"))
    made = csd.load_source("phantom", patients=2, size=32).cast_column(
        "label", schema.features(("label",))["label"]
    )
    mixed = csd.mix(real, made, synthetic_count=3)
    films.write_parquet(mixed.with_format("torch"), tmp_path / "out.parquet")
    assert inputs.PATIENT_ID.encode() not in (tmp_path / "out.parquet").read_bytes()
    assert len(opened_elsewhere(tmp_path / "out.parquet", tmp_path / "cache")) == len(real) + 3


def test_bytes_that_grey_readers_show_otherwise_are_written_as_grey(tmp_path: Path) -> None:
    """A user's own set may hold deep grey or transparency; lossy WebP of grey levels stays as it is."""
    deep = np.linspace(0, 60_000, 64).reshape(8, 8).astype(np.uint16)
    alpha = np.stack([np.full((8, 8), 200, np.uint8), np.full((8, 8), 128, np.uint8)], axis=-1)
    kinds = {"deep": (deep, "PNG"), "alpha": (alpha, "PNG"), "webp": (deep.astype(np.uint8), "WEBP")}
    stored = {}
    for kind, (values, codec) in kinds.items():
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, codec)
        stored[kind] = buffer.getvalue()
    cells = {"image": [{"bytes": content, "path": None} for content in stored.values()], "label": [0] * 3}
    labels = datasets.ClassLabel(names=["normal"])
    features = datasets.Features({"image": datasets.Image(), "label": labels})
    films.write_parquet(datasets.Dataset.from_dict(cells, features=features), tmp_path / "own.parquet")
    read = datasets.Dataset.from_parquet(str(tmp_path / "own.parquet"))
    for shown, content in zip(read["image"], stored.values(), strict=True):
        assert shown.mode == "L"
        np.testing.assert_array_equal(np.asarray(shown), pixels.load_grey(content))
    written = read.cast_column("image", datasets.Image(decode=False))["image"]
    assert [cell["bytes"] == content for cell, content in zip(written, stored.values(), strict=True)] == [
        False,
        False,
        True,
    ]


def test_addresses() -> None:
    for path in ("/a [1]/b::c*?.png", "/tmp/~/%41.dcm", "/ä/x y.png", "/a#b?c.png"):
        address = pixels.address_of(path)
        assert pixels.file_of(address) == path
        assert pixels.file_of(path) == path
        assert not set(address) & set("[]*? ")
        assert address.count("::") == 0
    assert pixels.file_of("covid-synth-film://files/C%3A/films/x.png") == "C:/films/x.png"
    assert pixels.file_of("covid-synth-film://files/%2Fserver/films/x.png") == "//server/films/x.png"


def test_a_damaged_exif_block_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = inputs.write("JPEG on its side with EXIF orientation", tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"Exif\0\0") + 6
    raw[at : at + 8] = b"\xff" * 8
    path.write_bytes(bytes(raw))
    assert pixels.load_grey(path).shape == inputs.SCENE.shape[::-1]
    np.testing.assert_array_equal(np.asarray(rows(path)[0]["image"]), pixels.load_grey(path))
    assert isinstance(rows(path)[0]["image"], Image.Image)
