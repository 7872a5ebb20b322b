"""From a file, in whatever state the public sets have it, to an 8-bit grey array, or a clear error."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import BadImage
from covid_synth_data.files import dicom

Grey = npt.NDArray[np.uint8]

MAX_SIDE: Final = 16_384
MAX_PIXELS: Final = 89_000_000
"""A chest film has at most about 4,300 x 4,300 pixels; what is far above that is a mistake or an attack. Just
below the size from which Pillow warns, so that no film which is accepted brings a warning."""

_WIDE_MODES: Final = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def open_image(file: str | Path | bytes, name: str | None = None) -> Image.Image:
    """A decoded PIL image of any mode. Raises `BadImage` naming the file when it is not a usable image."""
    label = name or (str(file) if not isinstance(file, bytes) else "an image in memory")
    handle = io.BytesIO(file) if isinstance(file, bytes) else file
    if not isinstance(file, bytes) and dicom.is_dicom(str(file)):
        dicom.register()
    try:
        image = Image.open(handle)
        try:
            check_size(image.size, label)
            image.load()
        except Exception:
            image.close()
            raise
        return image
    except BadImage:
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
        raise BadImage(
            f"cannot decode {label}",
            found=str(error) or type(error).__name__ if size is None else f"{size} bytes, {error}",
            expected="a complete PNG, JPEG or DICOM image",
            hint="download or copy that file again, or remove it",
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
    """The image as an array of shape (height, width), uint8 in [0, 255].

    Palettes and transparency are resolved, colours are weighted by ITU-R 601, 16-bit and float data are
    scaled from their own range to [0, 255] (a film's window is not recorded in a PNG).
    """
    if image.mode in _WIDE_MODES:
        values = np.asarray(image, dtype=np.float32)
        values = np.where(np.isfinite(values), values, 0)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        return np.rint(scaled).astype(np.uint8)
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(flat, rgba)
    return np.asarray(image.convert("L"))


def load_grey(
    file: str | Path | bytes | Mapping[str, Any], size: int | None = None, name: str | None = None
) -> Grey:
    """The grey array of a file, of bytes, or of an undecoded `datasets.Image` cell {"bytes", "path"}.

    With `size`, resized to (size, size), the aspect ratio not kept (as zunair2021, Sect. 4.2, does), with
    an antialiased bilinear filter. Raises `BadImage`.
    """
    if isinstance(file, Mapping):
        name = name or file.get("path")
        content: str | Path | bytes = file["bytes"] if file.get("bytes") is not None else file["path"]
    else:
        content = file
    grey = to_grey(open_image(content, name))
    return resize(grey, size) if size else grey


def resize(grey: Grey, size: int) -> Grey:
    """`grey` at (size, size), antialiased bilinear; the same array where it has that size already."""
    if grey.shape == (size, size):
        return grey
    return np.asarray(Image.fromarray(grey).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0))
