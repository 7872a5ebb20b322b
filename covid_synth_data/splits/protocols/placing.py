"""The part of a patient: a hash of the seed and the patient's name determines it.

A patient's number is the hash of (seed, purpose, name), between 0 and 1, and nothing else: neither other
patients nor other sources, neither the class nor the order of files. Protocols that share a seed share the
numbers, so that a patient who is tested on in one tends to be tested on in the others.

Patients who were joined are one person and carry one name: the first of their `patient_id`s in the order of
text. So a patient can still move in one case: a film that arrives joins two patients, and the second takes
the place of the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

SMALL: Final = 100
"""Below so many patients a stratum is dealt by rank (see `place`). With 100 patients or more, a part of a
tenth stays empty by chance less than once in 30,000 splits."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def names(patient_ids: Sequence[str], joined: Ints) -> dict[int, str]:
    """The name of each joined patient, from the `patient_id` of each row and its number in `Joined`."""
    names_of: dict[int, str] = {}
    for number, name in zip(joined.tolist(), patient_ids, strict=True):
        if number not in names_of or name < names_of[number]:
            names_of[number] = name
    return names_of


def number(seed: int, name: str, purpose: str = "") -> float:
    """The number of a patient in [0, 1). `purpose` tells draws apart that must not depend on each other."""
    text = f"{seed}\n{purpose}\n{name}"
    # 52 bits, so that no rounding reaches 1.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64 * (1 - 2**-52)


def place(numbers: Floats, strata: Sequence[Any], shares: Sequence[float]) -> Ints:
    """The part (n,) of each patient: 0 where the first of `shares` holds, and so on; the rest comes last.

    In a stratum of `SMALL` patients or more, part i is where the number lies between the sums of the shares
    before and up to i: the shares hold in expectation, and no patient's place depends on another's. In
    smaller strata that could leave a part empty. There patients are ordered by their numbers and cut at the
    same shares of the order: a patient's place depends on the others of the stratum, though not on other
    strata. Of three patients or more each share gets at least one.
    """
    bounds = np.cumsum(shares)
    parts = np.zeros(len(numbers), np.int64)
    for rows in pd.Series(range(len(numbers))).groupby(pd.Series(list(strata)), sort=True):
        at = rows[1].to_numpy()
        if len(at) >= SMALL:
            parts[at] = np.searchsorted(bounds, numbers[at], side="right")
            continue
        order = at[np.argsort(numbers[at], kind="stable")]
        parts[order] = np.searchsorted(_cuts(len(at), shares), np.arange(len(at)), side="right")
    return parts


def _cuts(count: int, shares: Sequence[float]) -> Ints:
    """Where an order of `count` patients is cut; each share that can has one."""
    cuts, end = [], 0
    for share, bound in zip(shares, np.cumsum(shares).tolist(), strict=True):
        least = end + (1 if share > 0 and count >= 3 else 0)
        end = min(max(round(bound * count), least), count)
        cuts.append(end)
    return np.array(cuts, np.int64)
