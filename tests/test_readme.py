"""The README: its code runs and prints what it says, its sentences are short, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(2))
def test_the_code_prints_what_the_readme_says(tmp_path, number):
    done = subprocess.run(
        [sys.executable, "-c", blocks("python")[number]],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks("text")[number]


def prose(text: str) -> str:
    """The sentences: no code, headings, tables or pictures; a link counts as its words."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#", "|")))


def test_sentences_are_short():
    for sentence in re.split(r"(?<=[.:])\s|\n\n", prose(README)):
        assert len(sentence.split()) <= 30, sentence


def test_the_picture_is_there():
    from PIL import Image

    path = re.search(r"!\[[^\]]*\]\(([^)]*)\)", README)
    assert path is not None
    with Image.open(ROOT / path[1]) as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def commands() -> set[str]:
    """Every command of `covid-synth`, those of groups as "group command"."""
    import typer

    from covid_synth_data import cli

    found = set()
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        found |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    return found


def test_the_page_of_commands_is_complete():
    page = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert {name for name in commands() if f"`covid-synth {name}" not in page} == set()


def test_the_commands_in_the_docs_exist():
    known = {word for name in commands() for word in (name, name.split()[0])}
    for page in [ROOT / "README.md", *PAGES]:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(
            r"(?:^|`)covid-synth ((?:benchmark|leaderboard|reader-study) )?([a-z-]+)", text, re.M
        ):
            assert "".join(name) in known, f"{page.relative_to(ROOT)}: covid-synth {''.join(name)}"
