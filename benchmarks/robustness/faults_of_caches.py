"""Faults of the caches: each damage to what a complete load left, alone and with a damaged shard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from damages import flip
from release_copy import ReleaseCopy, Tally, tally

from tests.hub import local
from tests.hub.matrix import check


def caches(release: ReleaseCopy, random: Random) -> Iterator[tuple[str, Tally]]:
    """Each damage to the caches of two configs, and of one whose shard is damaged too."""
    for what, damage in local.DAMAGES.items():
        if not ("copy" in what or what == "locks left"):
            continue

        def alone(config: str, damage: local.Damage = damage) -> bool:
            release.client.forget()
            release.load(config).ok()
            check(damage(release.client.home) > 0, "nothing was damaged")
            _loads(release, config)
            return False

        def with_shard(config: str, damage: local.Damage = damage) -> bool:
            release.client.forget()
            release.load(config).ok()
            damage(release.client.home)
            name = next(name for name, subset in release.shards.items() if subset == config)
            flip(0.5)(release.copy / name)
            done = release.load(config)
            check(done.code == 2 or json.loads(done.out) == release.sound[config], "other rows")
            release.mend()
            _loads(release, config)
            return done.code == 2

        yield f"cache: {what}", tally(random.sample(release.configs, 2), alone)
        yield f"cache: {what}, and a bit of a shard", tally(random.sample(release.configs, 1), with_shard)


def _loads(release: ReleaseCopy, config: str) -> None:
    done = release.load(config)
    check(done.code == 0 and json.loads(done.out) == release.sound[config], "not the rows released")
