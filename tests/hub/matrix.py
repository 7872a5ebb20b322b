"""Every request of a push and of a pull meets every fault once; then the same command runs again.

Besides, two faults in one run (or, where the first ends it, in two), and damage to what a complete pull left
on the machine, also together with a fault of the network.

What counts as lost: a tag before everything is there, a tag that does not hold exactly the folder, a run
that still fails after the fault is gone, a file sent twice after it had arrived, rows that differ or are
missing, a damaged file that is used or kept, an error that is not one line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from tests.hub import local
from tests.hub.client import Client, Outcome
from tests.hub.faults import ANSWERS, Kind, Request
from tests.hub.releases import content
from tests.hub.server import Hub

REPO = "test-org/covid-synth-cxr"

Fault = tuple[Kind, Request]
Pair = tuple[Fault, Fault]
T = TypeVar("T")

NEWEST = "pull newest"
"""The version is not named: the Hub is asked for it, in JSON."""

PUSH: tuple[Kind, ...] = (
    *ANSWERS,
    "kill-before",
    "kill-midway",
    "kill-after",
    "drop",
    "drop-after",
    "500",
    "429",
    "corrupt",
    "slow",
)
PULL: tuple[Kind, ...] = (*PUSH, "truncate")

_ROWS = """
import hashlib, json
from covid_synth_data.cli import guarded

def load():
    import covid_synth_data as csd

    rows = csd.load_dataset(REPO, "gnc", version=VERSION)
    print(json.dumps([[r["image_id"], hashlib.sha256(r["image"].tobytes()).hexdigest()] for r in rows]))

guarded(load)
"""
ROWS = f"REPO, VERSION = {REPO!r}, '1.0.0'\n{_ROWS}"
NEWEST_ROWS = f"REPO, VERSION = {REPO!r}, 'latest'\n{_ROWS}"


@dataclass
class Tally:
    """`injected` faults; `at_once` were got over by the run itself, `again` took the same command once more.

    `lost` tells what went wrong.
    """

    injected: int = 0
    at_once: int = 0
    again: int = 0
    lost: list[str] = field(default_factory=list)


class Lost(AssertionError):
    """Something that must never happen."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Lost(what)


def everything(operation: str, kind: Kind, request: Request) -> bool:
    """Every request meets every fault; bytes are damaged only where they are content."""
    if kind in ANSWERS:
        return request.path.startswith("/api/") or "/info/lfs/" in request.path
    uploads = request.method == "PUT"
    downloads = request.method == "GET" and ("/cdn/" in request.path or "/resolve/" in request.path)
    return kind != "corrupt" or (downloads if operation.startswith("pull") else uploads)


def run(
    hub: Hub,
    client: Client,
    first: Path,
    second: Path,
    chosen: Callable[[str, Kind, Request], bool] = everything,
) -> Iterator[tuple[str, Kind, Tally]]:
    """Each operation and fault with its tally; `chosen` says of (operation, kind, request) whether to try."""
    for name, folder, before in (("push v1.0.0", first, None), ("push v1.1.0", second, first)):
        requests = requests_of(hub, client, before, arguments=["publish", str(folder), "--repo", REPO])
        for kind in PUSH:

            def push_again(request: Request, kind=kind, folder=folder, before=before) -> bool:
                return push_meets(hub, client, folder, before, (kind, request))

            yield name, kind, _tally([r for r in requests if chosen(name, kind, r)], push_again)
    for name, code in (("pull", ROWS), (NEWEST, NEWEST_ROWS)):
        requests = requests_of(hub, client, first, code=code)
        rows = attempt(hub, client, code=ROWS).value
        for kind in PULL:

            def pull_again(request: Request, kind=kind, code=code, rows=rows) -> bool:
                return pull_meets(hub, client, rows, (kind, request), code=code)

            yield name, kind, _tally([r for r in requests if chosen(name, kind, r)], pull_again)


