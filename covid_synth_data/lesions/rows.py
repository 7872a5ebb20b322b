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
from covid_synth_data.lesions.patterns import NEGATIVE, label_of

COLUMNS: Final = ("image", "mask", "label", "pair_id", "pattern", "extent", "reason")


def paint_rows(
    batch: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    seed: int = 0,
    pattern: str = "covid-19",
    control: str | None = None,
    epoch: int = 0,
    force: bool = False,
    classes: Sequence[str] | None = None,
) -> dict[str, list[Any]]:
    """The rows of `batch` with their films painted; arguments as in `paint`.

    `batch` has `image` (8-bit grey pictures of any size), and may have `lungs` (masks, 0 outside), `label`
    and `image_id`. Labels are codes of `classes`, those given and those returned; None stands for the classes
    of the Dataset that is mapped, or `schema.LABELS` where there is none. Returns the columns `image`,
    `mask`, `label`, `pair_id`, `pattern`, `extent` and `reason`; a film without two lungs stays as it is, a
    negative, with the reason. Raises `ConfigError` for a row that is not normal, unless `force`, and for
    `classes` without the painted one; and what `paint` raises.
    """
    classes = list(_classes(batch) if classes is None else classes)
    labels = batch.get("label") or [_code(NEGATIVE, classes)] * len(batch["image"])
    names = batch.get("image_id") or [str(index) for index in indices]
    masks = batch.get("lungs") or [None] * len(batch["image"])
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for image, mask, label, name, index in zip(batch["image"], masks, labels, names, indices, strict=True):
        if label is not None and not force:
            _check_negative(classes[label], name)
        lungs = None if mask is None else (np.asarray(mask) > 0)[None]
        done = paint(to_grey(image, name)[None], seed, pattern, lungs, control, indices=[index], epoch=epoch)
        record = done.records[0]
        lesion = not record.reason and control is None
        row = {
            "image": Image.fromarray(done.films[0]),
            "mask": Image.fromarray(done.maps[0]),
            "label": _code(label_of(pattern), classes) if lesion else label,
            "pair_id": name,
            "pattern": record.pattern,
            "extent": record.extent,
            "reason": record.reason,
        }
        for column, value in row.items():
            columns[column].append(value)
    return columns


def to_grey(image: Image.Image | None, name: str) -> Grey:
    """The film (h, w) of an 8-bit picture. Raises `BadImage` for one in colour or of more bits."""
    if image is None:
        raise BadImage(f"{name} has no image", expected="an 8-bit grey film", hint="leave that row out")
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


def _classes(batch: Mapping[str, Sequence[Any]]) -> Sequence[str]:
    """The names of the codes of `label` that `Dataset.map` states with a batch, else `schema.LABELS`."""
    features = getattr(getattr(batch, "formatter", None), "features", None) or {}
    return getattr(features.get("label"), "names", None) or schema.LABELS


def _code(name: str, classes: Sequence[str]) -> int:
    """The code of the class `name`. Raises `ConfigError`."""
    if name not in classes:
        raise ConfigError(
            f"rows whose labels do not name {name}",
            found=", ".join(classes),
            expected=", ".join(schema.LABELS),
            hint="bring the rows to these with mixing.with_classes(rows, schema.LABELS)",
        )
    return list(classes).index(name)


def _check_negative(label: str, name: str) -> None:
    """Raise `ConfigError` for a film that is not normal."""
    if label != NEGATIVE:
        raise ConfigError(
            f"{name} is a positive already",
            found=label,
            expected="normal films",
            hint="paint normal films, or force it",
        )
