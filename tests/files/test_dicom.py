"""DICOM through Pillow."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_synth_data.errors import BadImage, MissingExtra
from covid_synth_data.files import dicom, pixels
from covid_synth_data.sources import table
from tests.inputs import SCENE, with_text
from tests.inputs import dicom_file as write

pydicom = pytest.importorskip("pydicom", reason="the extra [rsna] is not installed")

RAMP = np.arange(48).reshape(6, 8)


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


# What the header says of the pixels.


def grey(path: Path) -> np.ndarray:
    return pixels.load_grey(path)


def film(mark: np.ndarray, value: int) -> np.ndarray:
    """SCENE in 12 bits with `value` where `mark`."""
    return np.where(mark, value, SCENE.astype(np.uint16) * 8 + 500)


MARK = np.zeros(SCENE.shape, bool)
MARK[:6], MARK[:, :5] = True, True


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (0, {"PixelPaddingValue": 0}),
        (65_535, {"PixelPaddingValue": 65_535}),
        (1200, {"PixelPaddingValue": 1200}),
        (30, {"PixelPaddingValue": 20, "PixelPaddingRangeLimit": 40}),
        (30, {"PixelPaddingValue": 40, "PixelPaddingRangeLimit": 20}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_takes_no_part_in_the_grey_scale(tmp_path, value, tags, photometric) -> None:
    stored = film(MARK, value)
    found = grey(write(tmp_path / "a.dcm", stored, bits=16, PhotometricInterpretation=photometric, **tags))
    assert not found[MARK].any()
    seen = stored[~MARK & (stored != value)].astype(float)
    wanted = np.rint((seen - seen.min()) / np.ptp(seen) * 255)
    wanted = wanted if photometric == "MONOCHROME2" else 255 - wanted
    assert np.abs(found[~MARK & (stored != value)] - wanted).max() <= 1


def test_padding_of_signed_pixels_given_unsigned(tmp_path: Path) -> None:
    """Writers give -2000 as 63536."""
    stored = film(MARK, 0).astype(np.int16) - 1000
    stored[MARK] = -2000
    path = write(tmp_path / "a.dcm", stored.view(np.uint16), bits=16, PixelRepresentation=1)
    raw = pydicom.dcmread(path)
    raw.add_new(0x00280120, "US", 63_536)
    raw.save_as(path)
    found = grey(path)
    assert not found[MARK].any()
    assert found[~MARK].max() == 255
    assert np.corrcoef(found[~MARK], SCENE[~MARK])[0, 1] > 0.999


def test_padding_everywhere_is_black(tmp_path: Path) -> None:
    assert not grey(write(tmp_path / "a.dcm", np.full((4, 4), 7), PixelPaddingValue=7)).any()


@pytest.mark.parametrize(
    ("centre", "width"), [("400", "0"), ("400", "-5"), ("abc", "100"), ("400", "1e999"), ("", "100")]
)
def test_a_window_that_is_none_is_not_applied(tmp_path: Path, centre: str, width: str) -> None:
    path = write(
        tmp_path / "a.dcm", SCENE * np.uint16(8), bits=12, WindowCenter="1234567", WindowWidth="1234567"
    )
    whole = grey(write(tmp_path / "b.dcm", SCENE * np.uint16(8), bits=12))
    with_text(with_text(path, "WindowCenter", centre), "WindowWidth", width)
    np.testing.assert_array_equal(grey(path), whole)


def test_the_first_sound_window_of_several(tmp_path: Path) -> None:
    one = write(tmp_path / "a.dcm", SCENE * np.uint16(8), bits=12, WindowCenter="900", WindowWidth="600")
    more = write(
        tmp_path / "b.dcm", SCENE * np.uint16(8), bits=12, WindowCenter=[400, 900], WindowWidth=["0", "600"]
    )
    np.testing.assert_array_equal(grey(one), grey(more))


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"])
def test_a_decimal_comma(tmp_path: Path, keyword: str) -> None:
    tags = {
        "WindowCenter": "900.5",
        "WindowWidth": "600.5",
        "RescaleSlope": "1.5",
        "RescaleIntercept": "-9.5",
    }
    point = write(tmp_path / "a.dcm", SCENE * np.uint16(8), bits=12, **tags)
    comma = write(tmp_path / "b.dcm", SCENE * np.uint16(8), bits=12, **tags)
    with_text(comma, keyword, tags[keyword].replace(".", ","))
    np.testing.assert_array_equal(grey(comma), grey(point))


@pytest.mark.parametrize(
    ("keyword", "text"), [("RescaleSlope", "0"), ("RescaleSlope", "one"), ("RescaleIntercept", "nan")]
)
def test_a_rescale_that_is_none_is_refused(tmp_path: Path, keyword: str, text: str) -> None:
    path = write(tmp_path / "a.dcm", SCENE, RescaleSlope="1.0000", RescaleIntercept="0.0000")
    with_text(path, keyword, text)
    with pytest.raises(BadImage, match=f"a {keyword} of {text}"):
        grey(path)


def test_an_unknown_window_function_is_linear(tmp_path: Path) -> None:
    tags = {"WindowCenter": "900", "WindowWidth": "600"}
    linear = write(tmp_path / "a.dcm", SCENE * np.uint16(8), bits=12, **tags)
    other = write(tmp_path / "b.dcm", SCENE * np.uint16(8), bits=12, VOILUTFunction="CURVE", **tags)
    np.testing.assert_array_equal(grey(linear), grey(other))


def test_few_bits_and_many_colours(tmp_path: Path) -> None:
    six = grey(write(tmp_path / "a.dcm", SCENE // 4, bits=6))
    assert np.abs(six.astype(int) - SCENE).max() <= 4
    colours = np.stack([SCENE.astype(np.uint16) * 257] * 3, axis=2)
    assert np.abs(grey(write(tmp_path / "b.dcm", colours, bits=16)).astype(int) - SCENE).max() <= 1


def test_without_preamble_or_ending(tmp_path: Path) -> None:
    path = write(tmp_path / "IM0001", SCENE)
    np.testing.assert_array_equal(grey(path), SCENE)
    path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_array_equal(grey(path.rename(tmp_path / "a.dcm")), SCENE)


# Compressed pixels, in files that pydicom brings for its own tests.

COMPRESSED = {
    "SC_rgb_jpeg_gdcm.dcm": ("python-gdcm", "JPEG Lossless"),
    "JPEGLSNearLossless_08.dcm": ("python-gdcm", "JPEG-LS Lossy"),
    "MR_small_jpeg_ls_lossless.dcm": ("python-gdcm", "JPEG-LS Lossless"),
    "GDCMJ2K_TextGBR.dcm": ("pylibjpeg-openjpeg", "JPEG 2000"),
}


def sample(name: str) -> Path:
    return Path(pydicom.__file__).parent / "data/test_files" / name


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_pixels(name: str) -> None:
    assert np.ptp(grey(sample(name))) > 50


def test_twelve_bit_jpeg_names_the_decoder_that_no_extra_brings() -> None:
    if importlib.util.find_spec("libjpeg") is not None:
        assert np.ptp(grey(sample("JPGExtended.dcm"))) > 50
        return
    with pytest.raises(BadImage, match=r"JPEG Extended.*pylibjpeg-libjpeg \(GPL-3\)"):
        grey(sample("JPGExtended.dcm"))


def test_lossless_syntaxes_give_what_was_compressed() -> None:
    plain = grey(sample("MR_small.dcm"))
    for name in ("MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"):
        np.testing.assert_array_equal(grey(sample(name)), plain)
    np.testing.assert_array_equal(grey(sample("SC_rgb_jpeg_gdcm.dcm")), grey(sample("SC_rgb_rle.dcm")))


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, syntax = COMPRESSED[name]

    def none(self: object, **_: object) -> None:
        raise RuntimeError("Unable to decompress: all plugins are missing dependencies")

    found = importlib.util.find_spec
    absent = {"python-gdcm": "gdcm", "pylibjpeg-openjpeg": "openjpeg"}[module]
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(none))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else found(name))
    with pytest.raises(MissingExtra, match=rf"{module}'.*decodes {syntax}.*\[rsna\]"):
        grey(sample(name))


def test_a_video_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", SCENE)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    with pytest.raises(BadImage, match=r"a\.dcm; found .*MPEG-4"):
        grey(path)