def run_two(
    hub: Hub, client: Client, first: Path, second: Path, count: int, seed: int = 0
) -> Iterator[tuple[str, str, Tally]]:
    """`count` pairs of faults, drawn by the seed, for each of a first push, a second push and a pull."""
    random = Random(seed)
    for name, folder, before in (("push v1.0.0", first, None), ("push v1.1.0", second, first)):
        requests = requests_of(hub, client, before, arguments=["publish", str(folder), "--repo", REPO])
        pairs = _pairs(random, "push", PUSH, requests, count)

        def push_again(pair: Pair, folder=folder, before=before) -> bool:
            return push_meets(hub, client, folder, before, *pair)

        yield name, "two faults", _tally(pairs, push_again)
    requests = requests_of(hub, client, first, code=NEWEST_ROWS)
    rows = attempt(hub, client, code=ROWS).value
    pairs = _pairs(random, "pull", PULL, requests, count)

    def pull_again(pair: Pair) -> bool:
        return pull_meets(hub, client, rows, *pair, code=NEWEST_ROWS)

    yield NEWEST, "two faults", _tally(pairs, pull_again)


def _pairs(
    random: Random, operation: str, kinds: tuple[Kind, ...], requests: list[Request], count: int
) -> list[Pair]:
    """Pairs of faults of two different requests."""
    singles = [(kind, r) for kind in kinds for r in requests if everything(operation, kind, r)]
    pairs: list[Pair] = []
    while len(pairs) < count:
        one, other = random.sample(singles, 2)
        if one[1] != other[1]:
            pairs.append((one, other))
    return pairs


def run_local(
    hub: Hub, client: Client, first: Path, chosen: Callable[[str, Kind | None], bool] = lambda *_: True
) -> Iterator[tuple[str, str, Tally]]:
    """Each damage to what a complete pull left, alone and with each fault of the first content fetched."""
    start(hub, client, first)
    rows = attempt(hub, client, code=ROWS).value
    for what, damage in local.DAMAGES.items():
        for kind in (None, "500", "drop", "truncate", "corrupt", "kill-midway"):
            if not chosen(what, kind):
                continue
            tally = Tally(injected=1)
            try:
                if damaged_pull(hub, client, rows, damage, kind):
                    tally.at_once = 1
                else:
                    tally.again = 1
            except Lost as lost:
                tally.lost.append(f"{what}, {kind}: {lost}")
            yield "damaged caches", f"{what}{f', {kind}' if kind else ''}", tally


def damaged_pull(hub: Hub, client: Client, rows: Any, damage: local.Damage, kind: Kind | None) -> bool:
    """A pull over damaged caches, with a fault of the network or without, then another pull.

    True when the first gave the rows. Raises `Lost`.
    """
    client.forget()
    hub.faults.set(None)
    check(attempt(hub, client, code=ROWS).value == rows, "the sound pull failed")
    check(damage(client.home) > 0, "nothing was damaged")
    if kind is not None:
        hub.faults.set(kind, lambda one: one.method == "GET" and everything("pull", kind, one))
    done = attempt(hub, client, code=ROWS)
    # A fault that nothing was fetched to meet has not happened.
    check_ending([kind] if kind and hub.faults.injected else [], done)
    check(done.code != 0 or done.value == rows, "other rows than were published")
    hub.faults.set(None)
    for _ in range(2):  # a damaged file that is refused is removed, and the next run fetches it again
        again = attempt(hub, client, code=ROWS)
        if again.code == 0:
            break
        check_ending([], again)
    check(again.code == 0, f"the later runs failed: {again.err[-300:]}")
    check(again.value == rows, "other rows than were published")
    return done.code == 0


def attempt(hub: Hub, client: Client, **job: Any) -> Outcome:
    """One run, with the server knowing whom to kill."""
    hub.faults.victim = client.start(**job)
    return client.finish()


def push(hub: Hub, client: Client, folder: Path) -> Outcome:
    return attempt(hub, client, arguments=["publish", str(folder), "--repo", REPO])


def start(hub: Hub, client: Client, before: Path | None) -> None:
    """A Hub that has `before` and nothing else, a client that has nothing."""
    hub.clear()
    client.forget()
    if before is not None:
        push(hub, client, before).ok()
    hub.faults.set(None)
    hub.log.clear()


def requests_of(hub: Hub, client: Client, before: Path | None, **job: Any) -> list[Request]:
    """What a run without faults asks."""
    start(hub, client, before)
    attempt(hub, client, **job).ok()
    return list(hub.faults.seen)


