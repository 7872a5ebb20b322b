"""From a row to arrays: an image float32 in [0, 1] and a label map uint8 with the values of `labels`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from covid_synth_data.ct import labels
from covid_synth_data.errors import BadImage
from covid_synth_data.files import nifti, pixels
from covid_synth_data.sources import slice_table

Row = dict[str, Any]
"""A slice: `image` and `mask` as cells {"bytes", "path"}, `image_id`, `patient_id`, `slice`, `label`, the
`source_*` columns, and the pixel counts `slice_table.PIXELS` (None where they are not known)."""

Slice = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]

_PLAIN: Final = (
    "image_id",
    "patient_id",
    "slice",
    "label",
    "view",
    "source_dataset",
    "source_id",
    "source_class",
    "source_license",
)


def rows(frame: pd.DataFrame) -> list[Row]:
    """The rows of a frame of `read_source`, in its order, that are not excluded."""
    rows: list[Row] = []
    for record in frame[frame["excluded"] == ""].to_dict("records"):
        row: Row = {
            "image": _cell(record["bytes"], record["path"]),
            "mask": _cell(record["mask_bytes"], record["mask_path"]),
        }
        row |= {name: record[name] for name in _PLAIN}
        row |= {name: None if pd.isna(record[name]) else int(record[name]) for name in slice_table.PIXELS}
        rows.append(row)
    return rows


def _cell(content: Any, path: str) -> dict[str, Any]:
    return {"bytes": content if isinstance(content, bytes) else None, "path": path or None}


def read_slice(row: Mapping[str, Any], side: int | None = None) -> Slice:
    """The image, float32 (height, width) in [0, 1], and the label map, uint8 of the same size, of a row.

    `row` is one of `rows`, or of a Dataset with `image` and `mask` (decoded or not). With `side` both are
    (side, side): the image by area, the label map to the nearest. Raises `BadImage` naming the files where
    one cannot be decoded, where their sizes differ, or where the label map has a value that is no label.
    """
    name = str(row.get("image_id", "a slice"))
    image, mask = _grey(row["image"], name), read_mask(row)
    if image.shape != mask.shape:
        raise BadImage(
            f"{_named(row['mask'], name)} is of another size than {_named(row['image'], name)}",
            found=f"{mask.shape[1]} x {mask.shape[0]} pixels",
            expected=f"{image.shape[1]} x {image.shape[0]}",
            hint="take image and label map as published, or remove both",
        )
    if side is not None:
        image, mask = resize_image(image, side), resize_mask(mask, side)
    return image.astype(np.float32) / np.float32(255), mask


def read_mask(row: Mapping[str, Any], side: int | None = None) -> npt.NDArray[np.uint8]:
    """The label map of a row alone; see `read_slice`. Raises `BadImage`."""
    name = _named(row["mask"], f"the label map of {row.get('image_id', 'a slice')}")
    mask = labels.check(_values(row["mask"], name), name)
    return mask if side is None else resize_mask(mask, side)


def stack(
    chosen: Sequence[Mapping[str, Any]], side: int | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Images float32 (n, 1, side, side) in [0, 1] and label maps uint8 (n, side, side) of rows, in their
    order.

    Without `side` all rows must have one size. Raises `BadImage`.
    """
    if not chosen:
        size = side or 0
        return np.zeros((0, 1, size, size), np.float32), np.zeros((0, size, size), np.uint8)
    first = read_slice(chosen[0], side)
    images = np.empty((len(chosen), 1, *first[0].shape), np.float32)
    masks = np.empty((len(chosen), *first[1].shape), np.uint8)
    for place, row in enumerate(chosen):
        image, mask = read_slice(row, side) if place else first
        if image.shape != first[0].shape:
            raise BadImage(
                f"{row.get('image_id', 'a slice')} is of another size than the slices before it",
                found=f"{image.shape[1]} x {image.shape[0]} pixels",
                expected=f"{first[0].shape[1]} x {first[0].shape[0]}",
                hint="give a side",
            )
        images[place, 0], masks[place] = image, mask
    return images, masks


def resize_image(image: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """`image`, (height, width) of uint8 or float32, at (side, side) by area; enlarged bilinear."""
    if image.shape == (side, side):
        return image
    how = Image.Resampling.BOX if min(image.shape) >= side else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def resize_mask(mask: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """`mask`, (height, width), at (side, side), to the nearest: no value appears that was not there."""
    if mask.shape == (side, side):
        return mask
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """A grey picture or label map, (height, width) uint8, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _grey(cell: Any, name: str) -> npt.NDArray[np.uint8]:
    """The grey values of a cell {"bytes", "path"}, of a PIL image, or of an array uint8 (height, width)."""
    if isinstance(cell, np.ndarray):
        return np.asarray(cell, np.uint8)
    if isinstance(cell, Image.Image):
        return pixels.to_grey(cell)
    if cell is None or (cell.get("bytes") is None and not cell.get("path")):
        raise BadImage(
            f"{name} has no picture", expected="an image and a label map", hint="leave that row out"
        )
    if nifti.is_reference(cell.get("bytes")):
        return nifti.decode(cell["bytes"])
    return pixels.load_grey(cell, name=_named(cell, name))


def _values(cell: Any, name: str) -> npt.NDArray[np.integer]:
    """The label values of a cell, of a PIL image, or of an array."""
    if isinstance(cell, np.ndarray):
        return cell
    if isinstance(cell, Image.Image):
        return slice_table.read_values(cell, name)
    if cell is None or (cell.get("bytes") is None and not cell.get("path")):
        raise BadImage(f"{name} is not there", expected="a label map", hint="leave that row out")
    if nifti.is_reference(cell.get("bytes")):
        return nifti.decode(cell["bytes"])
    return slice_table.read_values(cell["bytes"] if cell.get("bytes") is not None else cell["path"], name)


def _named(cell: Any, name: str) -> str:
    """The file of a cell, or `name` where it has none."""
    if isinstance(cell, Mapping):
        if nifti.is_reference(cell.get("bytes")):
            return nifti.named(cell["bytes"])
        return str(cell.get("path") or name)
    return name
