"""A Pillow plugin for DICOM files, so that all code that opens images with Pillow reads them.

Pixels are decoded when they are asked for, not when the file is opened. What comes out is as a viewer shows
it, by part 3 of the standard: the modality rescale and the window of the header are applied, pixels that the
header marks as padding are black and take no part in the grey scale, palettes are looked up, MONOCHROME1 is
turned so that bone is bright. 8-bit films give mode L, deeper ones I;16 over the full 16 bits, colour ones
RGB. A window that the standard does not allow (width 0, no number) is not applied: the whole range is shown.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import MissingExtra
from covid_synth_data.files.raw import ArrayImageFile

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FORMAT: Final = "DICOM"
_MAGIC_AT: Final = 128
_MAGIC: Final = b"DICM"


_BARE: Final = (b"\x02\x00", b"\x08\x00")
"""How the first group of a file without the preamble begins; old exports leave it out."""

DICOM_SUFFIXES: Final = (".dcm", ".dicom", ".dicm", ".dic")

_JPEG_2000: Final = ("1.2.840.10008.1.2.4.9", "1.2.840.10008.1.2.4.20")
_JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
"""How the numbers of the transfer syntaxes begin that OpenJPEG decodes: JPEG 2000 and HTJ2K."""


def is_dicom(path: str) -> bool:
    """Whether a file is taken for DICOM: by its name, or by its first bytes."""
    return path.lower().endswith(DICOM_SUFFIXES) or is_marked(path)


def is_marked(path: str) -> bool:
    """Whether a file begins as a DICOM file does; False for what cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return has_magic(file.read(_MAGIC_AT + len(_MAGIC)))
    except (OSError, ValueError):
        return False


def has_magic(content: bytes) -> bool:
    """Whether these bytes begin as a DICOM file does."""
    return content[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def register() -> None:
    """Register the DICOM plugin with Pillow; repeated calls have no effect.

    Raises `MissingExtra` without pydicom. Holds for this process: a worker process that is started anew,
    not forked, has to call it too.
    """
    if importlib.util.find_spec("pydicom") is None:
        raise MissingExtra("pydicom", "rsna")
    if FORMAT not in Image.OPEN:
        Image.register_open(FORMAT, DicomImageFile)
        for suffix in DICOM_SUFFIXES:
            Image.register_extension(FORMAT, suffix)


def header(path: str | Path, keywords: Sequence[str]) -> dict[str, str]:
    """The elements of a file's header with these keywords, as text, without those that are absent or empty.

    No pixel is read. A file that is no DICOM file, or a damaged one, has none. Raises `MissingExtra` without
    pydicom.
    """
    if importlib.util.find_spec("pydicom") is None:
        raise MissingExtra("pydicom", "rsna")
    values: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Path(path).open("rb") as file:
                data = _read(file, stop_before_pixels=True)
            for keyword in keywords:
                values[keyword] = str(data.get(keyword) or "").strip("\0 ")
        except Exception:
            # As in `_read`: values are parsed when they are asked for, and damaged ones raise anything.
            return {}
    return {keyword: text for keyword, text in values.items() if text}


class DicomImageFile(ArrayImageFile):
    """A DICOM file with one frame, as Pillow sees it."""

    format = FORMAT
    format_description = "Digital Imaging and Communications in Medicine"

    def _open(self) -> None:
        """Read the header: size and mode. Pillow tries every format, so a SyntaxError says "not mine"."""
        if self.fp is None:
            raise SyntaxError("no file")
        head = self.fp.read(_MAGIC_AT + len(_MAGIC))
        if not has_magic(head) and not head.startswith(_BARE):
            raise SyntaxError("not a DICOM file")
        self.fp.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values in headers are common
            self._read_header(_read(self.fp, stop_before_pixels=True))

    def _read_header(self, header: Dataset) -> None:
        try:
            self._size = int(header.Columns), int(header.Rows)
            frames = int(header.get("NumberOfFrames", 1) or 1)
            palette = header.get("PhotometricInterpretation") == "PALETTE COLOR"
            colour = palette or int(header.get("SamplesPerPixel", 1)) == 3
            deep = int(header.BitsAllocated) > 8
        except (AttributeError, TypeError, ValueError) as error:
            why = f"no {error.name}" if isinstance(error, AttributeError) else str(error)
            raise SyntaxError(f"a DICOM file without an image: {why}") from error
        if frames != 1:
            raise SyntaxError(f"a DICOM file with {frames} frames, not a radiograph")
        self._mode = "RGB" if colour else "I;16" if deep else "L"

    def decode(self) -> npt.NDArray[np.generic]:
        """The pixels, as a viewer shows them."""
        if self.fp is None:
            raise OSError("the file is closed")
        self.fp.seek(0)
        return _pixels(_read(self.fp), self.mode)


def _read(file: IO[bytes], *, stop_before_pixels: bool = False) -> Dataset:
    """The file as a pydicom Dataset. Odd values in headers are common and only warned about: ignored."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(file, stop_before_pixels=stop_before_pixels, force=True)
        except Exception as error:
            # pydicom's readers raise anything from EOFError to struct.error on damaged files.
            raise SyntaxError(f"damaged DICOM file: {error}") from error


def _pixels(dataset: Dataset, mode: str) -> npt.NDArray[Any]:
    """Pixels for `mode`: (height, width) of uint8 or little-endian uint16, or (height, width, 3) of uint8."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _mend(dataset)
        try:
            stored = dataset.pixel_array
        except (RuntimeError, NotImplementedError, AttributeError, ValueError) as error:
            _name_decoder(dataset)
            raise OSError(f"DICOM pixels cannot be decoded: {' '.join(str(error).split())}") from error
        try:
            return _colour(stored, dataset) if mode == "RGB" else _shown(stored, dataset, mode)
        except (RuntimeError, NotImplementedError, AttributeError, ValueError, IndexError) as error:
            raise OSError(f"DICOM header contradicts itself: {error}") from error


def _name_decoder(dataset: Dataset) -> None:
    """Raise `MissingExtra` where the pixels are compressed in a way whose decoder is not installed."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    if syntax == _JPEG_EXTENDED and importlib.util.find_spec("libjpeg") is None:
        # Only libjpeg decodes 12 bits. It is under GPL-3, so no extra installs it.
        raise OSError(f"DICOM pixels are {syntax.name}, which needs the package pylibjpeg-libjpeg (GPL-3)")
    jpeg_2000 = str(syntax).startswith(_JPEG_2000)
    modules = ["pylibjpeg", "openjpeg"] if jpeg_2000 else ["gdcm"]
    if any(importlib.util.find_spec(module) is None for module in modules):
        package = "pylibjpeg-openjpeg" if jpeg_2000 else "python-gdcm"
        raise MissingExtra(package, "rsna", purpose=f"decodes {syntax.name}")


def _mend(dataset: Dataset) -> None:
    """Bring the numbers of window and rescale into a form that can be applied.

    A decimal comma becomes a point; a window that is not allowed is taken out, so that the next one of the
    header is used, or none. Raises `OSError` for a rescale that is no number, or of slope 0.
    """
    if "TransferSyntaxUID" not in dataset.file_meta:
        from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = dataset.VOILUTFunction = "LINEAR"
    least = 1.0 if function == "LINEAR" else math.ulp(0.0)
    windows = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    sound = (
        pair for pair in windows if math.isfinite(_value(pair[0])) and least <= _value(pair[1]) < math.inf
    )
    chosen = next(sound, None)
    for keyword, number in zip(("WindowCenter", "WindowWidth"), chosen or (None, None), strict=True):
        if keyword in dataset:
            del dataset[keyword]
        if number is not None:
            setattr(dataset, keyword, number)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        numbers = _numbers(dataset, keyword)
        values = [_value(number) for number in numbers]
        if (
            len(values) > 1
            or not all(map(math.isfinite, values))
            or (keyword == "RescaleSlope" and 0 in values)
        ):
            raise OSError(f"a {keyword} of {' and '.join(numbers)}")
        if keyword in dataset:
            del dataset[keyword]
        if numbers:
            setattr(dataset, keyword, numbers[0])


def _numbers(dataset: Dataset, keyword: str) -> list[str]:
    """The decimal strings of an element, with a point for a comma; [] where it is absent or empty."""
    element = dataset.get_item(keyword)
    value = element.value if element is not None else None
    if value is None:
        return []
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    text = text.strip("\0 ").replace(",", ".")
    return [part.strip("\0 ") for part in text.split("\\")] if text else []


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _shown(stored: npt.NDArray[Any], dataset: Dataset, mode: str) -> npt.NDArray[Any]:
    """The grey values that a viewer shows, for `mode`."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    if stored.ndim != 2:
        raise ValueError(f"grey pixels of shape {stored.shape}")
    padding = _padding(stored, dataset)
    shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), dtype=np.float64)
    film = shown if padding is None else shown[~padding]
    if not film.size:
        return np.zeros(shown.shape, np.uint8 if mode == "L" else "<u2")
    low, high = float(film.min()), float(film.max())
    if not math.isfinite(high - low):
        raise ValueError(f"values from {low:g} to {high:g}")
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        top = 2 ** int(dataset.BitsStored) - 1
        turned = float(top) if low >= 0 and high <= top else low + high
        shown, low, high = turned - shown, turned - high, turned - low
    fitted = _fit(shown, low, high, mode, int(dataset.BitsStored))
    if padding is not None:
        fitted[padding] = 0
    return fitted


