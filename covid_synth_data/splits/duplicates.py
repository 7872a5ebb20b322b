"""Finding the same film twice: byte for byte, and through re-encoding, cropping, inversion and retouching.

What a film looks like is judged by `copies`; the thresholds of likeness that the protocols use are here, with
the memory of what was read and compared. docs/results/copies.md has the measurements behind the thresholds.
"""

from __future__ import annotations

import hashlib
import io
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
from scipy import sparse
from scipy.sparse import csgraph

from covid_synth_data.errors import BadImage, ConfigError, OutputError
from covid_synth_data.files.atomic import replacing
from covid_synth_data.files.cache import cache_folder
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.metrics import approximate
from covid_synth_data.splits import copies
from covid_synth_data.splits.copies import Progress, quiet

SAME_FILM: Final = 0.90
"""Films with at least this likeness count as one film."""

SAME_PATIENT: Final = 0.82
"""Films with at least this likeness count as one patient's."""

Pairs = npt.NDArray[np.int64]

_VERSION: Final = 3
"""Of the thumbnails and of the likeness; what an older version kept is not read."""

_REMEMBERED: Final = 64
"""Comparisons of at least so many films are kept; fewer take about a tenth of a second."""


@dataclass(frozen=True)
class Fingerprints:
    """Per row: sha256 of the file ("" where unreadable), thumbnail (n, 64, 64) of `copies` (zeros where
    unreadable), the problem or "", and whether the film shows nothing (`copies.is_flat`)."""

    digests: list[str]
    thumbs: npt.NDArray[np.uint8]
    problems: list[str]

    @property
    def flat(self) -> npt.NDArray[np.bool_]:
        """Which readable films are all black, all white or of one grey (n,)."""
        readable = np.array([not problem for problem in self.problems], bool)
        return np.asarray(copies.is_flat(self.thumbs) & readable)


def fingerprints(
    paths: Sequence[str], contents: Sequence[bytes | None], progress: Progress = quiet
) -> Fingerprints:
    """Fingerprints of films given as files, or as encoded bytes where `contents` has them.

    Files are remembered by path, size and time of change in a cache ($COVID_SYNTH_CACHE, otherwise
    ~/.cache/covid-synth-data), which is made anew when it is damaged and done without when it cannot be
    written. A file that is no image gets its problem as text and no descriptor (zeros); nothing is raised.
    """
    cached = _read_cache()
    keys = [_key(path) if content is None else None for path, content in zip(paths, contents, strict=True)]
    todo = [i for i, key in enumerate(keys) if key is None or key not in cached]

    def work(i: int) -> tuple[str, bytes, str]:
        content = contents[i]
        return _fingerprint(paths[i] if content is None else content)

    # Opening an image sets warning filters aside, which threads would put back in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        fresh = {}
        for i, print_ in zip(todo, pool.map(work, todo), strict=True):
            fresh[i] = print_
            progress(len(fresh), len(todo), "films read")
    new = {key: fresh[i] for i in todo if (key := keys[i]) is not None and not fresh[i][2]}
    if new:
        cached |= new
        _write_cache(cached)
    rows = [fresh[i] if i in fresh else cached[keys[i] or ""] for i in range(len(paths))]
    blank = bytes(copies.SIDE**2)
    content = b"".join(row[1] or blank for row in rows)
    thumbs = np.frombuffer(content, np.uint8).reshape(-1, copies.SIDE, copies.SIDE)
    return Fingerprints([row[0] for row in rows], thumbs, [row[2] for row in rows])


@dataclass(frozen=True)
class Alike:
    """Index pairs (m, 2), first < second, of films that look alike, how much (m,); pairs of equal files."""

    pairs: Pairs
    values: npt.NDArray[np.float32]
    equal: Pairs

    def at_least(self, threshold: float) -> Pairs:
        """Index pairs of equal files and of films at least `threshold` alike; some may be there twice.

        Raises `ConfigError` for a threshold below `copies.FLOOR`.
        """
        if not threshold >= copies.FLOOR:
            raise ConfigError(
                "films that are so little alike are not looked for",
                found=f"threshold {threshold:g}",
                expected=f"at least {copies.FLOOR:g}",
            )
        return np.concatenate([self.pairs[self.values >= threshold], self.equal])


