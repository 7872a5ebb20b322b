"""A store of arrays on disk, one row per film, indexed by the content of the film.

A store is a folder of shards. A shard is `NAME.npy`, an array of shape (rows, ...), `NAME.sha256`, the digest
of that file, and `NAME.keys`, one key per row; NAME is the digest of the keys. The keys are written last and
each file appears whole or not at all, so a shard counts once all three exist. A killed process loses only the
shard that it was writing, and two processes that make the same shard write the same bytes. A key is
the hash of the film's encoded bytes, and the rows of a shard are checked against their digest before first
use, so a store never returns the pixels of other data.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from covid_synth_data.errors import OutputError
from covid_synth_data.files import atomic
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.files.pixels import bytes_of

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]
"""Rows of a store, shape (n, 2): which shard, and which row of it."""

SHARD_ROWS: Final = 512


def default_folder() -> Path:
    """$COVID_SYNTH_CACHE, or the folder for caches of the user; never a folder of results, as real films
    must not be published with them."""
    return cache_folder() / "benchmark"


def content_key(cell: Mapping[str, Any]) -> str:
    """The key of an undecoded image cell {"bytes", "path"}: hex SHA-256 of its encoded bytes."""
    return hashlib.sha256(bytes_of(cell)).hexdigest()


class Store:
    """A growing array of rows of one `shape` and `dtype`, memory-mapped, addressed by key."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        """Open the store in `folder`, which need not exist. Raises `OutputError` on a damaged shard."""
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._shards: list[Array] = []
        self._paths: list[Path] = []
        self._where: dict[str, tuple[int, int]] = {}
        self._unchecked: dict[int, Path] = {}
        for keys in sorted(folder.glob("*.keys")):
            if keys.with_suffix(".sha256").exists():
                self._unchecked[len(self._shards)] = keys.with_suffix(".npy")
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
            name = _name("\n".join(part))
            with atomic.replacing(self.folder / f"{name}.npy") as temporary:
                _save(temporary, rows)
            digest = _digest(self.folder / f"{name}.npy")
            atomic.write_text(self.folder / f"{name}.sha256", digest + "\n")
            atomic.write_text(self.folder / f"{name}.keys", "\n".join(part) + "\n")
            self._open(self.folder / f"{name}.keys")
            if advance:
                advance(len(part))

    def rows(self, keys: Sequence[str]) -> Array:
        """The rows of `keys`, shape (len(keys), *shape), copied. Raises `KeyError` for an absent key."""
        return self.take(self.places(keys))

    def places(self, keys: Sequence[str]) -> Places:
        """Where the rows of `keys` are, for `take`, shape (len(keys), 2). Raises `KeyError`."""
        return np.array([self._where[key] for key in keys], np.int64).reshape(-1, 2)

    def take(self, places: Places) -> Array:
        """The rows at `places`, shape (len(places), *shape), copied, each shard gone through once.

        Raises `OutputError` where a shard that is used for the first time does not hold what was written.
        """
        out = np.empty((len(places), *self.shape), self.dtype)
        order = np.argsort(places[:, 0], kind="stable")
        shards, starts = np.unique(places[order, 0], return_index=True)
        for shard, at in zip(shards, np.split(order, starts)[1:], strict=True):
            if shard in self._unchecked:
                self._check(int(shard))
            if len(at) == 1:  # the common case of a small batch from a large store
                out[at[0]] = self._shards[shard][places[at[0], 1]]
            else:
                out[at] = self._shards[shard][places[at, 1]]
        return out

    def let_go(self) -> None:
        """Map the shards anew, so that pages that were read no longer count as memory of this process.

        For whoever has taken the rows of a whole set and does not need them again soon. Raises `OutputError`
        where a shard is gone.
        """
        for number, path in enumerate(self._paths):
            try:
                self._shards[number] = _map(path)
            except (OSError, ValueError) as error:
                raise self._damaged(path, str(error), "the array that was there") from error

    def _open(self, keys: Path) -> None:
        path = keys.with_suffix(".npy")
        try:
            text = keys.read_text(encoding="utf-8")
            rows = _map(path)
        except (OSError, ValueError) as error:
            raise self._damaged(path, str(error), "an array and its keys") from error
        names = text.split()
        if _name("\n".join(names)) != keys.stem:
            raise self._damaged(path, "keys of other films", "the keys that it is named after")
        if rows.shape[1:] != self.shape or rows.dtype != self.dtype:
            raise OutputError(
                f"the cache {self.folder} holds something else",
                found=f"rows of shape {rows.shape[1:]}, {rows.dtype} in {path.name}",
                expected=f"shape {self.shape}, {self.dtype}",
                hint="remove that folder, it is filled again by the next run",
            )
        if len(rows) != len(names):
            raise self._damaged(path, f"{len(rows)} rows", f"{len(names)}")
        self._shards.append(rows)
        self._paths.append(path)
        self._where |= {name: (len(self._shards) - 1, row) for row, name in enumerate(names)}

    def _check(self, shard: int) -> None:
        path = self._unchecked[shard]
        try:
            digest = _digest(path)
            recorded = path.with_suffix(".sha256").read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise self._damaged(path, str(error), "an array and its digest") from error
        if digest != recorded:
            raise self._damaged(path, "rows of other films", "the rows that were written for its keys")
        self._unchecked.pop(shard, None)

    def _damaged(self, path: Path, found: str, expected: str) -> OutputError:
        both = f"{path.name} and {path.with_suffix('.keys').name}"
        return OutputError(
            f"the cache shard {path} is damaged",
            found=found,
            expected=expected,
            hint=f"remove {both}, the next run makes them again",
        )


def _save(path: Path, rows: Array) -> None:
    """Write a .npy file of format 1.0. `np.save` does not say that a disk is full, but how much it wrote."""
    rows = np.ascontiguousarray(rows)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(rows))
        file.write(rows.data)


def _map(path: Path) -> Array:
    """The array in a .npy file, its pages read when they are asked for. Raises `OSError`, `ValueError`.

    Arrow maps it and not NumPy, whose map keeps the file open: a store of many shards, and the ones that
    `datasets` has open, would come to the limit of open files.
    """
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("no array of format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if fortran or dtype.hasobject:
        raise ValueError(f"an array of {dtype} in another order")
    with pa.memory_map(str(path)) as file:
        content = file.read_buffer()
    size = start + dtype.itemsize * math.prod(shape)
    if content.size != size:
        raise ValueError(f"{content.size} bytes and not {size}")
    return np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)


def _digest(path: Path) -> str:
    """Hex SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(keys: str) -> str:
    """The name of the shard with these keys, one a line."""
    return hashlib.sha256(keys.encode()).hexdigest()[:32]


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
