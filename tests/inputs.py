"""One file of every kind of film that people have, made small: what the conformance table is about.

Every film shows the same scene, brighter to the right and darker downwards, so that a turned or inverted one
is told from an upright one.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from covid_synth_data.files import lfs

HEIGHT, WIDTH = 48, 64
SCENE: Final = (
    (
        np.linspace(20, 235, WIDTH)[None, :] * np.linspace(1, 0.4, HEIGHT)[:, None]
        + 8 * np.random.default_rng(3).standard_normal((HEIGHT, WIDTH))
    )
    .clip(1, 250)
    .astype(np.uint8)
)
"""uint8 (48, 64), values within 1 and 250."""

PATIENT: Final = "Planted^Patient"
PATIENT_ID: Final = "PLANTED-ID-4711"


def dicom_file(path: Path, stored: np.ndarray[Any, Any], bits: int = 8, **tags: Any) -> Path:
    """A minimal computed radiography file of a planted patient."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName, data.PatientID = PATIENT, PATIENT_ID
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
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def with_text(path: Path, keyword: str, text: str) -> Path:
    """Overwrite the value of a decimal string in a DICOM file, which pydicom would not write, in place."""
    import pydicom

    data = pydicom.dcmread(path)
    old = str(data.get_item(keyword).value).encode()
    raw = path.read_bytes()
    tag = data.get_item(keyword).tag
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"DS"
    at = raw.index(head)
    size = int.from_bytes(raw[at + 6 : at + 8], "little")
    new = text.encode().ljust(size)
    assert len(new) == size, (old, size, text)
    path.write_bytes(raw[: at + 8] + new + raw[at + 8 + size :])
    return path


def _save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def _turned(path: Path, kind: str) -> Path:
    """The scene stored on its side, with the orientation that says so and a comment that names a patient."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, PATIENT
    side = Image.fromarray(np.ascontiguousarray(np.rot90(SCENE)))
    return _save(side, path, format=kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def _palette(path: Path) -> Path:
    image = Image.fromarray(255 - SCENE)
    image = image.convert("P")
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    return _save(image, path)


def _clear(path: Path) -> Path:
    return _save(Image.merge("LA", (Image.fromarray(SCENE), Image.new("L", (WIDTH, HEIGHT), 255))), path)


def _wide(path: Path) -> Path:
    return _save(Image.fromarray(SCENE.astype(np.uint16) * 16 + 1000), path)


def _palette_dicom(path: Path) -> Path:
    shades = np.arange(255, -1, -1, dtype=np.uint8).astype("<u2") * 257
    tables = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", shades.tobytes()))
    }
    return dicom_file(path, 255 - SCENE, PhotometricInterpretation="PALETTE COLOR", **tables)


def _padded(path: Path) -> Path:
    stored = SCENE.astype(np.uint16) * 10 + 1000
    stored[:4] = 0
    return dicom_file(path, stored, bits=16, PixelPaddingValue=0)


def _jpeg_dicom(path: Path) -> Path:
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "JPEG", quality=95)
    data = pydicom.dcmread(dicom_file(path, SCENE))
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
    return path


def _text(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _cut(path: Path) -> Path:
    whole = _save(Image.fromarray(SCENE), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


Writer = Callable[[Path], Path]
L = Image.fromarray

USABLE: Final[dict[str, tuple[str, Writer]]] = {
    "8-bit grey PNG": (".png", lambda path: _save(L(SCENE), path)),
    "8-bit grey JPEG": (".jpg", lambda path: _save(L(SCENE), path, quality=95)),
    "JPEG named .jfif": (".jfif", lambda path: _save(L(SCENE), path, format="JPEG", quality=95)),
    "colour JPEG": (".jpeg", lambda path: _save(L(SCENE).convert("RGB"), path, quality=95)),
    "CMYK JPEG": (".jpg", lambda path: _save(L(SCENE).convert("CMYK"), path, quality=95)),
    "JPEG on its side with EXIF orientation": (".jpg", lambda path: _turned(path, "JPEG")),
    "PNG on its side with EXIF orientation": (".png", lambda path: _turned(path, "PNG")),
    "16-bit PNG": (".png", _wide),
    "16-bit TIFF": (".tif", _wide),
    "floating-point TIFF": (".tiff", lambda path: _save(L(SCENE.astype(np.float32) / 255), path)),
    "8-bit TIFF": (".tiff", lambda path: _save(L(SCENE), path)),
    "palette PNG": (".png", _palette),
    "PNG with transparency": (".png", _clear),
    "WebP": (".webp", lambda path: _save(L(SCENE), path, lossless=True)),
    "8-bit DICOM": (".dcm", lambda path: dicom_file(path, SCENE)),
    "12-bit DICOM": (".dcm", lambda path: dicom_file(path, SCENE * np.uint16(16), bits=12)),
    "MONOCHROME1 DICOM": (
        ".dcm",
        lambda path: dicom_file(path, 255 - SCENE, PhotometricInterpretation="MONOCHROME1"),
    ),
    "DICOM with padding": (".dicom", _padded),
    "palette DICOM": (".dcm", _palette_dicom),
    "colour DICOM": (".dcm", lambda path: dicom_file(path, np.stack([SCENE] * 3, axis=2))),
    "JPEG DICOM": (".DCM", _jpeg_dicom),
}
"""Kind of file to its ending and what writes it."""

BROKEN: Final[dict[str, tuple[str, Writer]]] = {
    "truncated PNG": (".png", _cut),
    "empty file": (".png", lambda path: _text(path, b"")),
    "web page named .jpg": (".jpg", lambda path: _text(path, b"<html>404</html>")),
    "pointer of Git LFS": (".png", lambda path: _text(path, lfs._START + b"v1\noid sha256:0\nsize 9\n")),
    "DICOM of several frames": (".dcm", lambda path: dicom_file(path, SCENE, NumberOfFrames=2)),
    "DICOM without pixels": (".dcm", lambda path: _text(path, dicom_file(path, SCENE).read_bytes()[:700])),
}
"""Kinds of files of which no film can be had."""

DECODED: Final = {
    "8-bit grey PNG": 0,
    "palette PNG": 0,
    "PNG with transparency": 0,
    "8-bit TIFF": 0,
    "WebP": 0,
    "8-bit DICOM": 0,
    "MONOCHROME1 DICOM": 0,
    "palette DICOM": 1,
    "colour DICOM": 1,
    "PNG on its side with EXIF orientation": 0,
}
"""Kinds that keep the values of the scene, and the largest difference. Others are lossy, or stretched."""


def write(kind: str, folder: Path, name: str = "film") -> Path:
    """A file of that kind in `folder`."""
    ending, writer = {**USABLE, **BROKEN}[kind]
    folder.mkdir(parents=True, exist_ok=True)
    return writer(folder / f"{name}{ending}")
