"""CT phantoms as arrays and rows: what `load_source("ct-phantom")` draws, for code that wants no Dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from covid_synth_data.ct import slices as ct_slices
from covid_synth_data.sources import ct_phantom
from covid_synth_data.sources.ct_phantom import SIDES, draw

__all__ = ["SIDES", "arrays", "draw", "row", "rows"]


def rows(
    *, size: int = 128, patients: int = 9, slices: int = 16, seed: int = 0, ragged: int = 0
) -> list[dict[str, Any]]:
    """The rows (`ct.slices.Row`) of all slices, in the order patient, slice. Raises `ConfigError`."""
    frame = ct_phantom.read(size=size, patients=patients, slices=slices, seed=seed, ragged=ragged)
    return ct_slices.rows(frame)


def row(source_id: str, **options: int) -> dict[str, Any]:
    """The row of `rows` with this `source_id`, drawn alone; `options` as of `rows`.

    Raises `ConfigError`, also where `rows` has no such slice.
    """
    return ct_slices.rows(ct_phantom.read_one(source_id, **options))[0]


def arrays(
    *, size: int = 128, patients: int = 9, slices: int = 16, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Images float32 (n, 1, size, size) in [0, 1] and label maps uint8 (n, size, size), as `rows` orders
    them."""
    return ct_slices.stack(rows(size=size, patients=patients, slices=slices, seed=seed))
