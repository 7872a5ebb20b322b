"""Every command in a block of shell on a page exists, with its options and arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from covid_synth_data.cli import app
from generation.__main__ import app as generation

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("benchmarks/**/README.md")),
]
PROGRAMS = {
    ("covid-synth",): typer.main.get_command(app),
    ("python", "-m", "generation"): typer.main.get_command(generation),
}


def commands(text: str) -> list[list[str]]:
    """The words of each call of ours in the blocks of shell of a page."""
    lines = re.sub(r"\\\n\s*", " ", text)
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", lines, re.DOTALL | re.MULTILINE)
    calls = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words for words in calls if any(tuple(words[: len(name)]) == name for name in PROGRAMS)]


def parsed(words: list[str]) -> None:
    """Parse the call without running it. Raises an error of the parser where it would be refused."""
    name = next(name for name in PROGRAMS if tuple(words[: len(name)]) == name)
    command, rest = PROGRAMS[name], words[len(name) :]
    while hasattr(command, "commands"):
        assert rest, f"{' '.join(words)} names no command"
        assert rest[0] in command.commands, f"{rest[0]} is no command"
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(" ".join(words), rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_the_page_are_accepted(page):
    for words in commands(page.read_text(encoding="utf-8")):
        parsed(words)


def test_many_commands_are_found():
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("covid-synth benchmark report results", "unexpected extra argument"),
        ("covid-synth verify", "Missing parameter: folder"),
        ("covid-synth mix TASK --shew 1", "No such option: --shew"),
        ("covid-synth paints", "paints is no command"),
    ],
)
def test_a_wrong_call_is_noticed(call, message):
    with pytest.raises(Exception, match=message):
        parsed(call.split())