def compare(prints: Fingerprints, progress: Progress = quiet, *, search: str = approximate.EXACT) -> Alike:
    """All pairs of films that look alike (`copies.search`), remembered by the content of the films.

    Likeness is of two films alone, so what was found among more films is known of any of them; an approximate
    search depends on all films, and is remembered of these alone. Films that show nothing are like no other,
    but equal files are found among them too, by either search. Raises `UnknownName`, `MissingExtra`.
    """
    exact = not approximate.wanted(search)
    rows = {digest: row for row, digest in enumerate(prints.digests) if digest}
    digests = sorted(rows)
    at = np.array([rows[digest] for digest in digests], np.int64)
    name = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:32]
    file = cache_folder() / f"copies-{_VERSION}{'' if exact else _kind(search)}" / f"{name}.npz"
    known = None
    if len(digests) >= _REMEMBERED:
        known = _read_compared(file, len(digests))
        if known is None and exact:
            known = _read_among_more(file.parent, digests)
    if known is None:
        known = copies.search(prints.thumbs[at], progress, how=search)
        if len(digests) >= _REMEMBERED:
            _write_compared(file, digests, *known)
    return Alike(np.sort(at[known[0]], axis=1), known[1], equal_pairs(prints.digests))


def _kind(search: str) -> str:
    """What tells comparisons of different settings apart, at the end of their folder's name."""
    text = f"{copies.settings(search)} {approximate.version()}"
    return f"-{search}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def pairs(
    prints: Fingerprints, threshold: float, progress: Progress = quiet, *, search: str = approximate.EXACT
) -> Pairs:
    """Index pairs (m, 2), first < second, of equal files and of films at least `threshold` alike; each once.

    Raises `ConfigError` for a threshold below `copies.FLOOR`, and the errors of `compare`.
    """
    return np.unique(compare(prints, progress, search=search).at_least(threshold), axis=0)


def between(
    prints: Fingerprints,
    first: int,
    threshold: float,
    progress: Progress = quiet,
    *,
    search: str = approximate.EXACT,
) -> Pairs:
    """Pairs (m, 2) of one of the `first` films and one of the others that are equal files or at least
    `threshold` alike; each once. Of equal files of one side the last stands for all.

    The time grows with the product of both numbers, and nothing is remembered. Raises the errors of `pairs`.
    """
    sides = (range(first), range(first, len(prints.digests)))
    rows = [{prints.digests[row]: row for row in side if prints.digests[row]} for side in sides]
    at = np.array([row for side in rows for row in side.values()], np.int64)
    alike = Alike(
        *copies.search(prints.thumbs[at], progress, how=search, first=len(rows[0])),
        np.empty((0, 2), np.int64),
    )
    equal = [(rows[0][digest], rows[1][digest]) for digest in rows[0].keys() & rows[1].keys()]
    both = [at[alike.at_least(threshold)], np.array(equal, np.int64).reshape(-1, 2)]
    return np.unique(np.concatenate(both), axis=0)


def equal_pairs(values: Sequence[str]) -> Pairs:
    """Index pairs (m, 2) that tie each row to the last one before it of the same value; "" equals nothing."""
    last: dict[str, int] = {}
    ties = []
    for i, value in enumerate(values):
        if value:
            if value in last:
                ties.append((last[value], i))
            last[value] = i
    return np.array(ties, np.int64).reshape(-1, 2)


def components(count: int, *links: Pairs) -> npt.NDArray[np.int64]:
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
        return digest, copies.thumbnail(load_grey(file, copies.READ_SIDE)).tobytes(), ""
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
        if isinstance(thumb, bytes) and len(thumb) == copies.SIDE**2 and isinstance(digest, str)
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


Compared = tuple[Pairs, npt.NDArray[np.float32]]
"""Index pairs (m, 2) and how much these films are alike (m,)."""


def _read_compared(file: Path, count: int) -> Compared | None:
    """What was found among these films before; None when it was not looked for, or the file is damaged."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as kept:
            alike, values = kept["pairs"], kept["values"]
    except Exception:
        # As with the fingerprints: a damaged cache is made anew, and numpy raises many kinds.
        return None
    sound = alike.shape == (len(values), 2) and alike.dtype == np.int64 and values.dtype == np.float32
    if not sound or (len(alike) and not 0 <= alike.min() <= alike.max() < count):
        return None
    return alike, values


def _read_among_more(folder: Path, digests: list[str]) -> Compared | None:
    """The same from a comparison of more films, all of `digests` (sorted) among them; None without one."""
    wanted = np.array(digests, "S64")
    for file in sorted(folder.glob("*.npz")):
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as kept:
                all_films = kept["digests"]
        except Exception:  # noqa: S112  (as above; older versions kept no digests)
            continue
        if len(all_films) < len(wanted) or not np.isin(wanted, all_films).all():
            continue
        known = _read_compared(file, len(all_films))
        if known is None:
            continue
        # Both are sorted, so pairs keep their order.
        number = np.full(len(all_films), -1, np.int64)
        number[np.searchsorted(all_films, wanted)] = np.arange(len(wanted))
        pairs_of_wanted = number[known[0]]
        both = (pairs_of_wanted >= 0).all(axis=1)
        return pairs_of_wanted[both], known[1][both]
    return None


def _write_compared(file: Path, digests: list[str], alike: Pairs, values: npt.NDArray[np.float32]) -> None:
    try:
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, pairs=alike, values=values, digests=np.array(digests, "S64"))
    except OutputError:
        return
