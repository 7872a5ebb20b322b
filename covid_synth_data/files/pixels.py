"""Decode an image file of a public set to an 8-bit grey array, or raise a clear error.

This is the only decoder: all code that shows, compares, trains on or writes a film uses `to_grey`. Its rules:

    orientation   the EXIF tag is followed, so that films are upright
    depth         8 bits are kept as they are; deeper and floating-point grey is stretched from its own
                  minimum and maximum to 0 and 255 (a film's window is not recorded in such files)
    colour        palettes are looked up, transparency is laid on black, colours are weighted by ITU-R 601
    DICOM         what `dicom` gives, with the header's rescale, window and padding, by the same rules
    frames        one; a file with several is no radiograph
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from covid_synth_data.errors import BadImage, CovidSynthError
from covid_synth_data.files import dicom, lfs

Grey = npt.NDArray[np.uint8]

SUFFIXES: Final = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".jp2"),
    *dicom.DICOM_SUFFIXES,
)
"""Endings of the files that are taken for films, in lower case; any case will do."""

MAX_SIDE: Final = 16_384
MAX_PIXELS: Final = 89_000_000
"""A chest film has at most about 4,300 x 4,300 pixels; what is far above that is a mistake or an attack. Just
below the size from which Pillow warns, so that no film which is accepted brings a warning."""

_FLOAT32: Final = float(np.finfo(np.float32).max)
_WIDE_MODES: Final = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def open_image(file: str | Path | bytes, name: str | None = None) -> Image.Image:
    """A decoded PIL image of any mode. Raises `BadImage` naming the file when it is not a usable image."""
    label = name or (str(file) if not isinstance(file, bytes) else "an image in memory")
    handle = io.BytesIO(file) if isinstance(file, bytes) else file
    is_dicom = dicom.has_magic(file) if isinstance(file, bytes) else dicom.is_dicom(str(file))
    if is_dicom:
        dicom.register()
    try:
        try:
            # The preamble of a DICOM file may make it a TIFF file as well.
            marked = dicom.has_magic(file) if isinstance(file, bytes) else dicom.is_marked(str(file))
            image = Image.open(handle, formats=[dicom.FORMAT] if marked else None)
        except UnidentifiedImageError:
            if not is_dicom:
                raise
            image = dicom.DicomImageFile(handle)  # which says why
        try:
            check_size(image.size, label)
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise OSError(f"{frames} frames, not a radiograph")
            image.load()
        except Exception:
            image.close()
            raise
        return image
    except CovidSynthError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own limits, checked as soon as the header is read; its message gives the number of pixels.
        raise BadImage(
            f"{label} is not a plausible X-ray",
            found=str(error).split(",")[0].split(")")[0].removeprefix("Image size ").strip("()"),
            expected=f"at most {MAX_SIDE} on a side and {MAX_PIXELS // 1_000_000} million in all",
            hint="remove or replace that file",
        ) from error
    except FileNotFoundError as error:
        raise BadImage(
            f"no file {label}", expected="an image", hint="download the source again, part of it is missing"
        ) from error
    except Exception as error:
        # Pillow's decoders raise anything from SyntaxError to struct.error on damaged files.
        size = os.path.getsize(file) if not isinstance(file, bytes) and os.path.exists(file) else None  # noqa: PTH110, PTH202
        pointer = lfs.is_pointer(file)
        raise BadImage(
            f"cannot decode {label}",
            found=lfs.FOUND
            if pointer
            else str(error) or type(error).__name__
            if size is None
            else f"{size} bytes, {error}",
            expected="a complete PNG, JPEG or DICOM image",
            hint=lfs.HINT if pointer else "download or copy that file again, or remove it",
        ) from error


def check_size(size: tuple[int, int], name: str) -> None:
    """Raise `BadImage` when an image of `size` (width, height) is empty or absurdly large."""
    width, height = size
    if min(size) < 1 or max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise BadImage(
            f"{name} is not a plausible X-ray",
            found=f"{width} x {height} pixels",
            expected=f"at most {MAX_SIDE} on a side and {MAX_PIXELS // 1_000_000} million in all",
            hint="remove or replace that file",
        )


def to_grey(image: Image.Image) -> Grey:
    """The image as an array of shape (height, width), uint8 in [0, 255], by the rules of this module.

    Raises `BadImage` for an image that Pillow cannot convert.
    """
    image = upright(image)
    if image.mode in _WIDE_MODES:
        values = np.asarray(image, dtype=np.float32)
        values = np.where(np.isfinite(values), values, 0)
        low, high = float(values.min()), float(values.max())
        if high - low > _FLOAT32 or 255.0 / (high - low or 1) > _FLOAT32:  # which float32 cannot hold
            values = values.astype(np.float64)
        scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        return np.rint(scaled).astype(np.uint8)
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(flat, rgba)
    return np.asarray(image.convert("L"))


def upright(image: Image.Image) -> Image.Image:
    """The image as its EXIF orientation says it is seen; itself where there is none, or a damaged one."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        # Readers show an image whose EXIF block is damaged as it is stored. Pillow raises many kinds on them.
        return image


