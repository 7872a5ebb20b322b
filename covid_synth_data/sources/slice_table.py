"""The frame of CT slices: the columns of `table` and a label map per slice, why a slice is not used, and the
way to a Dataset.

A label map has the values of `schema.MASK_LABELS`: 0 background, 1 lung, 2 ground-glass opacity, 3
consolidation. The lung field is where it is not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import BadImage
from covid_synth_data.files import nifti, pixels
from covid_synth_data.sources import table

if TYPE_CHECKING:
    import datasets

Mask = npt.NDArray[np.uint8]

PIXELS: Final = ("lung_pixels", "ggo_pixels", "consolidation_pixels")
"""How many pixels of the label map have the values 1, 2, 3."""

EXTRA: Final = ("slice", "mask_path", "mask_bytes", *PIXELS, "effusion_pixels")
"""Further columns of every frame of slices. The counts are null where the label map was not read;
`effusion_pixels` were marked as pleural effusion, which is no label here, and became background or lung."""

NO_MASK: Final = "label map missing"
DAMAGED: Final = "damaged image file"
DAMAGED_MASK: Final = "damaged label map file"
COLOUR_MASK: Final = "label map in colours"
OTHER_PLACE: Final = "label map of another place"
OTHER_SIZE: Final = "label map of another size"
UNKNOWN_LABEL: Final = "unknown value in the label map"
NO_LUNG: Final = "no lung in the label map"

EXCLUSIONS: Final = {
    table.MALFORMED: table.EXCLUSIONS[table.MALFORMED],
    table.UNSAFE: table.EXCLUSIONS[table.UNSAFE],
    table.DUPLICATE: table.EXCLUSIONS[table.DUPLICATE],
    table.MISSING: "a label map, or a row of the metadata, without an image file",
    NO_MASK: "an image without a label map of lungs and infection",
    DAMAGED: "the image file cannot be decoded: truncated, another format, or no usable orientation",
    DAMAGED_MASK: "the file of the label map cannot be decoded",
    COLOUR_MASK: "the label map has several numbers a voxel, which are no labels",
    OTHER_SIZE: "image and label map differ in size, so that no pixel of one can be trusted to the other",
    OTHER_PLACE: "by their affines, image and label map lie in different places of the patient",
    UNKNOWN_LABEL: "the label map has values other than those of `schema.MASK_LABELS`",
    NO_LUNG: "the slice shows no lung (above the apices, below the bases): nothing to synthesise",
}
"""Reason to what it means, in the order in which they are tried."""


def build(source: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The frame of slices of `source`; see `table.build`. Every slice is an axial view of COVID-19."""
    usual = {"label": "covid-19", "view": "Axial", "mask_path": "", "mask_bytes": None}
    counts = dict.fromkeys((*PIXELS, "effusion_pixels"))
    frame = table.build(source, [{**usual, **counts, **row} for row in rows], EXTRA)
    kinds = {"slice": "int64"} | dict.fromkeys((*PIXELS, "effusion_pixels"), "Int64")
    return frame.astype(kinds)


def read_values(file: str | Path | bytes | Image.Image, name: str | None = None) -> npt.NDArray[np.integer]:
    """The label values of a picture file, (height, width), unscaled: grey of any depth, or palette indices.

    Raises `BadImage` where it cannot be decoded, or is a colour picture whose channels differ.
    """
    image = file if isinstance(file, Image.Image) else pixels.open_image(file, name)
    values = np.asarray(
        image if image.mode in ("L", "P", "I", "I;16", "I;16B", "1") else image.convert("RGB")
    )
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise BadImage(
                f"{name or 'a label map'} is a colour picture",
                expected="a label map of one channel, values 0 to 3",
                hint="take the label maps as published",
            )
        values = values[..., 0]
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def counts(mask: Mask) -> dict[str, int]:
    """`PIXELS` of a label map."""
    return {name: int(np.count_nonzero(mask == value)) for value, name in enumerate(PIXELS, start=1)}


def reason(counts: Mapping[str, Any]) -> str:
    """`NO_LUNG` where all of `PIXELS` are known to be 0, otherwise ""."""
    return NO_LUNG if all(counts.get(name) == 0 for name in PIXELS) else ""


def to_dataset(frame: pd.DataFrame) -> datasets.Dataset:
    """A Dataset with exactly `schema.CT_COLUMNS` of all rows of `frame`, in their order.

    Images and label maps stay references and are decoded when a row is read. Raises what
    `table.to_dataset` raises.
    """
    import datasets

    if any(nifti.is_reference(content) for content in frame["bytes"]):
        nifti.register()
    masks = [
        {"bytes": bytes(content), "path": None} if present else {"bytes": None, "path": path or None}
        for content, present, path in zip(
            frame["mask_bytes"], frame["mask_bytes"].notna(), frame["mask_path"], strict=True
        )
    ]
    # datasets drops the bytes of a cell whose path is a file: a reference must go without its volume's path
    images = frame.assign(path=frame["path"].where(frame["bytes"].isna(), ""))
    rows = table.to_dataset(images).add_column("mask", masks, feature=datasets.Image())
    rows = rows.add_column("slice", frame["slice"].tolist(), feature=datasets.Value("int64"))
    return rows.select_columns(list(schema.CT_COLUMNS))
