"""A Hub for each test, and a client of it in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.client import Client
from tests.hub.releases import build
from tests.hub.server import WRITER, Hub, running

REPO = "test-org/covid-synth-cxr"


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Client]]:
    folder = tmp_path_factory.mktemp("hub")
    with running(folder / "store") as hub:
        client = Client(hub.url, folder / "client", WRITER)
        yield hub, client
        client.close()


@pytest.fixture
def hub(_served: tuple[Hub, Client]) -> Hub:
    """The running server, empty."""
    server, client = _served
    server.clear()
    client.forget()
    return server


@pytest.fixture
def client(hub: Hub, _served: tuple[Hub, Client]) -> Client:
    """Runs with a token that may write and with empty caches."""
    return _served[1]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1.0.0: 13 rows of gnc in three shards. Not to be changed."""
    return build(tmp_path_factory.mktemp("first") / "covid-synth-cxr")


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1.1.0: gnc in two shards, gpc besides. Not to be changed."""
    folder = tmp_path_factory.mktemp("second") / "covid-synth-cxr"
    return build(folder, "1.1.0", {"gnc": (5, 8), "gpc": (4,)})
