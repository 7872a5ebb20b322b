"""Diversity within one set of films: the Vendi score, and the similarity of random pairs."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import image_quality, neighbours

Floats = npt.NDArray[np.float64]

PAIRS: Final = 500
"""Random pairs whose mean similarity is taken."""


def vendi_score(features: npt.ArrayLike) -> float:
    """The Vendi score (Friedman & Dieng 2023) of features (n, d) under the cosine: 1 to min(n, d).

    exp of the entropy of the eigenvalues of K / n, where K holds the cosines of all pairs: an effective
    number of different films. n copies of one film give 1, n films at right angles give n. The eigenvalues
    are taken from the smaller of the two Gram matrices. It grows with n, so compare sets of one size. Raises
    `MetricError` for a row of length 0.
    """
    rows = neighbours.checked(features, "films").astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise MetricError(
            "features of length 0", found=f"row {int(np.argmin(lengths))}", expected="a direction"
        )
    unit = rows / lengths
    gram = (unit.T @ unit if len(unit) > unit.shape[1] else unit @ unit.T) / len(unit)
    shares = np.linalg.eigvalsh(gram)
    shares = shares[shares > 1e-12]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def pair_similarity(images: npt.NDArray[np.uint8], *, pairs: int = PAIRS, seed: int = 0) -> Floats:
    """SSIM of random pairs of different films of uint8 (n, h, w), (pairs,): high where all look alike.

    The same arguments give the same pairs. Raises `MetricError` for fewer than two films or films of less
    than 11 pixels a side, `MissingExtra` without torchmetrics.
    """
    if images.ndim != 3 or len(images) < 2:
        raise MetricError("too few films for pairs", found=str(images.shape), expected="(n, h, w), n >= 2")
    random = np.random.default_rng([seed, 0x551])
    first = random.integers(len(images), size=pairs)
    second = (first + random.integers(1, len(images), size=pairs)) % len(images)
    shades = images.astype(np.float32) / 255
    return np.asarray(image_quality.ssim(shades[first], shades[second]), np.float64)
