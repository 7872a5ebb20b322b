"""NIfTI volumes of CT and of label maps, slice by slice, through nibabel (extra `ct`).

A slice in a Dataset is a reference (a few hundred bytes: file, number, window) that Pillow opens like an
image once `register` was called; the volume is decoded when its first slice is asked for. The affine is
honoured: for any storage order, slices are axial, numbered from 1 from the feet up, the front of the
patient up and the patient's left at the right, square and `SIDE` pixels wide at one scale in both directions.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from covid_synth_data.errors import BadImage, MissingExtra
from covid_synth_data.files.raw import ArrayImageFile

Volume = npt.NDArray[np.uint8]
Window = tuple[float, float]

SIDE: Final = 512
LEVEL, WIDTH = -600.0, 1500.0
WINDOW: Final[Window] = (LEVEL - WIDTH / 2, LEVEL + WIDTH / 2)
"""Hounsfield units (lower, upper) that become 0 and 255. The paper's "[-600, 1500]" (jiang2020, Sect. IV-A)
is the usual lung window, level -600 and width 1500, so from -1350 to 150: between -600 and 1500 healthy lung,
near -860, and much ground glass would be black, and nothing would be left to synthesise."""

SUFFIXES: Final = (".nii.gz", ".nii")
MAGIC: Final = b"covid-synth-data NIfTI slice 1\n"
_APART: Final = 0.5
"""Voxels that the corners of an image and its label map may be apart."""

MAX_VOXELS: Final = 1_000_000_000
"""The largest volume of the set has about 170 million."""
MAX_SLICES: Final = 4096
"""More axial slices than any scanner makes of a chest; each takes a square of SIDE pixels."""
_KEPT: Final = 9
"""Decoded volumes of images, and of label maps, that are kept: the whole set, about 450 MB."""


def shown(hounsfield: npt.NDArray[Any], window: Window) -> npt.NDArray[np.uint8]:
    """Hounsfield units as grey values: uint8, `window`'s bounds at 0 and 255, not-a-number at 0."""
    low, high = window
    with np.errstate(over="ignore"):
        scaled = (np.nan_to_num(np.asarray(hounsfield, np.float32), nan=low) - low) * (255.0 / (high - low))
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)


def require() -> None:
    """Raise `MissingExtra` without nibabel."""
    if importlib.util.find_spec("nibabel") is None:
        raise MissingExtra("nibabel", "ct")


def shape(path: Path) -> tuple[int, int, int]:
    """(columns, rows, slices) of a volume after it was turned, from its header alone; of a volume of one
    point in time, its three dimensions. Raises `BadImage`."""
    image, orientation = _open(str(path))
    wide, high, many = (int(image.shape[_axis(orientation, direction)]) for direction in range(3))
    return wide, high, many


def has_colours(path: Path) -> bool:
    """Whether a volume has several numbers a voxel (RGB, complex), which are no labels. Raises `BadImage`."""
    kind = _load(str(path)).get_data_dtype()
    return kind.fields is not None or kind.kind == "c"


def aligned(image: Path, other: Path) -> bool:
    """Whether the voxels of two volumes lie in the same places of the patient, by their affines.

    The corners of both may be half a voxel apart. Slices are laid on each other by number, row and column:
    where this does not hold, a label map does not belong to what lies below it. Raises `BadImage`.
    """
    first, second = (_corners(str(path)) for path in (image, other))
    steps = np.linalg.norm(first[:, 1:] - first[:, :1], axis=0)
    return first.shape == second.shape and bool(
        np.linalg.norm(first - second, axis=0).max() <= _APART * min(steps)
    )


def _corners(path: str) -> npt.NDArray[np.float64]:
    """Millimetres (3, 8): the voxel in the first corner as shown, its three neighbours, and the corners far
    away along one direction or all."""
    image, orientation = _open(path)
    turn = _orientations().inv_ornt_aff(orientation, image.shape[:3])
    affine = np.asarray(image.affine, np.float64) @ turn
    far = np.array([image.shape[_axis(orientation, direction)] - 1 for direction in range(3)])
    places = np.vstack([np.zeros(3), np.eye(3), np.diag(far), far])
    return np.asarray(affine[:3, :3] @ places.T + affine[:3, 3:])


def slices(path: str, window: Window) -> Volume:
    """All slices of a volume of Hounsfield units as grey values, (n, SIDE, SIDE) uint8, read-only.

    Brought to size by area; decoded once while the volume stays in the cache. Raises `BadImage` naming the
    file, `MissingExtra`.
    """
    return _images(path, _stamp(path), window)


