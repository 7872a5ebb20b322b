"""What all tests share: caches of their own, no network, the shell in-process, a small tree and release."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import film, tree, write_root

# Read when huggingface_hub and datasets are imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

TINY_RECIPE = """
name = "tiny"
family = "cyclegan"
seed = 3

[data]
task = "normal-vs-covid"
sources = ["phantom"]
phantom = { size = 32, patients = 8 }
source_class = "normal"
size = 32
per_domain = 4

[network]
generator = "cyclegan-unet"
width = 4
critic_width = 4

[training]
epochs = 1
batch_size = 4
looks = 2
precision = "32-true"

[release]
dataset = "covid-synth-cxr"
version = "0.0.1"
subset = "gnc"
folder = "cyclegan"
count = 24
shard_rows = 12
batch_size = 4
codec = "png"
"""


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Files are not flushed to the disk, which would guard against power cuts alone: a killed process loses
    nothing that it wrote. tests/files/test_atomic.py knows that they are flushed otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests on the real sets, in all workers: fingerprints and comparisons of thousands of
    films take minutes."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real-cache"


@pytest.fixture(autouse=True)
def _own_caches(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caches of whoever runs the tests are left alone; real sets are there only where asked for."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(folder))
    monkeypatch.setenv("COVID_SYNTH_CONFIG", str(folder / "config"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "datasets"))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))
    if "huggingface_hub.constants" in sys.modules:
        monkeypatch.setattr(sys.modules["huggingface_hub.constants"], "HF_HUB_CACHE", str(folder / "hub"))
    if "datasets" in sys.modules:
        monkeypatch.setattr(sys.modules["datasets"].config, "HF_DATASETS_CACHE", folder / "datasets")
    if "real_data" in request.keywords:
        monkeypatch.setenv("COVID_SYNTH_CACHE", str(request.getfixturevalue("real_cache")))
    else:
        monkeypatch.delenv("COVID_SYNTH_SOURCES", raising=False)


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and the text of both streams."""

    code: int
    out: str
    err: str

    def error(self, *parts: str) -> str:
        """The error line, once it has been checked to say `parts`; only indented facts may follow it."""
        assert self.code == 2, self
        lines = self.err.splitlines()
        assert all(line.startswith("  ") for line in lines[1:]), self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.out + self.err
        for part in parts:
            assert part in lines[0], (part, lines[0])
        return lines[0]


Shell = Callable[..., Outcome]


def _in_process(main: Callable[[], None], capfd, monkeypatch) -> Shell:
    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capfd.readouterr()
        code = stop.value.code
        return Outcome(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


@pytest.fixture
def real_root() -> Path:
    """The folder of the real sets; tests that need it are marked `real_data`."""
    root = os.environ.get("COVID_SYNTH_SOURCES")
    if not root:
        pytest.skip("COVID_SYNTH_SOURCES does not name a folder with the real sets")
    return Path(root)


@pytest.fixture
def shell(capfd, monkeypatch) -> Shell:
    """`covid-synth` within this process: shell("info", "--json")."""
    from covid_synth_data import cli

    return _in_process(cli.main, capfd, monkeypatch)


@pytest.fixture
def maintain(capfd, monkeypatch) -> Shell:
    """`python -m generation` within this process."""
    from generation import __main__

    return _in_process(__main__.main, capfd, monkeypatch)


@pytest.fixture(scope="session")
def made_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, a run and a release of it, made once by the maintainers' commands."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    from generation.kinds.kind import maker_of
    from generation.recipe import family, load_recipe
    from generation.releasing import build
    from generation.training import loop

    recipe = load_recipe(folder / "tiny.toml")
    both = family(recipe.family).read(recipe, None, lambda *_: None)
    run = loop.train(recipe, both, folder / "run", loop.make_fabric(recipe, "cpu"), lambda *_: None)
    maker = maker_of(recipe, None, run.weights, "cpu")
    build.release(recipe, maker, folder / "covid-synth-cxr", None, lambda *_: None)
    return folder


@dataclass(frozen=True)
class World:
    """A folder of the test's own with all that the commands read."""

    folder: Path

    @property
    def root(self) -> Path:
        """The real sets."""
        return self.folder / "root"

    @property
    def release(self) -> Path:
        """A release of 24 rows of gnc."""
        return self.folder / "covid-synth-cxr"

    @property
    def recipe(self) -> Path:
        """The recipe of the release."""
        return self.folder / "tiny.toml"

    @property
    def run(self) -> Path:
        """The training run behind the release."""
        return self.folder / "run"

    @property
    def films(self) -> Path:
        """Three films to translate."""
        return self.folder / "films"


@pytest.fixture
def world(made_release: Path, tmp_path: Path) -> World:
    """Everything in place and sound; each bad-input test breaks one thing."""
    folder = Path(shutil.copytree(made_release, tmp_path / "world"))
    write_root(folder / "root")
    for number in range(3):
        film(folder / "films" / f"film-{number}.png", 2000 + number)
    return World(folder)


@pytest.fixture
def refused(shell, maintain, world, capfd):
    """Run a command that must fail: one line with `parts`, and the world as it was before."""

    def run(*arguments: object, says: list[str], by=shell) -> None:
        before = tree(world.folder)
        line = by(*arguments).error(*says)
        assert "expected" in line
        assert "Next:" in line
        assert tree(world.folder) == before

    return run
