"""Two sets of films, a study of six pairs made of them, and answers to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from covid_synth_data import reader_study
from tests import chromium
from tests.support import film

PAIRS = 6


@dataclass(frozen=True)
class Study:
    """A study on disk."""

    folder: Path
    page: Path
    key_path: Path

    @property
    def key(self) -> dict[str, Any]:
        """The key as it is in the file."""
        return json.loads(self.key_path.read_text())

    def answers(self, right: int, reader: str = "AB", **changes: Any) -> dict[str, Any]:
        """The answers of a reader who is right about the first `right` pairs."""
        other = {"left": "right", "right": "left"}
        key = self.key
        given = [
            {
                "pair": pair["id"],
                "real": pair["real"] if number < right else other[pair["real"]],
                "confidence": (None, 1, 2, 3)[number % 4],
                "seconds": 2.0 + number,
            }
            for number, pair in enumerate(key["pairs"])
        ]
        when = {"started": "2026-01-01T10:00:00.000Z", "finished": "2026-01-01T10:05:00.000Z"}
        return {"format": 1, "study": key["study"], "reader": reader, **when, "answers": given, **changes}

    def write(self, content: dict[str, Any], name: str = "answers.json") -> Path:
        """A file of answers."""
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path


def folders(folder: Path, real: int = 12, synthetic: int = 12) -> Path:
    """Films of two kinds: real ones of many sizes and formats, synthetic ones of one."""
    for number in range(real):
        film(folder / "real" / f"r-{number}.{('png', 'jpg')[number % 2]}", number, side=80 + 10 * number)
    for number in range(synthetic):
        film(folder / "made" / f"s-{number}.png", 100 + number, side=64)
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Study]:
    """Make a study of the two folders; what is given replaces an argument."""
    folders(tmp_path)

    def run(name: str = "study.html", **changes: Any) -> Study:
        arguments = {
            "real": [str(tmp_path / "real")],
            "synthetic": str(tmp_path / "made"),
            "pairs": PAIRS,
            **changes,
        }
        return Study(tmp_path, *reader_study.make(out=tmp_path / name, **arguments))

    return run


@pytest.fixture
def study(make: Callable[..., Study]) -> Study:
    return make()


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Browser]:
    chromium.need()
    with chromium.running() as found:
        yield found
