"""The wheel as a user gets it: built, installed beside the core dependencies alone, and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import write_root

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "covid-synth-data"

pytestmark = pytest.mark.slow


def metadata_requirements(text: str) -> list[str]:
    """The lines Requires-Dist of a METADATA file."""
    return [
        line.removeprefix("Requires-Dist: ") for line in text.splitlines() if line.startswith("Requires-Dist")
    ]


def core_dependencies(requirements: list[str]) -> set[str]:
    """Names of all distributions that `requirements` bring in, without any extra of ours."""
    names: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in {"", *requirement.extras}:
            if (requirement.name, wanted) in seen:
                continue
            seen.add((requirement.name, wanted))
            names.add(requirement.name)
            needed = metadata.requires(requirement.name) or []
            waiting.extend((Requirement(text), wanted) for text in needed)
    return names


def link_distribution(name: str, site_packages: Path) -> None:
    """Make an installed distribution visible in another environment of the same Python."""
    for file in metadata.distribution(name).files or []:
        top = file.parts[0]
        if top in ("..", "__pycache__"):  # scripts and manual pages
            continue
        target = site_packages / top
        if not target.exists():
            target.symlink_to(Path(str(metadata.distribution(name).locate_file(top))))


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and its core dependencies."""

    python: Path
    script: Path
    wheel: Path
    folder: Path

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """A command outside the checkout, without a network and with caches of its own."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "COVID_SYNTH_CACHE": str(self.folder / "cache"),
            "HF_HOME": str(self.folder / "hf"),
            "HF_HUB_OFFLINE": "1",
        }
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def shell(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """The installed command `covid-synth`."""
        return self.run(self.script, *arguments)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    wheel = next(folder.glob("*.whl"))
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site_packages = Path(subprocess.check_output([python, "-c", code], text=True).strip())
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))).decode()
    for name in core_dependencies(metadata_requirements(text)):
        link_distribution(name, site_packages)
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    work = folder / "work"
    work.mkdir()
    return Installed(python, folder / "env/bin/covid-synth", wheel, work)


@pytest.fixture
def release(made_release: Path) -> Path:
    return made_release / "covid-synth-cxr"


def test_the_environment_is_bare(installed):
    code = "import importlib.util as u; print([m for m in %r if u.find_spec(m)])"
    heavy = [
        "torch",
        "torchvision",
        "sklearn",
        "matplotlib",
        "timm",
        "pydicom",
        "monai",
        "generation",
        "pytest",
    ]
    assert installed.run(installed.python, "-c", code % heavy).stdout == "[]\n"
    where = installed.run(installed.python, "-c", "import covid_synth_data as c; print(c.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed.python.parents[1])


def test_the_wheel_holds_what_it_promises(installed):
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert "covid_synth_data/py.typed" in names
    assert "covid_synth_data/benchmark/suites/zunair2021.toml" in names
    assert any("/published/tables/" in name for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"covid_synth_data"}


@pytest.mark.parametrize(
    "command",
    [["info"], ["info", "--json"], ["sources"], ["tasks"], ["benchmark", "list"], ["--help"]],
    ids=" ".join,
)
def test_what_lists_things_works(installed, command):
    done = installed.shell(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_tasks_mix_and_verify_work(installed, release, tmp_path):
    root = write_root(tmp_path / "root")
    plan = installed.shell("tasks", "normal-vs-covid", "--root", root)
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "train" in plan.stdout
    checked = installed.shell("verify", release, "--json")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert json.loads(checked.stdout)["whole"]
    out = tmp_path / "mixed"
    options = ("--root", root, "--release", release, "--synthetic", "gnc", "--skew", 1, "-o", out)
    mixed = installed.shell("mix", "normal-vs-covid", *options)
    assert mixed.returncode == 0, mixed.stderr
    assert (out / "train.parquet").is_file()


def test_reports_leaderboards_and_reader_studies_need_no_extra(installed):
    code = """
from covid_synth_data.benchmark import report, list_suites, load_suite
from covid_synth_data.leaderboard import building, validating
from covid_synth_data.reader_study import making, scoring
print(load_suite(list_suites()[0]).name)
"""
    done = installed.run(installed.python, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["sample", "cyclegan-unet.tiny", "--release", "RELEASE", "-o", "out"], "[generation]"),
        (["benchmark", "run", "quickstart", "--release", "RELEASE", "--out", "results"], "[benchmark]"),
        (["benchmark", "map", "zunair2021", "--config", "gnc", "-o", "map.png"], "[figures]"),
        (["benchmark", "saliency", "quickstart", "--regime", "real", "-o", "saliency.png"], "[figures]"),
    ],
    ids=["sample", "benchmark run", "benchmark map", "benchmark saliency"],
)
def test_what_needs_more_says_so_in_one_line(installed, release, command, expected):
    done = installed.shell(*(release if part == "RELEASE" else part for part in command))
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert expected in lines[0]


def test_the_quickstart_takes_the_whole_path_with_lesion_pairs(installed, tmp_path):
    done = installed.shell("quickstart", "--out", tmp_path / "quickstart")
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert len(steps) == 6
    assert "[benchmark]" in done.stdout
    assert "make quickstart" in done.stdout
    page = (tmp_path / "quickstart/index.html").read_text()
    assert page.count("With your own data") == 6
    assert (tmp_path / "quickstart/explore.html").is_file()
    checked = installed.shell("verify", tmp_path / "quickstart/lesion-pairs", "--json")
    assert json.loads(checked.stdout)["whole"]
    mixed = installed.run(
        installed.python,
        "-c",
        "import datasets, sys; print(len(datasets.load_dataset(sys.argv[1], split='train')))",
        tmp_path / "quickstart/lesion-pairs",
    )
    assert mixed.stdout == "252\n", mixed.stderr