def is_plain(path: str) -> bool:
    """Whether any reader gets from this file what `load_grey` does: an 8-bit grey PNG or JPEG, whole.

    Reads the header and the last bytes, no pixels.
    """
    try:
        with Path(path).open("rb") as file, Image.open(file, formats=("PNG", "JPEG")) as image:
            check_size(image.size, path)
            kind, mode, info = image.format, image.mode, image.info
            file.seek(-min(12, os.path.getsize(path)), os.SEEK_END)  # noqa: PTH202
            end = file.read()
    except Exception:
        # Whatever is wrong with it is said when the film is read.
        return False
    whole = end.endswith(b"\xff\xd9") if kind == "JPEG" else end[4:8] == b"IEND"
    return whole and mode == "L" and "exif" not in info and "transparency" not in info


def is_flat(content: bytes) -> bool:
    """Whether Pillow's conversion to "L" gives from these bytes what `to_grey` does: no deep grey, no alpha.

    Reads the header, no pixels. True for what is no image, so that the error is raised where it is decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.mode in ("L", "RGB") and "transparency" not in image.info
    except Exception:
        # Pillow's readers of headers raise many kinds of errors.
        return True


def load_grey(
    file: str | Path | bytes | Mapping[str, Any] | Image.Image | None,
    size: int | None = None,
    name: str | None = None,
) -> Grey:
    """The grey array of a file, bytes, a PIL image, or an undecoded `datasets.Image` cell {"bytes", "path"}.

    The path of a cell may be an address of `films`, which stands for the file. A row without an image has
    None for its cell, and is refused.

    With `size`, resized to (size, size), the aspect ratio not kept (as zunair2021, Sect. 4.2, does), with
    an antialiased bilinear filter. Raises `BadImage`.
    """
    if file is None:
        raise _without_image(name)
    if isinstance(file, Image.Image):
        grey = to_grey(file)
    elif isinstance(file, Mapping):
        content = content_of(file, name)
        name = name or (str(content) if isinstance(content, Path) else file.get("path"))
        grey = to_grey(open_image(content, name))
    else:
        grey = to_grey(open_image(file, name))
    return resize(grey, size) if size else grey


def content_of(cell: Mapping[str, Any] | None, name: str | None = None) -> Path | bytes:
    """The bytes of an undecoded cell {"bytes", "path"}, or the file that it stands for.

    Raises `BadImage`, with `name`, for a row without an image: None, or a cell of neither bytes nor path.
    """
    if cell is not None and cell.get("bytes") is not None:
        return bytes(cell["bytes"])
    if cell is None or not cell.get("path"):
        raise _without_image(name)
    return Path(file_of(cell["path"]))


def _without_image(name: str | None) -> BadImage:
    """The error for a row without an image."""
    return BadImage(
        f"{name} has no image" if name else "a row without an image",
        expected="bytes or a path",
        hint="leave that row out",
    )


def bytes_of(cell: Mapping[str, Any] | None, name: str | None = None) -> bytes:
    """The encoded image of an undecoded cell, as it is stored. Raises `OSError`, `BadImage`."""
    content = content_of(cell, name)
    return content if isinstance(content, bytes) else content.read_bytes()


ADDRESS: Final = "covid-synth-film"
"""Scheme of the addresses that stand for decoded films; see `films`."""

_PREFIX: Final = f"{ADDRESS}://files"


def address_of(path: str) -> str:
    """The address of the film in the file `path`, for a cell of a Dataset."""
    whole = Path(path).absolute().as_posix()
    # Readers of addresses fold slashes in a row; those of a share on Windows are two.
    first = "/%2F" if whole.startswith("//") else "/"
    return f"{_PREFIX}{first}{quote(whole.lstrip('/'))}"


def file_of(path: str) -> str:
    """The file that a cell's path names: itself, or what an address stands for."""
    if not path.startswith(_PREFIX):
        return path
    whole = unquote(path.removeprefix(_PREFIX))
    return whole[1:] if re.match(r"/[A-Za-z]:", whole) else whole


def resize(grey: Grey, size: int) -> Grey:
    """`grey` at (size, size), antialiased bilinear; the same array where it has that size already."""
    if grey.shape == (size, size):
        return grey
    return np.asarray(Image.fromarray(grey).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))
