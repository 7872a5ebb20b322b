"""Finding the same film twice: byte for byte, and through re-encoding, resizing and mild retouching.

Chest films resemble each other so much that short perceptual hashes call different patients equal. Here a
film is a 48 x 48 thumbnail less its own blur (sigma 3), normalised; likeness is the correlation of two such
thumbnails. On the public sets of `sources`, with pairs looked at: films republished in another set or size
mostly lie above 0.98; pairs above `SAME_FILM` were the same film; pairs between `SAME_PATIENT` and that were
the same film retouched or another film of the same patient, with few exceptions; films of sets that share
no patient stayed below 0.84. A copy that was cropped, not squashed, is mostly not found: such pairs are
joined only where a source names them (`same_film`).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from covid_synth_data.errors import BadImage, OutputError
from covid_synth_data.files.atomic import replacing
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.files.pixels import is_empty, load_grey

SAME_FILM: Final = 0.92
SAME_PATIENT: Final = 0.86
SIDE: Final = 48
BLUR: Final = 3.0

EMPTY: Final = "shows no film: it is all black, all white or one grey"

_BLOCK: Final = 1024
_VERSION: Final = 1


@dataclass(frozen=True)
class Fingerprints:
    """Per row: sha256 of the file ("" where unreadable), descriptor (n, 2304) of unit length, the problem."""

    digests: list[str]
    descriptors: npt.NDArray[np.float32]
    problems: list[str]


def fingerprints(paths: Sequence[str], contents: Sequence[bytes | None]) -> Fingerprints:
    """Fingerprints of films given as files, or as encoded bytes where `contents` has them.

    Files are remembered by path, size and time of change in a cache ($COVID_SYNTH_CACHE, otherwise
    ~/.cache/covid-synth-data), which is made anew when it is damaged and done without when it cannot be
    written. A file that is no image gets its problem as text and no descriptor (zeros), and one that shows no
    film (`pixels.is_empty`) a problem that ends in `EMPTY`. Raises `MissingExtra` alone, where a decoder is
    not installed.
    """
    cached = _read_cache()
    keys = [_key(path) if content is None else None for path, content in zip(paths, contents, strict=True)]
    todo = [i for i, key in enumerate(keys) if key is None or key not in cached]

    def work(i: int) -> tuple[str, bytes, str]:
        content = contents[i]
        return _fingerprint(paths[i] if content is None else content)

    # Opening an image sets warning filters aside, which threads would put back in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        fresh = dict(zip(todo, pool.map(work, todo), strict=True))
    new = {key: fresh[i] for i in todo if (key := keys[i]) is not None and not fresh[i][2]}
    if new:
        cached |= new
        _write_cache(cached)
    rows = [fresh[i] if i in fresh else cached[keys[i] or ""] for i in range(len(paths))]
    blank = bytes(SIDE * SIDE)
    thumbs = np.frombuffer(b"".join(row[1] or blank for row in rows), np.uint8).reshape(-1, SIDE, SIDE)
    problems = [
        row[2] or (f"{path or 'an image'} {EMPTY}" if is_empty(thumb) else "")
        for row, path, thumb in zip(rows, paths, thumbs, strict=True)
    ]
    return Fingerprints([row[0] for row in rows], describe(thumbs), problems)


def describe(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Thumbnails (n, 48, 48) to descriptors (n, 2304): less their blur, mean 0, length 1; flat ones 0."""
    sharp = np.empty((len(thumbs), SIDE * SIDE), np.float32)
    for start in range(0, len(thumbs), _BLOCK):
        part = thumbs[start : start + _BLOCK].astype(np.float32)
        part -= ndimage.gaussian_filter(part, (0, BLUR, BLUR), mode="nearest")
        sharp[start : start + _BLOCK] = part.reshape(len(part), -1)
    sharp -= sharp.mean(axis=1, keepdims=True)
    length = np.linalg.norm(sharp, axis=1, keepdims=True)
    sharp /= np.where(length > 1e-3, length, np.inf)
    return sharp


def pairs(found: Fingerprints, threshold: float) -> npt.NDArray[np.int64]:
    """Index pairs (m, 2), first < second, of equal files and of films at least `threshold` alike."""
    blocks = [np.empty((0, 2), np.int64)]
    data = found.descriptors
    for start in range(0, len(data), _BLOCK):
        alike = data[start : start + _BLOCK] @ data[start:].T
        first, second = np.nonzero(alike >= threshold)
        upper = second > first
        blocks.append(np.stack([first[upper] + start, second[upper] + start], axis=1))
    return np.concatenate([*blocks, equal_pairs(found.digests)])


def alike(found: Fingerprints, candidates: npt.NDArray[np.int64], threshold: float) -> npt.NDArray[np.int64]:
    """Those of the index pairs (m, 2) that are equal files or films at least `threshold` alike."""
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        first, second = block.T
        likeness = np.einsum("ij,ij->i", found.descriptors[first], found.descriptors[second])
        kept.append(block[likeness >= threshold])
    return np.concatenate([*kept, equal_pairs(found.digests)])


def equal_pairs(values: Sequence[str]) -> npt.NDArray[np.int64]:
    """Index pairs (m, 2) that tie each row to the last one before it of the same value; "" equals nothing."""
    last: dict[str, int] = {}
    ties = []
    for i, value in enumerate(values):
        if value:
            if value in last:
                ties.append((last[value], i))
            last[value] = i
    return np.array(ties, np.int64).reshape(-1, 2)


def components(count: int, *links: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Labels (count,) of the connected components of the graph with these index pairs as edges."""
    edges = np.concatenate([np.empty((0, 2), np.int64), *links])
    graph = sparse.coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (count, count))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], np.int64)


def _fingerprint(file: str | bytes) -> tuple[str, bytes, str]:
    """(sha256, thumbnail bytes, problem) of one film."""
    try:
        content = Path(file).read_bytes() if isinstance(file, str) else file
        digest = hashlib.sha256(content).hexdigest()
        # DICOM is recognised by the file's name, so files are opened by it.
        return digest, load_grey(file, SIDE).tobytes(), ""
    except OSError as error:
        return "", b"", f"cannot read {file!r}: {error.strerror or error}"
    except BadImage as error:
        return "", b"", str(error)


def _key(path: str) -> str | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return f"{Path(path).absolute()}|{status.st_size}|{status.st_mtime_ns}"


def _cache_file() -> Path:
    return cache_folder() / f"fingerprints-{_VERSION}.parquet"


def _read_cache() -> dict[str, tuple[str, bytes, str]]:
    """What was fingerprinted before; empty when there is no cache or it is damaged."""
    try:
        table = pd.read_parquet(_cache_file(), columns=["key", "digest", "thumb"])
    except Exception:
        # A cache is never worth an error, and pyarrow raises many kinds on a damaged file.
        return {}
    columns = (table["key"], table["digest"], table["thumb"])
    return {
        key: (digest, thumb, "")
        for key, digest, thumb in zip(*columns, strict=True)
        if isinstance(thumb, bytes) and len(thumb) == SIDE * SIDE and isinstance(digest, str)
    }


def _write_cache(rows: dict[str, tuple[str, bytes, str]]) -> None:
    table = pd.DataFrame(
        {"key": list(rows), "digest": [r[0] for r in rows.values()], "thumb": [r[1] for r in rows.values()]}
    )
    try:
        with replacing(_cache_file()) as temporary:
            table.to_parquet(temporary, index=False)
    except OutputError:
        # A full disk or a read-only home costs time at the next call, not this one's result.
        return
