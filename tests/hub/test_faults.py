"""A thinned matrix of faults; `benchmarks/performance/hub_faults.py` runs all of it."""

from __future__ import annotations

import pytest

from tests.hub import matrix
from tests.hub.faults import Kind, Request

PUSH: dict[Kind, tuple[str, ...]] = {
    "kill-before": ("/commit/main", "/tag/"),
    "kill-midway": ("/lfs/",),
    "kill-after": ("/lfs/", "/commit/main", "/tag/"),
    "drop-after": ("/commit/main",),
    "429": ("/repos/create", "/tag/"),
    "corrupt": ("/lfs/",),
}
PULL: dict[Kind, tuple[str, ...]] = {
    "kill-midway": ("/cdn/",),
    "kill-after": ("/manifest.json",),
    "drop": ("/cdn/",),
    "500": ("/cdn/",),
    "corrupt": ("/manifest.json", "/cdn/"),
    "truncate": ("/cdn/",),
}


def test_nothing_is_lost(hub, client, first, second):
    met: set[tuple[str, Kind, str]] = set()

    def chosen(operation: str, kind: Kind, request: Request) -> bool:
        """The first request of each path named above."""
        table = {"push v1.0.0": PUSH, "pull": PULL}.get(operation, {})
        part = next((part for part in table.get(kind, ()) if part in request.path), None)
        fits = part is not None and request.method != "HEAD" and matrix.everything(operation, kind, request)
        if not fits or (operation, kind, part) in met:
            return False
        met.add((operation, kind, str(part)))
        return True

    tallies = list(matrix.run(hub, client, first, second, chosen))
    assert [tally.lost for _, _, tally in tallies if tally.lost] == []
    assert sum(tally.injected for *_, tally in tallies) == len(met)
    assert len(met) == sum(len(parts) for table in (PUSH, PULL) for parts in table.values())
    assert sum(tally.at_once + tally.again for *_, tally in tallies) == len(met)


def test_killed_between_commit_and_tag_of_a_second_version(hub, client, first, second):
    [tag] = [
        r
        for r in matrix.requests_of(
            hub, client, first, arguments=["publish", str(second), "--repo", matrix.REPO]
        )
        if "/tag/" in r.path
    ]
    assert matrix.push_meets(hub, client, second, first, "kill-before", tag) is False
    assert matrix.tagged(hub, "1.1.0")


def test_the_matrix_notices_a_loss(hub, client, first):
    requests = matrix.requests_of(hub, client, None, arguments=["publish", str(first), "--repo", matrix.REPO])
    upload = next(request for request in requests if request.method == "PUT")
    real = hub.store.commit
    hub.store.commit = lambda repo, branch, header, operations: real(repo, branch, header, operations[1:])
    try:
        with pytest.raises(matrix.Lost, match="the second run failed"):
            matrix.push_meets(hub, client, first, None, "slow", upload)
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
            matrix.push_meets(hub, client, first, None, "kill-after", requests[-1])
    finally:
        del hub.store.large


def test_a_slow_hub_is_waited_for(hub, client, first):
    hub.faults.set("slow", lambda request: request.path.endswith("/commit/main"))
    matrix.push(hub, client, first).ok()
    assert hub.faults.injected == 1
    assert matrix.tagged(hub, "1.0.0")
