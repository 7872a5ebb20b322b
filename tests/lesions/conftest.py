"""Phantoms without a disease, and their lungs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from covid_synth_data.sources import phantom

SIDE = 128


class Films(NamedTuple):
    """Normal films (n, h, w) and the masks of their lungs."""

    films: npt.NDArray[np.uint8]
    lungs: npt.NDArray[np.bool_]


def draw(count: int, side: int = SIDE, seed: int = 5) -> Films:
    return Films(
        np.stack([phantom.draw("normal", side, seed, i, 1) for i in range(count)]),
        np.stack([phantom.lung_mask("normal", side, seed, i, 1) >= 0.5 for i in range(count)]),
    )


@pytest.fixture(scope="session")
def normals() -> Films:
    return draw(12)
