"""Encode a grey film as a release keeps it."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from covid_synth_data.files.pixels import Grey


def encode_image(film: Grey, codec: str, quality: int) -> bytes:
    """A grey film (height, width) as the bytes of a png, jpeg or webp file; `quality` is for the last two."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {
        "png": {"compress_level": 6},
        "jpeg": {"quality": quality, "optimize": True},
        "webp": {"quality": quality, "method": 4},
    }[codec]
    Image.fromarray(film).save(buffer, codec.upper(), **options)
    return buffer.getvalue()
