"""Painting rows of a Dataset: for `datasets.map(batched=True)` and for a training loop.

pairs = normals.map(lesions.paint_rows, batched=True, with_indices=True, batch_size=64,
                    fn_kwargs={"seed": 0, "pattern": "covid-19"}, remove_columns=normals.column_names)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from PIL import Image

from covid_synth_data import schema
from covid_synth_data.errors import BadImage, ConfigError
from covid_synth_data.files.pixels import Grey
from covid_synth_data.lesions.painting import paint

COLUMNS: Final = ("image", "mask", "label", "pair_id", "pattern", "extent", "reason")


def paint_rows(
    batch: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    seed: int = 0,
    pattern: str = "covid-19",
    control: str | None = None,
    epoch: int = 0,
    force: bool = False,
) -> dict[str, list[Any]]:
    """The rows of `batch` with their films painted; arguments as in `paint`.

    `batch` has `image` (8-bit grey pictures of any size), and may have `lungs` (masks, 0 outside), `label`
    and `image_id`. Returns the columns `image`, `mask`, `label`, `pair_id`, `pattern`, `extent` and `reason`;
    a film without two lungs stays as it is, a negative, with the reason. Raises `ConfigError` for a row that
    is a positive already, unless `force`, and what `paint` raises.
    """
    labels = batch.get("label") or [schema.LABELS.index("normal")] * len(batch["image"])
    names = batch.get("image_id") or [str(index) for index in indices]
    masks = batch.get("lungs") or [None] * len(batch["image"])
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    painted_label = schema.LABELS.index(pattern if pattern in schema.LABELS else "pneumonia")
    for image, mask, label, name, index in zip(batch["image"], masks, labels, names, indices, strict=True):
        check_negative(label, name, force)
        lungs = None if mask is None else (np.asarray(mask) > 0)[None]
        done = paint(to_grey(image, name)[None], seed, pattern, lungs, control, indices=[index], epoch=epoch)
        record = done.records[0]
        lesion = not record.reason and control is None
        row = {
            "image": Image.fromarray(done.films[0]),
            "mask": Image.fromarray(done.maps[0]),
            "label": painted_label if lesion else label,
            "pair_id": name,
            "pattern": record.pattern,
            "extent": record.extent,
            "reason": record.reason,
        }
        for column, value in row.items():
            columns[column].append(value)
    return columns


def to_grey(image: Image.Image, name: str) -> Grey:
    """The film (h, w) of an 8-bit picture. Raises `BadImage` for one in colour or of more bits."""
    if image.mode in ("RGB", "RGBA", "P", "LA"):
        colours = np.asarray(image.convert("RGB"))
        if (colours == colours[..., :1]).all():
            return np.ascontiguousarray(colours[..., 0])
    if image.mode not in ("L", "1"):
        raise BadImage(
            f"{name} is no 8-bit grey film",
            found=f"a picture of mode {image.mode}",
            expected="one channel of 8 bits",
            hint="bring it to 8 bits with the window of your viewer",
        )
    return np.asarray(image.convert("L"))


def check_negative(label: int | None, name: str, force: bool) -> None:
    """Raise `ConfigError` for a film whose label is a disease, unless `force`."""
    if label and not force:
        raise ConfigError(
            f"{name} is a positive already",
            found=schema.LABELS[label],
            expected="normal films",
            hint="paint normal films, or force it",
        )
