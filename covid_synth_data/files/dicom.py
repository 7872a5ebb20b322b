"""DICOM files for Pillow, so that whatever opens an image with Pillow (`datasets.Image` does) reads them.

Pixels are decoded when they are asked for, not when the file is opened. What comes out is as a viewer shows
it: the modality rescale and the window of the header are applied, MONOCHROME1 is turned so that bone is
bright. 8-bit films give mode L, deeper ones I;16 over the full 16 bits, colour ones RGB.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from covid_synth_data.errors import MissingExtra

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FORMAT: Final = "DICOM"
_MAGIC_AT: Final = 128
_MAGIC: Final = b"DICM"


DICOM_SUFFIXES: Final = (".dcm", ".dicom")


def is_dicom(path: str) -> bool:
    """Whether a file of this name is taken for DICOM."""
    return path.lower().endswith(DICOM_SUFFIXES)


def register() -> None:
    """Teach Pillow to open DICOM files; doing it again changes nothing.

    Raises `MissingExtra` without pydicom. Holds for this process: a worker process that is started anew,
    not forked, has to call it too.
    """
    if importlib.util.find_spec("pydicom") is None:
        raise MissingExtra("pydicom", "rsna")
    if FORMAT not in Image.OPEN:
        Image.register_open(FORMAT, DicomImageFile)
        for suffix in DICOM_SUFFIXES:
            Image.register_extension(FORMAT, suffix)


class DicomImageFile(ImageFile.ImageFile):
    """A DICOM file with one frame, as Pillow sees it."""

    format = FORMAT
    format_description = "Digital Imaging and Communications in Medicine"

    def _open(self) -> None:
        """Read the header: size and mode. Pillow tries every format, so a SyntaxError says "not mine"."""
        if self.fp is None:
            raise SyntaxError("no file")
        head = self.fp.read(_MAGIC_AT + len(_MAGIC))
        if head[_MAGIC_AT:] != _MAGIC:
            raise SyntaxError("not a DICOM file")
        self.fp.seek(0)
        header = _read(self.fp, stop_before_pixels=True)
        try:
            self._size = int(header.Columns), int(header.Rows)
            frames = int(header.get("NumberOfFrames", 1) or 1)
            colour = int(header.get("SamplesPerPixel", 1)) == 3
            deep = int(header.BitsAllocated) > 8
        except (AttributeError, TypeError, ValueError) as error:
            raise SyntaxError(f"a DICOM file without an image: {error}") from error
        if frames != 1:
            raise SyntaxError(f"a DICOM file with {frames} frames, not a radiograph")
        self._mode = "RGB" if colour else "I;16" if deep else "L"
        self._pending = True

    def load(self) -> Any:
        """Decode the pixels once, then let Pillow take them as raw data."""
        if self._pending and self.fp is not None:
            self.fp.seek(0)
            pixels = _pixels(_read(self.fp), self.mode)
            if pixels.shape[:2] != (self.size[1], self.size[0]):
                raise OSError(f"DICOM pixels of shape {pixels.shape}, header says {self.size}")
            if self._exclusive_fp:
                self.fp.close()
            self.fp = io.BytesIO(pixels.tobytes())
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, (self.mode, 0, 1))]
            self._pending = False
        return super().load()

    def load_seek(self, pos: int) -> None:
        """The raw data starts at the beginning of the buffer."""


def _read(file: IO[bytes], *, stop_before_pixels: bool = False) -> Dataset:
    """The file as a pydicom Dataset. Odd values in headers are common and only warned about: ignored."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(file, stop_before_pixels=stop_before_pixels)
        except (InvalidDicomError, EOFError, NotImplementedError) as error:
            raise SyntaxError(f"damaged DICOM file: {error}") from error


def _pixels(dataset: Dataset, mode: str) -> npt.NDArray[Any]:
    """Pixels for `mode`: (height, width) of uint8 or little-endian uint16, or (height, width, 3) of uint8."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stored = dataset.pixel_array
            if mode == "RGB":
                return np.ascontiguousarray(stored, dtype=np.uint8)
            shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), dtype=np.float64)
        except (RuntimeError, NotImplementedError, AttributeError, ValueError) as error:
            raise OSError(f"DICOM pixels cannot be decoded: {error}") from error
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        shown = _inverted(shown, top=2 ** int(dataset.BitsStored) - 1)
    return _fit(shown, mode)


def _inverted(shown: npt.NDArray[np.float64], top: int) -> npt.NDArray[np.float64]:
    """Bright for dark, within the range of the stored bits; within their own where the values exceed that."""
    low, high = float(shown.min()), float(shown.max())
    return top - shown if low >= 0 and high <= top else low + high - shown


def _fit(shown: npt.NDArray[np.float64], mode: str) -> npt.NDArray[Any]:
    """8-bit values as they are where they fit; everything else stretched to the full range of `mode`."""
    low, high = float(shown.min()), float(shown.max())
    if mode == "L" and low >= 0 and high <= 255:
        return np.rint(shown).astype(np.uint8)
    top = 255.0 if mode == "L" else 65_535.0
    scaled = (shown - low) * (top / (high - low)) if high > low else np.zeros_like(shown)
    return np.rint(scaled).astype(np.uint8 if mode == "L" else "<u2")
