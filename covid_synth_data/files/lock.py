"""One process at a time in a folder: a lock that names its owner and ends with the process that holds it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from covid_synth_data.errors import OutputError
from covid_synth_data.files.atomic import output_errors


@contextlib.contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Hold the lock of `folder` within the block. `work` says what is done there, e.g. "a training".

    The lock is a hidden file beside the folder, `.NAME.lock`, held by the operating system: it ends with the
    process, also where that is killed. Raises `OutputError` at once where another process holds it.
    """
    from filelock import FileLock, Timeout

    path = folder.parent / f".{folder.name}.lock"
    lock = FileLock(path, timeout=0)
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{folder} is in use",
                found=_owner(path),
                expected="one process at a time",
                hint="wait until it has ended, or choose another folder",
            ) from error
    try:
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T %z")}
        path.write_text(json.dumps({"work": work, **owner}) + "\n", encoding="utf-8", newline="\n")
        yield
    finally:
        lock.release()


def _owner(path: Path) -> str:
    """The holder of the lock, as the owner wrote it."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"{owner['work']} by process {owner['pid']:d} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process that holds its lock"
