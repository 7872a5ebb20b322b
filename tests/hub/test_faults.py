"""A thinned matrix of faults; `benchmarks/performance/hub_faults.py` runs all of it."""

from __future__ import annotations

import pytest

from tests.hub import local, matrix
from tests.hub.faults import ANSWERS, Kind, Request

PUSH: dict[Kind, tuple[str, ...]] = {
    "kill-before": ("/commit/main", "/tag/"),
    "kill-midway": ("/lfs/",),
    "kill-after": ("/lfs/", "/commit/main", "/tag/"),
    "drop-after": ("/commit/main",),
    "429": ("/repos/create", "/tag/"),
    "corrupt": ("/lfs/",),
    "half-json": ("/refs", "/tree/", "/commit/main"),
    "other-json": ("/refs", "/tree/", "/preupload/", "/lfs/objects/batch"),
    "page": ("/refs", "/commit/main"),
}
PULL: dict[Kind, tuple[str, ...]] = {
    "kill-midway": ("/cdn/",),
    "kill-after": ("/manifest.json",),
    "drop": ("/cdn/",),
    "500": ("/cdn/",),
    "corrupt": ("/manifest.json", "/cdn/"),
    "truncate": ("/cdn/",),
}
NEWEST: dict[Kind, tuple[str, ...]] = dict.fromkeys(ANSWERS, ("/refs",))


QUICK = (
    "shards cut",
    "a bit of the shards",
    "reference to nothing",
    "Arrow copy cut",
    "notes of another form",
)
"""Damage to caches that the quick tests make; the slow ones make all of it."""


def test_nothing_is_lost(hub, client, first, second):
    met: set[tuple[str, Kind, str]] = set()

    def chosen(operation: str, kind: Kind, request: Request) -> bool:
        """The first request of each path named above."""
        table = {"push v1.0.0": PUSH, "pull": PULL, matrix.NEWEST: NEWEST}.get(operation, {})
        part = next((part for part in table.get(kind, ()) if part in request.path), None)
        fits = part is not None and request.method != "HEAD" and matrix.everything(operation, kind, request)
        if not fits or (operation, kind, part) in met:
            return False
        met.add((operation, kind, str(part)))
        return True

    tallies = list(matrix.run(hub, client, first, second, chosen))
    assert [tally.lost for _, _, tally in tallies if tally.lost] == []
    assert sum(tally.injected for *_, tally in tallies) == len(met)
    assert len(met) == sum(len(parts) for table in (PUSH, PULL, NEWEST) for parts in table.values())
    assert sum(tally.at_once + tally.again for *_, tally in tallies) == len(met)


def test_killed_between_commit_and_tag_of_a_second_version(hub, client, first, second):
    [tag] = [
        r
        for r in matrix.requests_of(
            hub, client, first, arguments=["publish", str(second), "--repo", matrix.REPO]
        )
        if "/tag/" in r.path
    ]
    assert matrix.push_meets(hub, client, second, first, ("kill-before", tag)) is False
    assert matrix.tagged(hub, "1.1.0")


def test_the_matrix_notices_a_loss(hub, client, first):
    requests = matrix.requests_of(hub, client, None, arguments=["publish", str(first), "--repo", matrix.REPO])
    upload = next(request for request in requests if request.method == "PUT")
    real = hub.store.commit
    hub.store.commit = lambda repo, branch, header, operations: real(repo, branch, header, operations[1:])
    try:
        with pytest.raises(matrix.Lost, match="the second run failed"):
            matrix.push_meets(hub, client, first, None, ("slow", upload))
    finally:
        del hub.store.commit
    forget = hub.store.large

    def forgets(sha256):
        entry = forget(sha256)
        hub.store.path(sha256).unlink()
        return entry

    hub.store.large = forgets
    try:
        with pytest.raises(matrix.Lost):
            matrix.push_meets(hub, client, first, None, ("kill-after", requests[-1]))
    finally:
        del hub.store.large


def test_a_slow_hub_is_waited_for(hub, client, first):
    hub.faults.set("slow", lambda request: request.path.endswith("/commit/main"))
    matrix.push(hub, client, first).ok()
    assert hub.faults.injected == 1
    assert matrix.tagged(hub, "1.0.0")


def test_two_faults_lose_nothing(hub, client, first, second):
    tallies = list(matrix.run_two(hub, client, first, second, count=3, seed=1))
    assert [tally.lost for *_, tally in tallies if tally.lost] == []
    assert [tally.injected for *_, tally in tallies] == [3, 3, 3]


@pytest.mark.parametrize(
    "what", [what if what in QUICK else pytest.param(what, marks=pytest.mark.slow) for what in local.DAMAGES]
)
def test_damage_to_the_caches_loses_nothing(hub, client, first, what):
    (tally,) = (tally for *_, tally in matrix.run_local(hub, client, first, lambda *c: c == (what, None)))
    assert tally.lost == []


@pytest.mark.parametrize("what", ["shards cut", "shards gone, links left", "half-written neighbours"])
def test_damage_to_the_caches_and_a_fault_lose_nothing(hub, client, first, what):
    (tally,) = (tally for *_, tally in matrix.run_local(hub, client, first, lambda *c: c == (what, "drop")))
    assert tally.lost == []
