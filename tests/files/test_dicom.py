"""DICOM through Pillow."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import BadImage, MissingExtra
from covid_synth_data.files import dicom, pixels
from covid_synth_data.sources import table

pydicom = pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")

RAMP = np.arange(48).reshape(6, 8)


def write(path: Path, stored: np.ndarray[Any, Any], bits: int = 8, **tags: Any) -> Path:
    """A minimal computed radiography file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if stored.ndim == 3 else "MONOCHROME2"
    if stored.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 if bits <= 8 else 16
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = stored.astype(np.uint8 if bits <= 8 else "<u2").tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def opened(path: Path) -> Image.Image:
    dicom.register()
    with Image.open(path) as image:
        image.load()
        return image


def test_eight_bits(tmp_path: Path) -> None:
    image = opened(write(tmp_path / "a.dcm", RAMP))
    assert (image.mode, image.size, image.format) == ("L", (8, 6), "DICOM")
    np.testing.assert_array_equal(np.asarray(image), RAMP)


def test_twelve_bits_fill_the_range(tmp_path: Path) -> None:
    image = opened(write(tmp_path / "a.dcm", RAMP * 80, bits=12))
    assert image.mode == "I;16"
    values = np.asarray(image).astype(int)
    assert (values.min(), values.max()) == (0, 65_535)
    np.testing.assert_allclose(values, RAMP / RAMP.max() * 65_535, atol=0.51)


def test_monochrome1_is_turned(tmp_path: Path) -> None:
    image = opened(write(tmp_path / "a.dcm", RAMP, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(np.asarray(image), 255 - RAMP)


def test_rescale_and_window(tmp_path: Path) -> None:
    rescaled = write(tmp_path / "a.dcm", RAMP * 20, bits=12, RescaleSlope="2", RescaleIntercept="-1000")
    values = np.asarray(opened(rescaled)).astype(int)
    np.testing.assert_allclose(values, RAMP / RAMP.max() * 65_535, atol=0.51)
    windowed = write(tmp_path / "b.dcm", RAMP * 20, bits=12, WindowCenter="400", WindowWidth="100")
    shown = np.asarray(opened(windowed))
    assert (shown[RAMP * 20 < 350] == 0).all()
    assert (shown[RAMP * 20 > 450] == 65_535).all()
    assert 0 < shown.ravel()[20] < 65_535


def test_colour(tmp_path: Path) -> None:
    stored = np.stack([RAMP, RAMP + 1, RAMP + 2], axis=2)
    image = opened(write(tmp_path / "a.dcm", stored))
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), stored)


def test_jpeg_inside(tmp_path: Path) -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    buffer = io.BytesIO()
    Image.fromarray(RAMP.astype(np.uint8)).save(buffer, "JPEG", quality=100)
    data = pydicom.dcmread(write(tmp_path / "a.dcm", RAMP))
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    np.testing.assert_allclose(np.asarray(opened(tmp_path / "b.dcm")).astype(int), RAMP, atol=3)


def test_through_datasets_and_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "film.DCM", RAMP)
    row = {"source_id": "a", "label": "normal", "source_class": "", "source_license": "", "path": str(path)}
    dataset = table.to_dataset(table.build("s", [row]))
    np.testing.assert_array_equal(np.asarray(dataset[0]["image"]), RAMP)
    np.testing.assert_array_equal(pixels.load_grey(path), RAMP)
    np.testing.assert_array_equal(pixels.load_grey(path.read_bytes()), RAMP)


def test_pixels_are_not_decoded_on_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", RAMP)
    dicom.register()

    def never(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(dicom, "_pixels", never)
    with Image.open(path) as image:
        assert image.size == (8, 6)


@pytest.mark.parametrize(("side", "message"), [(20_000, "20000 x 20 pixels"), (40_000, "1600000000 pixels")])
def test_absurd_size_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int, message: str
) -> None:
    monkeypatch.setattr(dicom, "_pixels", lambda *_: pytest.fail("pixels were decoded"))
    path = write(tmp_path / "a.dcm", RAMP, Rows=20 if side == 20_000 else side, Columns=side)
    with pytest.raises(BadImage, match=message):
        pixels.open_image(path)


@pytest.mark.parametrize("keep", [100, 132, 200, 400, -10])
def test_truncated_files(tmp_path: Path, keep: int) -> None:
    whole = write(tmp_path / "a.dcm", RAMP).read_bytes()
    path = tmp_path / "half.dcm"
    path.write_bytes(whole[:keep])
    with pytest.raises(BadImage, match=r"half\.dcm"):
        pixels.open_image(path)


def test_several_frames_are_no_radiograph(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, NumberOfFrames=2)
    with pytest.raises(BadImage):
        pixels.open_image(path)


def test_other_formats_still_open(tmp_path: Path) -> None:
    dicom.register()
    dicom.register()
    assert Image.ID.count("DICOM") == 1
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"


def test_without_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pydicom.*\[rsna\]"):
        dicom.register()
