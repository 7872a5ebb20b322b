"""Every request of a push and of a pull meets every fault once; then the same command runs again.

What counts as lost: a tag before everything is there, a tag that does not hold exactly the folder, a run
that still fails after the fault is gone, a file sent twice after it had arrived, rows that differ or are
missing, a damaged file that is used or kept, an error that is not one line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hub.client import Client, Outcome
from tests.hub.faults import Kind, Request
from tests.hub.releases import content
from tests.hub.server import Hub

REPO = "test-org/covid-synth-cxr"

PUSH: tuple[Kind, ...] = (
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

ROWS = f"""
import hashlib, json
from covid_synth_data.cli import guarded

def load():
    import covid_synth_data as csd

    rows = csd.load_dataset({REPO!r}, "gnc", version="1.0.0")
    print(json.dumps([[r["image_id"], hashlib.sha256(r["image"].tobytes()).hexdigest()] for r in rows]))

guarded(load)
"""


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
    uploads = request.method == "PUT"
    downloads = request.method == "GET" and ("/cdn/" in request.path or "/resolve/" in request.path)
    return kind != "corrupt" or (downloads if operation == "pull" else uploads)


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
                return push_meets(hub, client, folder, before, kind, request)

            yield name, kind, _tally([r for r in requests if chosen(name, kind, r)], push_again)
    requests = requests_of(hub, client, first, code=ROWS)
    rows = attempt(hub, client, code=ROWS).value
    for kind in PULL:

        def pull_again(request: Request, kind=kind) -> bool:
            return pull_meets(hub, client, rows, kind, request)

        yield "pull", kind, _tally([r for r in requests if chosen("pull", kind, r)], pull_again)


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


def push_meets(
    hub: Hub, client: Client, folder: Path, before: Path | None, kind: Kind, request: Request
) -> bool:
    """A push to a new repository (or on top of `before`) whose `request` meets a fault, then another push.

    True when the first got over it. Raises `Lost`.
    """
    version = json.loads((folder / "manifest.json").read_text())["version"]
    start(hub, client, before)
    hub.faults.set(kind, lambda one: one == request)
    first = push(hub, client, folder)
    check(hub.faults.injected == 1, "the fault was not met")
    check_ending(kind, first)
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


def pull_meets(hub: Hub, client: Client, rows: list[list[str]], kind: Kind, request: Request) -> bool:
    """A pull into an empty cache whose `request` meets a fault, then another pull. Else as `push_meets`."""
    client.forget()
    hub.faults.set(kind, lambda one: one == request)
    first = attempt(hub, client, code=ROWS)
    check(hub.faults.injected == 1, "the fault was not met")
    check_ending(kind, first)
    check(first.code != 0 or first.value == rows, "other rows than were published")
    check(kind != "corrupt" or first.code == 2, "a damaged file was used")
    hub.faults.set(None)
    second = attempt(hub, client, code=ROWS)
    check(second.code == 0, f"the second run failed: {second.err[-300:]}")
    check(second.value == rows, "other rows than were published")
    check(first.code != 0 or not hub.faults.seen, "a complete copy was fetched again")
    return first.code == 0


def check_ending(kind: Kind, done: Outcome) -> None:
    """A run ends well, with an error of ours, or by the signal of a kill."""
    if kind.startswith("kill"):
        check(done.code == -9, f"the client was not killed: {done.code}")
    else:
        ours = done.code == 2 and done.err.count("error: ") == 1 and "Traceback" not in done.err
        check(done.code == 0 or ours, f"not an error of ours: {done.code} {done.err[-300:]}")


def _tally(requests: list[Request], meets: Callable[[Request], bool]) -> Tally:
    tally = Tally()
    for request in requests:
        tally.injected += 1
        try:
            if meets(request):
                tally.at_once += 1
            else:
                tally.again += 1
        except Lost as lost:
            tally.lost.append(f"{request.method} {request.path} {request.nth}: {lost}")
    return tally
