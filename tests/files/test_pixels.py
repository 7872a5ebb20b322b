"""Any file to an 8-bit grey array, or one clear line."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import BadImage
from covid_synth_data.files import pixels

RAMP = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)


def save(path, image: Image.Image, **options: object):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "PNG", "JPG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_and_rgb(tmp_path, suffix, mode):
    kind = "PNG" if suffix.lower() == "png" else "JPEG"
    path = save(tmp_path / f"film.{suffix}", Image.fromarray(RAMP).convert(mode), format=kind)
    grey = pixels.load_grey(path)
    assert grey.dtype == np.uint8
    assert grey.shape == (48, 64)
    assert np.abs(grey.astype(int) - RAMP).max() <= 6


def test_sixteen_bit_uses_its_whole_range(tmp_path):
    values = (RAMP.astype(np.uint16) * 16 + 1000).astype(np.uint16)
    path = save(tmp_path / "film.png", Image.fromarray(values))
    assert np.abs(pixels.load_grey(path).astype(int) - RAMP).max() <= 1


def test_a_flat_sixteen_bit_film_is_black(tmp_path):
    path = save(tmp_path / "film.png", Image.fromarray(np.full((4, 4), 9000, np.uint16)))
    assert not pixels.load_grey(path).any()


def test_palette_and_transparency(tmp_path):
    palette = Image.fromarray(RAMP).quantize(64)
    assert np.abs(pixels.load_grey(save(tmp_path / "p.png", palette)).astype(int) - RAMP).mean() < 4
    clear = Image.merge("LA", (Image.fromarray(RAMP), Image.new("L", (64, 48), 255)))
    assert np.array_equal(pixels.load_grey(save(tmp_path / "la.png", clear)), RAMP)
    assert pixels.load_grey(save(tmp_path / "one.png", Image.fromarray(RAMP > 99))).max() == 255


def test_one_bit_and_cell_and_bytes(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "PNG")
    assert np.array_equal(pixels.load_grey(buffer.getvalue()), RAMP)
    assert np.array_equal(pixels.load_grey({"bytes": buffer.getvalue(), "path": "x.png"}), RAMP)
    path = save(tmp_path / "film.png", Image.fromarray(RAMP))
    assert np.array_equal(pixels.load_grey({"bytes": None, "path": str(path)}), RAMP)


def test_resize(tmp_path):
    path = save(tmp_path / "film.png", Image.fromarray(RAMP))
    assert pixels.load_grey(path, 32).shape == (32, 32)
    square = np.zeros((32, 32), np.uint8)
    assert pixels.resize(square, 32) is square


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge and holds almost nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(40_000, 40_000), (40_000, 1), (12_000, 12_000)])
def test_an_absurd_size_is_refused_before_decoding(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    with pytest.raises(BadImage, match=r"bomb\.png is not a plausible X-ray; found .*\d+ .*pixels"):
        pixels.load_grey(path)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "html", "missing", "folder"])
def test_damaged_files_are_one_line(tmp_path, damage):
    path = save(
        tmp_path / "film.png", Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    )
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "missing":
        path.unlink()
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "text": b"hello", "html": b"<html>404</html>"}[damage])
    with pytest.raises(BadImage, match="film.png") as caught:
        pixels.load_grey(path)
    assert "\n" not in str(caught.value)
    assert "Next:" in str(caught.value)


def test_a_pil_image_reads_as_its_file():
    image = Image.fromarray(RAMP)
    assert (pixels.load_grey(image) == RAMP).all()
    assert (pixels.load_grey(image.convert("RGB"), 16) == pixels.resize(RAMP, 16)).all()
