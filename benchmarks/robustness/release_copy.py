"""The copy of a release that the faults damage, and the count of what became of each fault."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hub.client import Client, Outcome
from tests.hub.matrix import Lost, check

LOAD = """
import hashlib, sys
from covid_synth_data.cli import guarded

def load():
    import covid_synth_data as csd

    rows = csd.load_dataset(*ARGUMENTS, **OPTIONS)
    digest = hashlib.sha256()
    for batch in rows.with_format(None).data.table.select(["image", "image_id", "label"]).to_batches():
        for row in batch.to_pylist():
            digest.update(f"{row['image_id']} {row['label']} ".encode() + row["image"]["bytes"])
    print(f'"{digest.hexdigest()}"')

guarded(load)
"""
"""Loads a config and prints a digest of its encoded pictures, ids and labels."""

SHELL = """
import sys
from covid_synth_data.cli import main

sys.argv = ["covid-synth", *ARGUMENTS]
main()
"""


@dataclass
class Tally:
    """The outcome of the faults of one kind: `refused` in one line, or `unharmed`: the rows were given."""

    injected: int = 0
    refused: int = 0
    unharmed: int = 0
    lost: list[str] = field(default_factory=list)


def tally(cases: Sequence[Any], meet: Callable[[Any], bool]) -> Tally:
    """Let each case happen and count what became of it; `meet` says whether a case was refused."""
    counts = Tally()
    for case in cases:
        counts.injected += 1
        try:
            if meet(case):
                counts.refused += 1
            else:
                counts.unharmed += 1
        except Lost as lost:
            named = [name for name, _ in case] if isinstance(case, list) else case
            counts.lost.append(f"{named}: {lost}")
    return counts


def ended_well(done: Outcome) -> Outcome:
    """The outcome, if it is 0 or an error of ours in one line."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    ours = done.code == 2 and len(lines) == 1 and "Traceback" not in done.err + done.out
    check(done.code == 0 or ours, f"ended with {done.code}: {done.err[-300:]}")
    return done


class ReleaseCopy:
    """The copy of a release, a client whose caches lie apart, and the digests of the sound configs."""

    def __init__(self, release: Path, folder: Path, client: Client) -> None:
        self.original, self.client = release, client
        self.copy = folder / "copy" / release.name
        shutil.copytree(release, self.copy)
        listed = json.loads((release / "manifest.json").read_text())
        self.configs = sorted(listed["subsets"])
        self.smallest = min(self.configs, key=lambda name: listed["subsets"][name]["rows"])
        self.shards = {f["path"]: f["subset"] for f in listed["files"] if f.get("subset")}
        self.files = [f["path"] for f in listed["files"]]
        self.sound = {config: json.loads(self.load(config).ok().out) for config in self.configs}

    def load(self, config: str, root: Path | None = None) -> Outcome:
        """Load a config of the copy, or of a release at `root`, in a process of its own."""
        options = {"root": str(root or self.copy)}
        code = f"ARGUMENTS, OPTIONS = {(self.original.name, config)!r}, {options!r}\n{LOAD}"
        return ended_well(self.client.python(code))

    def shell(self, *arguments: object, before: str = "") -> Outcome:
        """Run `covid-synth` in a process of its own, after the Python code `before`."""
        return ended_well(self.client.python(f"{before}ARGUMENTS = {list(map(str, arguments))!r}\n{SHELL}"))

    def mend(self) -> None:
        """Make the copy as the original is, file by file; what is as it was stays."""
        here = {p.relative_to(self.copy).as_posix() for p in self.copy.rglob("*") if not p.is_dir()}
        for name in here - set(self.files) - {"manifest.json"}:
            (self.copy / name).unlink()
        for name in [*self.files, "manifest.json"]:
            path, sound = self.copy / name, self.original / name
            if path.is_symlink() or path.is_dir() or not path.exists() or not self.same(name):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                path.unlink(missing_ok=True)
                shutil.copy2(sound, path)

    def same(self, name: str) -> bool:
        """Whether a file of the copy has the bytes of the original."""
        done = subprocess.run(["cmp", "-s", self.copy / name, self.original / name], check=False)
        return done.returncode == 0


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def contents(folder: Path) -> set[tuple[str, bytes]]:
    """The files of a folder: their paths and SHA-256."""
    return {
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).digest())
        for path in files_of(folder)
    }
