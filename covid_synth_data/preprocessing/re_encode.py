"""Store every film in one way, so that size and encoding of a file do not tell where it comes from.

Collections differ in the size and the encoding of their files, and images of a release have one of their own.
Where classes come from different collections, a classifier can learn that instead of a disease. Here all
films, real or synthetic, trained or tested on, get the size and the encoding of the released images. What a
film has lost before, as one of few pixels has, it does not get back.
"""

from __future__ import annotations

from typing import Any, Final

from covid_synth_data.files import pixels
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import Grey

SIDE: Final = 256
CODEC: Final = "webp"
QUALITY: Final = 90
"""Those of the config `gnc` of covid-synth-cxr."""

REVISION: Final = 1
"""Counted up with every change of the rules here that the numbers above do not show."""


def re_encoded(grey: Grey, side: int) -> Grey:
    """The film `grey`, uint8 (h, w), resized to 256 x 256, written as WebP and read again: uint8 (side,
    side)."""
    return pixels.load_grey(encode_image(pixels.resize(grey, SIDE), CODEC, QUALITY), side)


def settings() -> dict[str, Any]:
    """Everything that the pixels depend on."""
    return {"revision": REVISION, "side": SIDE, "codec": CODEC, "quality": QUALITY}
