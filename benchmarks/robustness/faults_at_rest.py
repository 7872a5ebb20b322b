"""Faults of files at rest: each damage to shards, to other files and to the manifest, and pairs of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from damages import FILES, MANIFEST, Damage, neighbour
from release_copy import ReleaseCopy, Tally, tally

from tests.hub.matrix import check


def rest(
    release: ReleaseCopy, random: Random, each: int, pairs: int, only: Sequence[str]
) -> Iterator[tuple[str, Tally]]:
    """Each damage to `each` shards, to a file that is none, and to the manifest; and pairs of damages.

    With `only`, the damages whose description holds one of these words, and no pairs.
    """
    singles = [(name, what, damage) for name in release.files for what, damage in FILES.items()]
    singles += [("manifest.json", what, damage) for what, damage in MANIFEST.items()]
    singles += [(name, "its neighbour's content", neighbour) for name in release.shards]
    cases: dict[str, list[list[tuple[str, Damage]]]] = {}
    for name, what, damage in singles:
        cases.setdefault(f"{_kind(release, name)}: {what}", []).append([(name, damage)])
    for what in sorted(cases):
        if only and not any(words in what for words in only):
            continue
        number = each if what.startswith("a shard") else 1
        drawn = random.sample(cases[what], min(len(cases[what]), number))
        yield what, tally(drawn, lambda case: meets(release, case))
    pairs_drawn: list[list[tuple[str, Damage]]] = []
    while not only and len(pairs_drawn) < pairs:
        first, second = random.sample(singles, 2)
        if first[0] != second[0]:
            pairs_drawn.append([(first[0], first[2]), (second[0], second[2])])
    if pairs_drawn:
        yield "two faults at once", tally(pairs_drawn, lambda case: meets(release, case))


def _kind(release: ReleaseCopy, name: str) -> str:
    if name in release.shards:
        return "a shard"
    return "the manifest" if name == "manifest.json" else "another file"


def meets(release: ReleaseCopy, damages: Sequence[tuple[str, Damage]]) -> bool:
    """Damage these files of the copy, verify it and load it with empty caches; then mend it and load again.

    True where a load was refused. Raises `Lost`.
    """
    release.client.forget()
    for name, damage in damages:
        damage(release.copy / name)
    verified = release.shell("verify", release.copy)
    touched = [name for name, _ in damages]
    differ = [name for name in touched if name != "manifest.json" and not release.same(name)]
    if "manifest.json" in touched and _listed(release.copy) != _listed(release.original):
        differ.append("manifest.json")
    check(verified.code == 2 or not differ, f"verify said whole with {differ} changed")
    configs = {release.shards.get(name) for name in touched} - {None} or {release.smallest}
    refused = False
    for config in sorted(configs):
        done = release.load(config)
        refused = refused or done.code == 2
        check(
            done.code == 2 or json.loads(done.out) == release.sound[config], "other rows than were released"
        )
    release.mend()
    for config in sorted(configs):
        done = release.load(config)
        check(done.code == 0, f"still refused: {done.err[-200:]}")
        check(json.loads(done.out) == release.sound[config], "other rows than were released")
    return refused


def _listed(release: Path) -> Any:
    """The entries of the manifest for files and configs, without notes; None where it cannot be read."""
    try:
        listed = json.loads((release / "manifest.json").read_text())
        files = [
            tuple(entry.get(key) for key in ("path", "sha256", "size", "rows", "subset"))
            for entry in listed["files"]
        ]
        return files, {name: subset["rows"] for name, subset in listed["subsets"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