def tagged(hub: Hub, version: str) -> dict[str, str] | None:
    """Path to sha256 of what the tag of a version holds; None without the tag."""
    repo = hub.store.repos.get(REPO)
    if repo is None or f"tags/v{version}" not in repo.refs:
        return None
    return {
        path: entry.sha256 or hashlib.sha256(hub.store.path(entry.oid).read_bytes()).hexdigest()
        for path, entry in repo.resolve(f"v{version}").files.items()
        if path != ".gitattributes"
    }


def push_meets(hub: Hub, client: Client, folder: Path, before: Path | None, *faults: Fault) -> bool:
    """A push to a new repository (or on top of `before`) that meets one or two faults, then another push.

    True when the first got over them. Raises `Lost`.
    """
    version = json.loads((folder / "manifest.json").read_text())["version"]
    start(hub, client, before)
    _set(hub, faults)
    first = push(hub, client, folder)
    check(hub.faults.injected > 0, "the fault was not met")
    check_ending([kind for kind, _ in faults], first)
    if hub.faults.injected < len(faults):  # the first fault ended the run: the next one meets the second
        check_ending([kind for kind, _ in faults], push(hub, client, folder))
    there = tagged(hub, version)
    check(there is None or there == content(folder), "a tag on something else than the release")
    check(first.code != 0 or there is not None, "success without a tag")
    arrived = hub.puts()
    hub.log.clear()
    hub.faults.set(None)
    second = push(hub, client, folder)
    check(second.code == 0, f"the second run failed: {second.err[-300:]}")
    check(tagged(hub, version) == content(folder), "the tag does not hold the release")
    check(not set(arrived) & set(hub.puts()), "a file that had arrived was sent again")
    repo = hub.store.repos[REPO]
    titles = [commit.title for commit in repo.history("main")]
    check(titles.count(f"Version {version}") == 1, f"commits {titles}")
    check(repo.refs["heads/main"] == repo.refs[f"tags/v{version}"], "the head is not the version")
    if before is not None:
        check(tagged(hub, "1.0.0") == content(before), "the older version has changed")
    return first.code == 0


def pull_meets(hub: Hub, client: Client, rows: Any, *faults: Fault, code: str = ROWS) -> bool:
    """A pull into an empty cache that meets one or two faults, then another pull. Else as `push_meets`."""
    client.forget()
    _set(hub, faults)
    kinds = [kind for kind, _ in faults]
    first = attempt(hub, client, code=code)
    check(hub.faults.injected > 0, "the fault was not met")
    check_ending(kinds, first)
    check(first.code != 0 or first.value == rows, "other rows than were published")
    check(kinds != ["corrupt"] or first.code == 2, "a damaged file was used")
    if hub.faults.injected < len(faults):
        done = attempt(hub, client, code=code)
        check_ending(kinds, done)
        check(done.code != 0 or done.value == rows, "other rows than were published")
    hub.faults.set(None)
    second = attempt(hub, client, code=code)
    check(second.code == 0, f"the second run failed: {second.err[-300:]}")
    check(second.value == rows, "other rows than were published")
    fetched = [request for request in hub.faults.seen if not request.path.startswith("/api/")]
    check(first.code != 0 or not fetched, "a complete copy was fetched again")
    return first.code == 0


def _set(hub: Hub, faults: Sequence[Fault]) -> None:
    """Let the first fault meet its request, and the second the next request of its method and path."""
    (kind, request), *more = faults
    hub.faults.set(kind, lambda one: one == request)
    for kind, other in more:
        hub.faults.add(kind, lambda one, other=other: (one.method, one.path) == (other.method, other.path))


def check_ending(kinds: Sequence[Kind], done: Outcome) -> None:
    """A run ends well, with an error of ours, or by the signal of a kill."""
    killed = [kind for kind in kinds if kind.startswith("kill")]
    if killed and len(killed) == len(kinds):
        check(done.code == -9, f"the client was not killed: {done.code}")
    elif not (killed and done.code == -9):
        ours = done.code == 2 and done.err.count("error: ") == 1 and "Traceback" not in done.err
        check(done.code == 0 or ours, f"not an error of ours: {done.code} {done.err[-300:]}")


def _tally(cases: Sequence[T], meets: Callable[[T], bool]) -> Tally:
    tally = Tally()
    for case in cases:
        tally.injected += 1
        try:
            if meets(case):
                tally.at_once += 1
            else:
                tally.again += 1
        except Lost as lost:
            tally.lost.append(f"{case}: {lost}")
    return tally