def combined(infection: str, lungs: str) -> tuple[Volume, tuple[int, ...]]:
    """Label maps of a volume, (n, SIDE, SIDE) uint8, read-only, and each slice's pixels of pleural effusion.

    Infection 1 is ground-glass opacity (2), 2 consolidation (3); 3, pleural effusion, is not a label here and
    leaves what the lung file says. Lung values 1 and 2 (one side each) are lung; infection goes before lung.
    What has another value in either file becomes 255. Brought to size to the nearest; cached as `slices` is.
    Raises `BadImage`, also where the two files differ in length.
    """
    return _maps(infection, lungs, (_stamp(infection), _stamp(lungs)))


def _stamp(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError as error:
        raise _bad(path, error) from error


@functools.lru_cache(maxsize=_KEPT)
def _images(path: str, stamp: int, window: Window) -> Volume:
    return _decode(path, window)


@functools.lru_cache(maxsize=_KEPT)
def _maps(infection: str, lungs: str, stamps: tuple[int, int]) -> tuple[Volume, tuple[int, ...]]:
    marked, field = _decode(infection, None), _decode(lungs, None)
    if marked.shape != field.shape:
        raise _bad(infection, f"{len(marked)} slices", f"{len(field)}, as {lungs} has")
    labels = np.where((field == 1) | (field == 2), 1, 0).astype(np.uint8)
    labels[marked == 1] = 2
    labels[marked == 2] = 3
    labels[(field > 2) | (marked > 3)] = 255
    labels.setflags(write=False)
    return labels, tuple(int(count) for count in (marked == 3).sum((1, 2)))


def _decode(path: str, window: Window | None) -> Volume:
    """The slices of a volume: grey values with a window, labels as they are with None."""
    image, orientation = _open(path)
    try:
        stored = np.asarray(image.dataobj.get_unscaled())
    except (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error) as error:
        raise _bad(path, error) from error
    if not all(map(np.isfinite, (image.dataobj.slope, image.dataobj.inter))):
        raise _bad(path, "a scale that is no number", "a slope and an intercept")
    stored = stored.reshape(stored.shape[:3])
    turned = _orientations().apply_orientation(stored, orientation)[::-1, ::-1]
    zooms = [float(value) for value in image.header.get_zooms()]
    spacing = zooms[_axis(orientation, 0)], zooms[_axis(orientation, 1)]
    slope, shift = np.float32(image.dataobj.slope), np.float32(image.dataobj.inter)
    out = np.zeros((turned.shape[2], SIDE, SIDE), np.uint8)
    for number in range(turned.shape[2]):
        with np.errstate(all="ignore"):
            plane = turned[:, :, number].T.astype(np.float32) * slope + shift
        picture = _labels(plane) if window is None else shown(plane, window)
        out[number] = _square(picture, spacing, smooth=window is not None)
    out.setflags(write=False)
    return out


def _axis(orientation: npt.NDArray[Any], direction: int) -> int:
    """Which stored axis runs to the right (0), to the front (1) or to the head (2)."""
    return int(np.flatnonzero(orientation[:, 0] == direction)[0])


def _orientations() -> Any:
    return importlib.import_module("nibabel.orientations")


def _open(path: str) -> tuple[Any, npt.NDArray[Any]]:
    """The nibabel image, its pixels not read, and where its axes run (right, front, head)."""
    image = _load(path)
    try:
        with np.errstate(all="ignore"):
            affine = np.asarray(image.affine, np.float64)
            orientation = _orientations().io_orientation(affine) if np.isfinite(affine).all() else None
        zooms = image.header.get_zooms()
    except (ValueError, np.linalg.LinAlgError) as error:
        raise _bad(path, error) from error
    if orientation is None:
        raise _bad(path, "an affine with values that are no number", "an affine with three directions")
    if image.get_data_dtype().fields is not None or image.get_data_dtype().kind not in "biuf":
        raise _bad(path, f"voxels of type {image.get_data_dtype()}", "one number a voxel, no colours")
    sides = tuple(image.shape)
    if len(sides) > 3 and set(sides[3:]) == {1}:  # one point in time
        sides = sides[:3]
        orientation, zooms = orientation[:3], zooms[:3]
    if len(sides) != 3 or min(sides) < 1 or int(np.prod(sides, dtype=np.int64)) > MAX_VOXELS:
        raise _bad(path, f"an array of shape {sides}", "three dimensions, at most a thousand million voxels")
    if not np.isfinite(orientation).all():
        raise _bad(path, "an affine that gives an axis no direction", "an affine with three directions")
    if sides[_axis(orientation, 2)] > MAX_SLICES:
        raise _bad(path, f"{sides[_axis(orientation, 2)]} axial slices", f"at most {MAX_SLICES}")
    if not all(np.isfinite(zoom) and zoom > 0 for zoom in zooms):
        raise _bad(path, f"voxels of {zooms} mm", "sizes above 0")
    return image, orientation


def _load(path: str) -> Any:
    """The nibabel image, its pixels not read. Raises `BadImage`, `MissingExtra`."""
    require()
    import nibabel

    try:
        return nibabel.load(path)
    except Exception as error:
        # nibabel raises anything from OSError to OverflowError on headers that are damaged.
        raise _bad(path, error) from error


def _bad(path: str, found: object, expected: str = "a complete NIfTI volume (.nii or .nii.gz)") -> BadImage:
    return BadImage(
        f"cannot read {path}",
        found=str(found) or type(found).__name__,
        expected=expected,
        hint="download that file again, or remove it",
    )


def _labels(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The labels of a plane. Values that are no whole number of 0 to 254 become 255, which is no label."""
    whole = np.rint(plane)
    sound = np.isfinite(plane) & (np.abs(plane - whole) < 0.01) & (whole >= 0) & (whole < 255)
    return np.where(sound, whole, 255).astype(np.uint8)


def _square(
    picture: npt.NDArray[np.uint8], spacing: tuple[float, float], *, smooth: bool
) -> npt.NDArray[np.uint8]:
    """`picture`, pixels of `spacing` (wide, high) mm, in a square of SIDE pixels, black at its margins."""
    height, width = picture.shape
    scale = SIDE / max(width * spacing[0], height * spacing[1])
    size = max(1, round(width * spacing[0] * scale)), max(1, round(height * spacing[1] * scale))
    if size != (width, height):
        how = Image.Resampling.NEAREST
        if smooth:  # shrunk by area; enlarged, areas would show as steps
            how = (
                Image.Resampling.BOX
                if min(width / size[0], height / size[1]) >= 1
                else Image.Resampling.BILINEAR
            )
        picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, how))
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = picture
    return canvas


def reference(path: Path, number: int, window: Window | None = None, lungs: Path | None = None) -> bytes:
    """The reference that a Dataset holds for slice `number` (from 1).

    With a `window` it refers to an image; with `lungs` to the label map made of the infection file `path` and
    the lung file.
    """
    content = {"path": str(path), "number": number, "window": window, "lungs": str(lungs) if lungs else None}
    return MAGIC + json.dumps(content).encode()


def is_reference(content: object) -> bool:
    """Whether these are bytes that `reference` made."""
    return isinstance(content, bytes) and content.startswith(MAGIC)


def named(content: bytes) -> str:
    """The file that a reference names, with the slice, for messages."""
    try:
        reference = json.loads(content.removeprefix(MAGIC))
        return f"{reference['path']}, slice {reference['number']}"
    except (ValueError, KeyError, TypeError):
        return "a damaged reference to a slice"


def decode(content: bytes) -> npt.NDArray[np.uint8]:
    """The slice that a reference names: uint8 (SIDE, SIDE). Raises `BadImage`, `MissingExtra`."""
    try:
        named = json.loads(content.removeprefix(MAGIC))
        path, number, window, lungs = (named[key] for key in ("path", "number", "window", "lungs"))
    except (ValueError, KeyError, TypeError) as error:
        raise BadImage("a reference to a slice that is damaged", found=str(error)) from error
    if not str(path).endswith(SUFFIXES):
        raise _bad(path, "another kind of file")
    if lungs:
        volume, _ = combined(path, lungs)
    else:
        volume = slices(path, tuple(window))
    if not 1 <= number <= len(volume):
        raise _bad(path, f"slice {number} asked for", f"1 to {len(volume)}, as it has")
    chosen: npt.NDArray[np.uint8] = volume[number - 1]
    return chosen


def register() -> None:
    """Register the plugin for references with Pillow; repeated calls have no effect. Holds for this process.

    Raises `MissingExtra` without nibabel.
    """
    require()
    if SliceFile.format not in Image.OPEN:
        Image.register_open(SliceFile.format, SliceFile, lambda prefix: prefix.startswith(MAGIC[:16]))


class SliceFile(ArrayImageFile):
    """A reference to a slice, as Pillow sees it."""

    format = "NIFTI-SLICE"
    format_description = "A slice of a NIfTI volume"

    def _open(self) -> None:
        """Size and mode are known; nothing is decoded."""
        self._reference = self.fp.read() if self.fp is not None else b""
        if not self._reference.startswith(MAGIC):
            raise SyntaxError("not a reference to a slice")
        self._size = SIDE, SIDE
        self._mode = "L"

    def decode(self) -> npt.NDArray[np.generic]:
        """The slice that the reference names."""
        return decode(self._reference)
