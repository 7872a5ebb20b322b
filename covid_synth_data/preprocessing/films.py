"""Preprocessing of a film before classification: as it is, re-encoded, harmonised, or the lungs alone.

A classifier may learn how a film was made (size, frame, letters, exposure) where that differs between the
classes. The same suite under another preprocessing switches some of that off; the difference can be read.

    pixels, found = preprocessing.prepare(load_grey(cell), 224, "harmonised")
    preprocessing.version("harmonised")        # into the key of a cache and into a result file

Each film is treated by itself, by fixed rules: pure, deterministic, and the same in every batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from covid_synth_data.errors import BadImage, MissingExtra, UnknownName
from covid_synth_data.files import pixels
from covid_synth_data.files.pixels import Grey
from covid_synth_data.preprocessing import harmonise, lung_weights, re_encode, sharpness

PLAIN: Final = "plain"
RE_ENCODED: Final = "re-encoded"
HARMONISED: Final = "harmonised"
LUNGS: Final = "lungs"

KINDS: Final = (PLAIN, RE_ENCODED, HARMONISED, LUNGS)


class Prepared(NamedTuple):
    """A film for a classifier: uint8 (side, side), and whether its lungs were found.

    `found` is False where a fixed ellipse stands in for the lungs, which results must count; it is True for
    the kinds that look for none.
    """

    pixels: Grey
    found: bool


def prepare(grey: Grey, side: int, kind: str = PLAIN) -> Prepared:
    """The film `grey`, uint8 (h, w) of any size, prepared as one of `KINDS`.

    Raises `UnknownName`, `BadImage` for another array, `WeightsError` and `MissingExtra` for "lungs".
    """
    check(kind)
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise BadImage(
            "a film of a wrong kind",
            found=f"{grey.dtype} {grey.shape}",
            expected="uint8 (height, width)",
            hint="decode it with covid_synth_data.files.pixels.load_grey",
        )
    if kind == PLAIN:
        return Prepared(pixels.resize(grey, side), True)
    if kind == RE_ENCODED:
        return Prepared(re_encode.re_encoded(grey, side), True)
    if kind == HARMONISED:
        return Prepared(harmonise.harmonised(grey, side), True)
    return Prepared(*_lungs().lungs_only(grey, side))


def prepare_batch(greys: Sequence[Grey], side: int, kind: str = PLAIN) -> tuple[Grey, npt.NDArray[np.bool_]]:
    """`prepare` of each film, in order: uint8 (n, side, side) and bool (n,)."""
    done = [prepare(grey, side, kind) for grey in greys]
    if not done:
        check(kind)
        return np.empty((0, side, side), np.uint8), np.empty(0, bool)
    return np.stack([film.pixels for film in done]), np.array([film.found for film in done])


def version(kind: str) -> str:
    """KIND-DIGEST, another one for each change of what `kind` does: its constants and rules, and the sha256
    of the weights that find the lungs. Raises `UnknownName`, `WeightsError`."""
    check(kind)
    rules: dict[str, Any] = {"kind": kind}
    if kind == PLAIN:
        rules |= {"revision": 1, "filter": "bilinear"}
    elif kind == RE_ENCODED:
        rules |= re_encode.settings()
    else:
        rules |= {"harmonise": harmonise.settings(), "sharpness": sharpness.settings()}
    if kind == LUNGS:
        rules |= {"lungs": _lungs().settings(), "weights": lung_weights.read_card().sha256}
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
    return f"{kind}-{digest[:16]}"


def check(kind: str) -> None:
    """Raise `UnknownName` unless `kind` is one of `KINDS`."""
    if kind not in KINDS:
        raise UnknownName("preprocessing", kind, KINDS)


def _lungs() -> Any:
    """The module with the network, which needs torch."""
    try:
        from covid_synth_data.preprocessing import lungs
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    return lungs
