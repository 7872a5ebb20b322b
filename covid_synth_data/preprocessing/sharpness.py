"""One sharpness for all films: as much detail of each size as a fixed reference has.

How strongly detail of each size shows (the power spectrum) is a trace of how a film was made: of the size of
the original, of every resizing and compression, of the edge enhancement of the device. What the detail is,
and where, lies in the signs and proportions within a size, which stay as they are.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import fft

Film = npt.NDArray[np.float32]

COARSEST: Final = 5.0
"""Detail larger than this is left alone: half waves per side of the film. It is the layout of the chest."""

BANDS: Final = 24
"""Sizes of detail between that and one pixel, in even ratios."""

POWER: Final = 56_000.0
"""Mean squared coefficient of the reference at seven half waves per side, for grey levels in [0, 255]."""

SLOPE: Final = 2.6
"""How fast the reference falls: power to the minus this of the number of half waves."""

BLUR: Final = 1.0
"""And as if blurred by a Gaussian of this standard deviation in pixels: the finest detail, where ringing and
the grid of a JPEG show, is all but gone."""

MOST_GAIN: Final = 4.0
"""Detail is amplified by no more than this; what an original does not have cannot be given to it."""


def even(film: Film) -> Film:
    """`film` (side, side) in [0, 255] with the reference's sharpness; same mean, may leave [0, 255] a little.

    A cosine transform, which sees the film mirrored at its edges and so takes no edge for detail.
    """
    waves, band, reference_power, centres = _reference(film.shape[0])
    mean = film.mean(dtype=np.float64)
    content = fft.dctn(film - mean, norm="ortho")
    members = np.bincount(band.ravel(), minlength=BANDS + 2)[1 : BANDS + 1]
    power = np.bincount(band.ravel(), (content**2).ravel(), minlength=BANDS + 2)[1 : BANDS + 1] / members
    gain = np.minimum(np.sqrt(reference_power / np.maximum(power, 1e-9)), MOST_GAIN)
    smooth = np.exp(np.interp(waves, centres, np.log(gain)))
    evened: Film = (fft.idctn(content * np.where(band == 0, 1.0, smooth), norm="ortho") + mean).astype(
        np.float32
    )
    return evened


@functools.lru_cache(maxsize=4)
def _reference(side: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp], Film, Film]:
    """Per coefficient the logarithm of its half waves and its band (0: left alone); per band the reference's
    power and the logarithm of its middle."""
    rows, columns = np.indices((side, side))
    waves = np.hypot(rows, columns)
    limits = np.geomspace(COARSEST, side, BANDS + 1)
    band = np.digitize(waves, limits)
    power = POWER * (np.maximum(waves, 1) / 7) ** -SLOPE * np.exp(-((np.pi * BLUR * waves / side) ** 2))
    reference_power = np.array([power[band == number].mean() for number in range(1, BANDS + 1)])
    return np.log(np.maximum(waves, 1)), band, reference_power, np.log(np.sqrt(limits[1:] * limits[:-1]))


def settings() -> dict[str, float]:
    """Everything above that the pixels depend on."""
    return {
        "coarsest": COARSEST,
        "bands": BANDS,
        "power": POWER,
        "slope": SLOPE,
        "blur": BLUR,
        "most_gain": MOST_GAIN,
    }