def _padding(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_] | None:
    """Which pixels are no part of the film (PS3.3, C.7.5.1.1.2), or None where the header marks none.

    The value is compared in the type of the pixels: writers often give it with the other sign.
    """
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [value, value if limit is None or limit == "" else limit]
    if not all(isinstance(end, int) for end in ends):
        raise ValueError(f"a padding of {ends}")
    low, high = sorted(int(np.asarray(end, np.int64).astype(stored.dtype)) for end in ends)
    padding = (stored >= low) & (stored <= high)
    return padding if padding.any() else None


def _fit(shown: npt.NDArray[np.float64], low: float, high: float, mode: str, bits: int) -> npt.NDArray[Any]:
    """8-bit values as they are where they fit, fewer bits by their number; everything else stretched from
    [low, high] to the full range of `mode`."""
    if mode == "L" and low >= 0 and high <= 255:
        whole = 2**bits - 1
        scaled = shown * (255.0 / whole) if bits < 8 and high <= whole else shown
        return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    top = 255.0 if mode == "L" else 65_535.0
    scaled = (shown - low) * (top / (high - low)) if high > low else np.zeros_like(shown)
    return np.rint(np.clip(scaled, 0, top)).astype(np.uint8 if mode == "L" else "<u2")


def _colour(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """Colours of 8 bits, (height, width, 3), palettes looked up."""
    from pydicom.pixels.processing import apply_color_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
        bits = 16 if stored.dtype.itemsize > 1 and stored.max() > 255 else 8
    else:
        bits = int(dataset.BitsStored)
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise ValueError(f"colour pixels of shape {stored.shape}")
    if bits != 8:
        stored = np.rint(np.clip(stored * (255.0 / (2**bits - 1)), 0, 255))
    return np.ascontiguousarray(stored, dtype=np.uint8)
