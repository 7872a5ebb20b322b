"""Generated images, headers and tables. Each has to become a film used, a reason, or one line."""

from __future__ import annotations

import csv
import io
import struct
from pathlib import Path
from typing import Any, Final

import datasets
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from covid_synth_data.errors import BadImage, BadMetadata, CovidSynthError, MissingSource
from covid_synth_data.files import films, nifti, pixels
from covid_synth_data.sources import load_source, read_source, table

USED, REASON, LINE = "used", "left out with a reason", "refused in one line"


def one_line(error: CovidSynthError) -> str:
    """The verdict of a refusal, checked to be one line that says more than nothing."""
    text = str(error)
    assert text
    assert len(text.splitlines()) == 1
    return LINE


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` as it is, cut, or with some bytes changed."""
    how = draw(st.sampled_from(["whole", "whole", "cut", "bytes", "zeros"]))
    if how == "cut":
        return content[: draw(st.integers(0, len(content)))]
    if how == "bytes" and content:
        raw = bytearray(content)
        for _ in range(draw(st.integers(1, 6))):
            raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
        return bytes(raw)
    if how == "zeros":
        at = draw(st.integers(0, len(content)))
        return content[:at] + bytes(draw(st.integers(1, 64))) + content[at:]
    return content


# Images.

_FORMATS: Final = {
    "PNG": (".png", ("L", "RGB", "RGBA", "LA", "P", "1", "I;16")),
    "JPEG": (".jpg", ("L", "RGB", "CMYK")),
    "TIFF": (".tif", ("L", "RGB", "RGBA", "I;16", "F", "I", "1", "P", "CMYK")),
    "WEBP": (".webp", ("L", "RGB", "RGBA")),
    "BMP": (".bmp", ("L", "RGB", "1", "P")),
}


@st.composite
def images(draw: st.DrawFn) -> tuple[str, bytes]:
    """The ending and content of an image file of any mode, sound or damaged."""
    kind = draw(st.sampled_from(sorted(_FORMATS)))
    ending, modes = _FORMATS[kind]
    mode = draw(st.sampled_from(modes))
    high, wide = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    values = np.random.default_rng(draw(st.integers(0, 999))).integers(0, 256, (high, wide), np.uint8)
    values = values // draw(st.sampled_from([1, 1, 16, 255]))
    if mode == "F":
        odd = draw(st.sampled_from([1.0, 1e-30, 1e38, float("nan"), float("inf"), -1.0]))
        with np.errstate(all="ignore"):
            image = Image.fromarray(values.astype(np.float32) * np.float32(odd))
    elif mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * draw(st.sampled_from([1, 16, 257])))
    elif mode == "I":
        image = Image.fromarray(values.astype(np.int32) * draw(st.sampled_from([1, -1, 2**20])))
    else:
        image = Image.fromarray(values).convert(mode)
    options: dict[str, Any] = {}
    if kind in ("PNG", "JPEG", "WEBP") and draw(st.booleans()):
        exif = Image.Exif()
        exif[0x0112] = draw(st.integers(0, 10))
        options["exif"] = exif
    if kind == "PNG" and mode in ("L", "P") and draw(st.booleans()):
        options["transparency"] = draw(st.integers(0, 255))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return draw(st.sampled_from([ending, ending, ending, ".png", ".jpeg", ".dcm"])), draw(
        damaged(buffer.getvalue())
    )


def check_image(example: tuple[str, bytes], folder: Path) -> str:
    """The bytes, the file and the cell of a Dataset give the same film, or none does."""
    ending, content = example
    path = folder / f"film{ending}"
    path.write_bytes(content)
    try:
        grey = pixels.load_grey(path)
    except BadImage as error:
        return one_line(error)
    assert grey.dtype == np.uint8
    assert grey.ndim == 2
    np.testing.assert_array_equal(pixels.load_grey(content), grey)
    cell = {"bytes": None, "path": films.cells([str(path)])[0]}
    shown = datasets.Image().decode_example(cell)
    assert shown.mode == "L"
    np.testing.assert_array_equal(np.asarray(shown), grey)
    return USED


# DICOM headers.

_TEXTS: Final = st.sampled_from(
    [
        "1",
        "0",
        "-1",
        "1,5",
        "1.5",
        "abc",
        "",
        "nan",
        "inf",
        "1e999",
        "1e-400",
        "100\\50",
        "0\\200",
        "2048",
        " 7 ",
    ]
)
_SHORTS: Final = st.sampled_from([0, 1, 2, 3, 4, 6, 7, 8, 12, 15, 16, 32, 64, 255, 65_535])
_SYNTAXES: Final = st.sampled_from(
    ["1.2.840.10008.1.2.1"] * 24
    + [
        *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"),
        *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.102", "1.2.3", ""),
    ]
)


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element in explicit little endian, whatever its value."""
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH", group, number) + kind
    if kind in (b"OB", b"OW"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


@st.composite
def dicoms(draw: st.DrawFn) -> bytes:
    """A DICOM file whose header says anything."""
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    deep = draw(st.booleans())

    def short(usual: int) -> bytes:
        return struct.pack("<H", usual if draw(st.integers(0, 24)) else draw(_SHORTS))

    def maybe(number: int, kind: bytes, value: bytes) -> list[tuple[int, bytes, bytes]]:
        return [(number, kind, value)] if draw(st.integers(0, 3)) == 0 else []

    photometric = ["MONOCHROME2"] * 5 + [
        "MONOCHROME1",
        "MONOCHROME1",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "X",
        "",
    ]
    stored = 16 if deep else 8
    parts: list[tuple[int, bytes, bytes]] = [
        (0x0002, b"US", short(1)),
        (0x0004, b"CS", draw(st.sampled_from(photometric)).encode()),
        *maybe(0x0006, b"US", short(0)),
        *maybe(0x0008, b"IS", draw(st.sampled_from(["1", "2", "0", "", "x"])).encode()),
        (0x0010, b"US", short(rows)),
        (0x0011, b"US", short(columns)),
        (0x0100, b"US", short(stored)),
        (0x0101, b"US", short(draw(st.sampled_from([stored, stored - 4])))),
        (0x0102, b"US", short(stored - 1)),
        (0x0103, b"US", short(draw(st.integers(0, 1)))),
        *maybe(0x0120, b"US", short(draw(st.integers(0, 255)))),
        *maybe(0x0121, b"US", short(draw(st.integers(0, 255)))),
        *maybe(0x1050, b"DS", draw(_TEXTS).encode()),
        *maybe(0x1051, b"DS", draw(_TEXTS).encode()),
        *maybe(0x1052, b"DS", draw(_TEXTS).encode()),
        *maybe(0x1053, b"DS", draw(_TEXTS).encode()),
        *maybe(0x1056, b"CS", draw(st.sampled_from(["LINEAR", "SIGMOID", "linear_exact", "?", ""])).encode()),
        *maybe(
            0x1101, b"US", struct.pack("<3H", draw(st.integers(0, 300)), 0, draw(st.sampled_from([8, 16, 9])))
        ),
        *maybe(0x1201, b"OW", bytes(range(256)) * draw(st.integers(0, 2))),
    ]
    kept = [part for part in parts if draw(st.integers(0, 99))]
    header = b"".join(_element(0x0028, *part) for part in kept)
    size = rows * columns * (2 if deep else 1) + draw(st.sampled_from([0, 0, 0, 0, -1, 1, 7]))
    data = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, max(size, 0), np.uint8).tobytes()
    syntax = draw(_SYNTAXES).encode()
    meta = _element(0x0002, 0x0010, b"UI", syntax)
    meta = _element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta))) + meta
    content = bytes(128) + b"DICM" + meta + header + _element(0x7FE0, 0x0010, b"OW", data)
    return draw(damaged(content)) if draw(st.integers(0, 4)) == 0 else content


def check_dicom(content: bytes, folder: Path) -> str:
    """A film, or one line; the file and its bytes alike."""
    path = folder / "film.dcm"
    path.write_bytes(content)
    try:
        grey = pixels.load_grey(path)
    except CovidSynthError as error:
        return one_line(error)
    assert grey.dtype == np.uint8
    assert grey.ndim == 2
    with io.BytesIO(films.png(grey)) as png, Image.open(png) as again:
        np.testing.assert_array_equal(np.asarray(again), grey)
    return USED


# NIfTI headers.


_FIELDS: Final = st.sampled_from(
    [
        *((at, "<h") for at in (*range(40, 56, 2), 70, 72, 252, 254)),
        *((at, "<f") for at in (*range(76, 120, 4), *range(256, 328, 4))),
    ]
)
"""Place and form of numbers in the header: sides, types, spacings, scale, orientation."""


@st.composite
def volumes(draw: st.DrawFn) -> bytes:
    """A NIfTI file whose header says anything."""
    import nibabel

    sides = draw(st.tuples(*[st.integers(1, 6)] * 3))
    more = draw(st.sampled_from([(), (), (), (1,), (2,), (1, 1)]))
    kind = draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64, np.int32]))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 4, (*sides, *more)).astype(kind)
    affine = np.diag([*draw(st.tuples(*[st.sampled_from([1.0, -1.0, 0.7, 5.0])] * 3)), 1.0])
    raw = bytearray(nibabel.Nifti1Image(values, affine).to_bytes())
    numbers = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), 352.0])
    for _ in range(draw(st.integers(0, 3))):
        at, form = draw(_FIELDS)
        value: float = (
            draw(numbers)
            if form == "<f"
            else draw(st.sampled_from([0, 1, 2, 4, 16, 64, 128, 1792, -1, 32_767]))
        )
        raw[at : at + struct.calcsize(form)] = struct.pack(form, value)
    return draw(damaged(bytes(raw))) if draw(st.integers(0, 3)) == 0 else bytes(raw)


def check_volume(content: bytes, folder: Path) -> str:
    """Slices, as many as the header says, or one line."""
    path = folder / "volume.nii"
    path.write_bytes(content)
    nifti._images.cache_clear()
    try:
        shape = nifti.shape(path)
        made = nifti.slices(str(path), nifti.WINDOW)
        nifti.aligned(path, path)
    except BadImage as error:
        return one_line(error)
    assert made.shape == (shape[2], nifti.SIDE, nifti.SIDE)
    return USED


# Metadata tables.

_CELLS: Final = st.sampled_from(
    [
        *(
            "",
            "1",
            "10.0",
            "COVID-19",
            "No Finding",
            "Pneumonia/Viral/SARS",
            "COVID-19, ARDS",
            "PA",
            "AP Supine",
        ),
        *("APS", "L", "X-ray", "CT", "images", "a.png", "b.jpg", "../a.png", "a.png ", "A.PNG", "CC BY 4.0"),
        *(
            "\x00",
            "\x1b[31m",
            "\n",
            '"',
            "=1+1",
            "ä",
            "\u202e",
            "x" * 300,
            "nan",
            "1e999",
            "-5",
            "?",
            "ap",
            "b",
        ),
    ]
)
_COLUMNS: Final = {
    "covid-chestxray": ("patientid", "finding", "view", "modality", "folder", "filename", "license"),
    "covid-19-image-repository": ("patient_id", "image_id", "modality", "projection"),
}
_USUAL: Final = {
    "covid-chestxray": ("7", "COVID-19", "PA", "X-ray", "images", "a.png", "CC BY 4.0"),
    "covid-19-image-repository": ("7", "a", "X-ray", "ap"),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """The table of a source, as its authors would not have written it."""
    source = draw(st.sampled_from(sorted(_COLUMNS)))
    columns = list(_COLUMNS[source])
    if draw(st.integers(0, 5)) == 0:
        columns = draw(st.lists(st.sampled_from([*columns, "", "more"]), max_size=9))
    lines = [columns]
    for _ in range(draw(st.integers(0, 6))):
        row = [usual if draw(st.integers(0, 2)) else draw(_CELLS) for usual in _USUAL[source]]
        lines.append(row[: draw(st.integers(0, 7))] if draw(st.integers(0, 9)) == 0 else row)
    text = io.StringIO()
    csv.writer(text, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = text.getvalue().encode(encoding, errors="replace")
    return source, draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content


def check_table(example: tuple[str, bytes], folder: Path) -> str:
    """Every row with a film that is there or with a known reason; or one line."""
    source, content = example
    chestxray = source == "covid-chestxray"
    home = folder / ("covid-chestxray-dataset" if chestxray else source)
    pictures = home / ("images" if chestxray else "png")
    pictures.mkdir(parents=True, exist_ok=True)
    if not (pictures / "a.png").exists():
        Image.new("L", (4, 4), 9).save(pictures / "a.png")
    (home / ("metadata.csv" if chestxray else "data.csv")).write_bytes(content)
    try:
        frame = read_source(source, folder)
    except (BadMetadata, MissingSource) as error:
        return one_line(error)
    assert set(frame["excluded"]) <= {"", *table.EXCLUSIONS}
    assert frame["image_id"].is_unique
    used = frame[frame["excluded"] == ""]
    assert all(Path(path).is_file() for path in used["path"])
    try:
        rows = load_source(source, folder)
    except MissingSource as error:
        one_line(error)
        return REASON
    assert len(rows) == len(used)
    assert rows[0]["image"].size == (4, 4)
    return USED
