"""Faults of the network: every request of a pull from a Hub meets every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from release_copy import LOAD, ReleaseCopy, Tally, tally

from tests.hub import matrix
from tests.hub.client import Client
from tests.hub.faults import ANSWERS, Kind
from tests.hub.matrix import check
from tests.hub.server import WRITER, running


def answers(release: ReleaseCopy, folder: Path, config: str) -> Iterator[tuple[str, Tally]]:
    """Every request of a pull of `config` meets every fault, from a Hub that holds the release."""
    with running(folder / "store") as hub:
        client = Client(hub.url, folder / "puller", WRITER)
        arguments = (matrix.REPO, config)
        code = f"ARGUMENTS, OPTIONS = {arguments!r}, {{}}\n{LOAD}"
        requests = matrix.requests_of(hub, client, release.original, code=code)
        rows = json.loads(matrix.attempt(hub, client, code=code).ok().out)
        check(rows == release.sound[config], "a sound pull gives other rows")
        for kind in (*ANSWERS, "500", "429", "drop", "drop-after", "truncate", "corrupt", "kill-midway"):

            def meet(request: matrix.Request, kind: Kind = kind) -> bool:
                return not matrix.pull_meets(hub, client, rows, (kind, request), code=code)

            chosen = [request for request in requests if matrix.everything("pull", kind, request)]
            yield f"a pull: {kind}", tally(chosen, meet)
        client.close()
