"""The floors of the house: a room imports rooms of lower floors alone, and no modules import in a circle.

Every import counts, wherever it stands in a file: within a function and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: dict[str, list[str]] = {
    "covid_synth_data": [
        "escaping",
        "errors _lazy _version",
        "schema catalog",
        "files mixing",
        "cluster machine metrics preprocessing sources",
        "release splits",
        "ct generators importing lesions tasks",
        "classifiers",
        "audit benchmark",
        "explore leaderboard reader_study",
        "quickstart",
        "cli",
    ],
    "covid_synth_data.benchmark": [
        "suite",
        "results",
        "request",
        "data",
        "training",
        "segmentation",
        "running",
        "reporting explain",
    ],
    "generation": [
        "recipe",
        "data",
        "kinds",
        "training releasing",
        "families lesions lungs report",
        "__main__",
    ],
}
"""The rooms of a package, lowest floor first; a room that does not exist yet may be named."""


def name_of(path: Path) -> str:
    """The dotted name of a module; that of a package for its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    """All modules of both packages."""
    return {name_of(path): path for package in ("covid_synth_data", "generation") for path in files(package)}


def files(package: str) -> Iterable[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@functools.cache
def imports(name: str) -> frozenset[str]:
    """The modules of ours that the module `name` imports, anywhere in its file."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in modules() else node.module for full in whole.values()}
    return frozenset((found & modules().keys()) - {name})


def circles(names: Iterable[str]) -> list[list[str]]:
    """The groups of more than one module of which each reaches every other by imports (Tarjan 1972)."""
    names = set(names)
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in imports(name) & names:
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in sorted(names):
        if name not in order:
            visit(name)
    return groups


def arrows_up(package: str) -> list[str]:
    """Imports from a room of `package` into another room of the same or a higher floor."""
    floor = {room: number for number, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    wrong = []
    for name in modules():
        room = _room(package, name)
        if room is None:
            continue
        for other in imports(name):
            target = _room(package, other)
            if target not in (None, room) and floor[target] >= floor[room]:
                wrong.append(f"{name} imports {other}")
    return wrong


def _room(package: str, name: str) -> str | None:
    """The room of `package` that a module is in; None for the package's own `__init__` and for others."""
    return name[len(package) + 1 :].split(".")[0] if name.startswith(f"{package}.") else None


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_has_a_floor(package: str) -> None:
    listed = [room for rooms in FLOORS[package] for room in rooms.split()]
    assert len(set(listed)) == len(listed)
    assert {_room(package, name) for name in modules()} - {None} <= set(listed)


@pytest.mark.parametrize("package", FLOORS)
def test_a_room_imports_lower_floors_alone(package: str) -> None:
    assert arrows_up(package) == []


def test_no_circle_in_covid_synth_data() -> None:
    assert circles(name for name in modules() if name.startswith("covid_synth_data")) == []


def test_no_circle_in_generation() -> None:
    assert circles(name for name in modules() if name.startswith("generation")) == []


def test_the_package_does_not_import_generation() -> None:
    for name in modules():
        if name.startswith("covid_synth_data"):
            assert not any(other.split(".")[0] == "generation" for other in imports(name)), name


def test_the_benchmark_knows_no_generators() -> None:
    for name in modules():
        if name.startswith("covid_synth_data.benchmark"):
            others = {_room("covid_synth_data", other) for other in imports(name)}
            assert "generators" not in others, name


def test_a_circle_and_an_arrow_up_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test can fail: three modules made up, two of which import each other."""
    graph = {"generation.recipe": {"generation.data.x"}, "generation.data.x": {"generation.recipe"}}
    made_up = {name: Path() for name in (*graph, "generation.__main__")}
    monkeypatch.setattr(f"{__name__}.modules", lambda: made_up)
    monkeypatch.setattr(f"{__name__}.imports", lambda name: frozenset(graph.get(name, ())))
    assert circles(made_up) == [["generation.data.x", "generation.recipe"]]
    assert arrows_up("generation") == ["generation.recipe imports generation.data.x"]
