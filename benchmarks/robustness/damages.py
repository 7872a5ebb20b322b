"""Damages to one file of a release: as a disk, a cut copy, git or a person may damage it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]


def flip(at: float) -> Damage:
    """Change one bit at this share of the file."""

    def one(path: Path) -> None:
        with path.open("r+b") as file:
            place = min(int(at * path.stat().st_size), path.stat().st_size - 1)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 4]))

    return one


def _cut(keep: float, less: int = 0) -> Damage:
    return lambda path: os.truncate(path, max(0, int(keep * path.stat().st_size) - less))


def _zeros(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(bytes(4096))


def _longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 4096)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _linked(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    shutil.copy2(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)


def neighbour(path: Path) -> None:
    """Another shard of the folder under the name of this one."""
    other = next(one for one in sorted(path.parent.iterdir()) if one != path and one.suffix == path.suffix)
    shutil.copyfile(other, path)


def _pointer(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")


FILES: dict[str, Damage] = {
    "a bit at the start": flip(0.0),
    "a bit in the middle": flip(0.5),
    "a bit at the end": flip(1.0),
    "cut by half": _cut(0.5),
    "cut by a byte": _cut(1.0, 1),
    "empty": _cut(0.0),
    "4096 zeros": _zeros,
    "4096 bytes more": _longer,
    "gone": lambda path: path.unlink(),
    "a folder instead": _folder,
    "a link instead": _linked,
    "a git-lfs pointer": _pointer,
}


def _manifest(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Damage:
    """A change of the manifest at the entry of the last shard that it lists."""

    def edit(path: Path) -> None:
        listed = json.loads(path.read_text())
        shards = [one for one in listed["files"] if one.get("subset")]
        change(listed, shards[-1])
        path.write_text(json.dumps(listed))

    return edit


MANIFEST: dict[str, Damage] = {
    "a row of the manifest missing": _manifest(lambda listed, one: listed["files"].remove(one)),
    "a row of the manifest twice": _manifest(lambda listed, one: listed["files"].append(dict(one))),
    "another hash": _manifest(lambda _, one: one.update(sha256="0" * 64)),
    "another size": _manifest(lambda _, one: one.update(size=one["size"] + 1)),
    "another number of rows": _manifest(lambda _, one: one.update(rows=one["rows"] - 1)),
    "another config": _manifest(lambda _, one: one.update(subset="gpc")),
    "another path": _manifest(lambda _, one: one.update(path="cyclegan/other.parquet")),
    "a config missing": _manifest(lambda listed, one: listed["subsets"].pop(one["subset"])),
    "no files": _manifest(lambda listed, _: listed.update(files=[])),
    "cut": _cut(0.7),
    "empty": _cut(0.0),
    "gone": lambda path: path.unlink(),
    "a folder instead": _folder,
    **{f"a bit at {at:.2f}": flip(at) for at in [number / 10 for number in range(10)]},
}
