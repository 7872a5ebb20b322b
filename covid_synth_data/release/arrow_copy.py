"""The copy of a config as an Arrow file that `datasets` keeps: what is read is what was checked.

`datasets` writes the shards of a config once into such a file, and reads that from then on, whatever became
of it. So a copy is used only where each of its files has the hash that it had when it was made; the hash is
fast (xxh3, 128 bits), since a disk is no forger. Any other copy is removed and made again, and the shards are
compared with the manifest, every byte, before they are copied.
"""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xxhash

from covid_synth_data.files.atomic import write_text

if TYPE_CHECKING:
    import datasets

NOTE: Final = "hashes.json"
"""In the folder of a copy: its files with their hashes."""


def read(
    builder: Callable[[], datasets.DatasetBuilder], home: Path, check: Callable[[], None]
) -> datasets.Dataset:
    """The split train of `builder`, from the copy below `home` if it is whole, otherwise from a new one.

    `builder` makes a builder whose `cache_dir` is `home`, which holds nothing else. `check` compares the
    shards with the manifest. Raises the errors of `check` and of `datasets`, and `OutputError`.
    """
    from filelock import FileLock

    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.parent / f"{home.name}.lock"):
        if not _is_whole(home):
            shutil.rmtree(home, ignore_errors=True)
            check()
            builder().download_and_prepare()
            write_text(home / NOTE, json.dumps(_hashes(home)))
        rows: Any = builder().as_dataset(split="train")
    return rows


def _is_whole(home: Path) -> bool:
    """Whether every file of the copy is as it was when it was made."""
    try:
        noted = json.loads((home / NOTE).read_text(encoding="utf-8"))
        return bool(noted) and noted == _hashes(home)
    except (OSError, ValueError):
        return False


def _hashes(home: Path) -> dict[str, str]:
    """The hash of each file below `home` that a copy consists of; locks and the note are none."""
    files = (path for path in sorted(home.rglob("*")) if path.suffix in (".arrow", ".json"))
    return {path.relative_to(home).as_posix(): _hash(path) for path in files if path.name != NOTE}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return xxhash.xxh3_128_hexdigest(content)
