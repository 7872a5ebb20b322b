"""Arrays on disk, one row per film, found by the content of the film: what is decoded once stays decoded.

A store is a folder of shards. A shard is `NAME.npy`, an array of shape (rows, ...), and `NAME.keys`, one key
per row; NAME is the digest of the keys. The keys are written last and both files appear whole or not at
all, so a shard counts once its keys are there: whoever is killed loses the shard in work and nothing else,
and two processes that make the same shard write the same bytes. As a key is the hash of the film's encoded
bytes, a store can never answer with the pixels of other data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from covid_synth_data import atomic
from covid_synth_data.duplicates import cache_folder
from covid_synth_data.errors import OutputError

Array = npt.NDArray[Any]

SHARD_ROWS: Final = 512


def default_folder() -> Path:
    """$COVID_SYNTH_CACHE, or the folder for caches of the user; never a folder of results, as real films
    must not be published with them."""
    return cache_folder() / "benchmark"


def content_key(cell: Mapping[str, Any]) -> str:
    """The key of an undecoded image cell {"bytes", "path"}: hex SHA-256 of its encoded bytes."""
    content = cell["bytes"] if cell.get("bytes") is not None else Path(cell["path"]).read_bytes()
    return hashlib.sha256(content).hexdigest()


class Store:
    """A growing array of rows of one `shape` and `dtype`, memory-mapped, addressed by key."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        """Open the store in `folder`, which need not exist. Raises `OutputError` on a damaged shard."""
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._shards: list[Array] = []
        self._where: dict[str, tuple[int, int]] = {}
        for keys in sorted(folder.glob("*.keys")):
            self._open(keys)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that have no row yet, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self._where]

    def add(
        self,
        keys: Sequence[str],
        make: Callable[[Sequence[str]], Array],
        advance: Callable[[int], None] | None = None,
    ) -> None:
        """Fill in the rows of `keys` that are missing, a shard at a time.

        `make` gets up to `SHARD_ROWS` keys and returns an array of shape (len(keys), *shape); `advance` is
        told how many rows were done. Raises `OutputError` when the disk is full; earlier shards stay.
        """
        for part in _parts(self.missing(keys), SHARD_ROWS):
            rows = make(part)
            if rows.shape != (len(part), *self.shape) or rows.dtype != self.dtype:
                raise ValueError(f"rows of shape {rows.shape} and type {rows.dtype} do not fit the store")
            name = hashlib.sha256("\n".join(part).encode()).hexdigest()[:32]
            with atomic.replacing(self.folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, rows)
            atomic.write_text(self.folder / f"{name}.keys", "\n".join(part) + "\n")
            self._open(self.folder / f"{name}.keys")
            if advance:
                advance(len(part))

    def rows(self, keys: Sequence[str]) -> Array:
        """The rows of `keys`, shape (len(keys), *shape), copied. Raises `KeyError` for an absent key."""
        out = np.empty((len(keys), *self.shape), self.dtype)
        for index, key in enumerate(keys):
            shard, row = self._where[key]
            out[index] = self._shards[shard][row]
        return out

    def _open(self, keys: Path) -> None:
        names = keys.read_text(encoding="utf-8").split()
        path = keys.with_suffix(".npy")
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
            problem = (
                None if rows.shape == (len(names), *self.shape) and rows.dtype == self.dtype else rows.shape
            )
        except (OSError, ValueError, EOFError) as error:
            problem = error
        if problem is not None:
            raise OutputError(
                f"the cache shard {path} is damaged",
                found=str(problem),
                expected=f"{len(names)} rows of shape {self.shape}",
                hint=f"remove the folder {self.folder}, it is filled again by the next run",
            )
        self._shards.append(rows)
        self._where |= {name: (len(self._shards) - 1, row) for row, name in enumerate(names)}


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
