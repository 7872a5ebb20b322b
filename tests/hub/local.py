"""What can go wrong on the machine of a client: damage to what a pull leaves in its caches.

Each function takes the folder of a client's caches after a complete pull and damages one kind of file in it,
as a power cut, a full disk, bit rot or another program may. It returns how many files it damaged.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

Damage = Callable[[Path], int]

_REPO: Final = "datasets--test-org--covid-synth-cxr"


def _each(paths: Iterable[Path], change: Callable[[Path], None]) -> int:
    found = [path for path in sorted(paths) if path.is_file()]
    for path in found:
        change(path)
    return len(found)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    """One bit, at unchanged size and time, as a disk does."""
    status = path.stat()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _other(path: Path) -> None:
    path.write_text('{"x": [null]}')


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path) -> None:
    path.unlink()


def _blobs(home: Path) -> list[Path]:
    """The contents of shards in the cache of the Hub's client; the manifest's name is shorter."""
    return [path for path in (home / "hf/hub" / _REPO / "blobs").iterdir() if len(path.name) == 64]


def _manifest(home: Path) -> list[Path]:
    return [path for path in (home / "hf/hub" / _REPO / "blobs").iterdir() if len(path.name) == 40]


def _copies(home: Path, suffix: str) -> list[Path]:
    return list((home / "hf/datasets/covid-synth-data").rglob(f"*{suffix}"))


def _notes(home: Path) -> list[Path]:
    return list((home / "ours/checked").iterdir())


def _refs(home: Path) -> list[Path]:
    return list((home / "hf/hub" / _REPO / "refs").iterdir())


def _half_written(home: Path) -> int:
    """Neighbours that killed downloads and copies leave."""
    blobs = home / "hf/hub" / _REPO / "blobs"
    for path in _blobs(home):
        (blobs / f"{path.name}.incomplete").write_bytes(path.read_bytes()[:100])
        path.unlink()
    for path in _copies(home, ".arrow"):
        shutil.move(path.parent, path.parent.with_name(f"{path.parent.name}.incomplete"))
    for path in _notes(home):
        path.with_name(f".{path.name}.tmp-4000000").write_text("{")
    return 1


def _locks(home: Path) -> int:
    """Locks that nobody holds: of dead processes, and with other content."""
    return _each((home / "hf").rglob("*.lock"), lambda path: path.write_bytes(b"\0\xff" * 50))


DAMAGES: Final[dict[str, Damage]] = {
    "shards cut": lambda home: _each(_blobs(home), _cut),
    "shards empty": lambda home: _each(_blobs(home), _empty),
    "a bit of the shards": lambda home: _each(_blobs(home), _flip),
    "shards gone, links left": lambda home: _each(_blobs(home), _gone),
    "manifest cut": lambda home: _each(_manifest(home), _cut),
    "manifest empty": lambda home: _each(_manifest(home), _empty),
    "a bit of the manifest": lambda home: _each(_manifest(home), _flip),
    "manifest of another form": lambda home: _each(_manifest(home), _other),
    "manifest gone, link left": lambda home: _each(_manifest(home), _gone),
    "reference empty": lambda home: _each(_refs(home), _empty),
    "reference to nothing": lambda home: _each(_refs(home), _other),
    "Arrow copy cut": lambda home: _each(_copies(home, ".arrow"), _cut),
    "Arrow copy empty": lambda home: _each(_copies(home, ".arrow"), _empty),
    "a bit of the Arrow copy": lambda home: _each(_copies(home, ".arrow"), _flip),
    "Arrow copy gone": lambda home: _each(_copies(home, ".arrow"), _gone),
    "information of the copy cut": lambda home: _each(_copies(home, "dataset_info.json"), _cut),
    "information of the copy empty": lambda home: _each(_copies(home, "dataset_info.json"), _empty),
    "hashes of the copy cut": lambda home: _each(_copies(home, "hashes.json"), _cut),
    "hashes of the copy of another form": lambda home: _each(_copies(home, "hashes.json"), _other),
    "hashes of the copy a folder": lambda home: _each(_copies(home, "hashes.json"), _folder),
    "notes cut": lambda home: _each(_notes(home), _cut),
    "notes of another form": lambda home: _each(_notes(home), _other),
    "notes a folder": lambda home: _each(_notes(home), _folder),
    "locks left": _locks,
    "half-written neighbours": _half_written,
}
"""What is damaged, in words, and how."""
