"""Results of many kinds and the leaderboard made of them, once for all tests; and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covid_synth_data.benchmark.reporting.tables import Row
from covid_synth_data.leaderboard import building
from covid_synth_data.leaderboard.boards import Board, boards
from tests import chromium
from tests.leaderboard import made
from tests.leaderboard.edits import SKILLS


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results; not to be changed."""
    return made.everything(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def all_boards(everything: Path) -> list[Board]:
    """What the leaderboard of `everything` says."""
    return boards(everything)


@pytest.fixture(scope="session")
def rows(all_boards: list[Board]) -> list[Row]:
    """Every row of it."""
    return [entry.row for board in all_boards for entry in board.entries]


@pytest.fixture(scope="session")
def built(everything: Path, all_boards: list[Board], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The leaderboard of `everything`; not to be changed."""
    folder = tmp_path_factory.mktemp("leaderboard")
    building.write(all_boards, everything.name, folder, folder / "hub")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    chromium.need()
    with chromium.running() as found:
        yield found


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Three seeds of one regime, as text by file name."""
    folder = tmp_path_factory.mktemp("sound")
    return {path.name: path.read_text() for path in made.regimes(folder, "quickstart", SKILLS)}


@pytest.fixture
def files(sound, tmp_path):
    """A submission of its own for each test."""
    folder = tmp_path / "submitted"
    folder.mkdir()
    for name, text in sound.items():
        (folder / name).write_text(text)
    return sorted(folder.iterdir())
