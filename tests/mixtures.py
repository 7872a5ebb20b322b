"""Small datasets for the tests of mixing."""

from __future__ import annotations

import functools
import io
from typing import Any

import datasets
import numpy as np
from PIL import Image

from covid_synth_data import schema


@functools.cache
def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2), number % 256, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@functools.cache
def rows(kind: str, negatives: int, positives: int) -> datasets.Dataset:
    """Real or synthetic rows of tiny images, in the columns of the schema."""
    columns = schema.REAL_COLUMNS if kind == "real" else schema.SYNTHETIC_COLUMNS
    count = negatives + positives
    cells: dict[str, list[Any]] = {name: [f"{name}-{i}" for i in range(count)] for name in columns}
    cells["image"] = [{"bytes": picture(i), "path": None} for i in range(count)]
    cells["label"] = [0] * negatives + [schema.COVID] * positives
    cells["image_id"] = [f"{kind}/{i}" for i in range(count)]
    if "seed" in cells:
        cells["seed"] = list(range(count))
    return datasets.Dataset.from_dict(cells, features=schema.features(columns))


def ids(dataset: datasets.Dataset, kind: str = "") -> list[str]:
    return [name for name in dataset["image_id"] if name.startswith(kind)]
