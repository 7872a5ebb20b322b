"""A base for Pillow plugins whose pixels are decoded as one array when they are first asked for."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageFile


class ArrayImageFile(ImageFile.ImageFile):
    """An image file that Pillow gets as raw data. `_open` sets size and mode; `decode` gives the pixels."""

    _pending = True

    @abstractmethod
    def decode(self) -> npt.NDArray[np.generic]:
        """The pixels (rows, columns) or (rows, columns, 3) of the mode. Raises `OSError`."""

    def load(self) -> Any:
        """Decode the pixels once, then let Pillow take them as raw data."""
        if self._pending:
            pixels = self.decode()
            if pixels.shape[:2] != (self.size[1], self.size[0]):
                raise OSError(f"{self.format} pixels of shape {pixels.shape}, header says {self.size}")
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = io.BytesIO(pixels.tobytes())
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, (self.mode, 0, 1))]
            self._pending = False
        return super().load()

    def load_seek(self, pos: int) -> None:
        """The raw data starts at the beginning of the buffer."""
