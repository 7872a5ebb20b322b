"""What was asked for is what was done, or one line says what was not done and why; on Windows too."""

from __future__ import annotations

import ast
import builtins
import fcntl
import os
import sys
from pathlib import Path

import pytest

import covid_synth_data as csd
from covid_synth_data.cli import guarded
from covid_synth_data.errors import CorruptRelease, WeightsError
from covid_synth_data.files import atomic, lfs
from covid_synth_data.generators import weights
from covid_synth_data.release import hub, manifest
from covid_synth_data.sources import disk, source_status
from covid_synth_data.sources.covid_chestxray import INFO
from tests.sources.conftest import write_csv
from tests.support import film, sampler_weights

PACKAGES = ("covid_synth_data", "generation")
GENERATOR = "cyclegan-unet.tiny"


# Counts.


@pytest.mark.parametrize(
    ("asked", "made", "says"),
    [
        ((), 20, "20 films in"),
        (("-n", 5), 5, "5 of 20 films in"),
        (("-n", 20), 20, "20 films in"),
        (("-n", 30), 20, "-n 30 asked for more than are there"),
    ],
)
def test_all_films_of_a_folder_are_translated(shell, world, asked, made, says):
    for number in range(3, 20):
        film(world.films / f"film-{number}.png", 2000 + number)
    out = world.folder / "out"
    done = shell("sample", GENERATOR, "--release", world.release, "--from", world.films, "-o", out, *asked)
    assert done.code == 0, done
    assert says in done.out
    assert len(list(out.glob("*.png"))) == made


def test_noise_makes_sixteen_unless_asked(shell, tmp_path):
    path = sampler_weights(tmp_path / "weights/x.safetensors")
    assert shell("sample", "dcgan.test", "--release", path.parent, "-o", tmp_path / "out").code == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 16


# The core install.


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "benchmark"), ("sklearn", "benchmark"), ("ray", "ray"), ("nibabel", "ct")]
)
def test_the_core_install_names_the_extra(capsys, module, extra):
    def run():
        raise ModuleNotFoundError(f"No module named '{module}.nn'", name=f"{module}.nn")

    with pytest.raises(SystemExit) as stop:
        guarded(run)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"the module '{module}' is not installed; expected the extra [{extra}]" in said


def test_a_module_of_nobody_is_our_mistake():
    def run():
        raise ModuleNotFoundError("No module named 'covid_synth_data.x'", name="covid_synth_data.x")

    with pytest.raises(ModuleNotFoundError):
        guarded(run)


def test_sampling_without_torch(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return found(name, *rest)

    for name in list(sys.modules):
        if name.startswith("covid_synth_data.generators.") or name == "torch":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    shell("sample", GENERATOR, "-o", "out").error("'torch' is not installed", "covid-synth-data[")


# Windows, simulated.


@pytest.fixture
def windows(monkeypatch):
    """Flushing asks for a handle that may write; text mode turns every line feed into two bytes."""
    flush, write = os.fsync, Path.write_text

    def strict(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flush(handle)

    def text(self, data, encoding=None, errors=None, newline=None):
        return write(self, data, encoding, errors, "\r\n" if newline is None else newline)

    monkeypatch.setattr(os, "fsync", strict)
    monkeypatch.setattr(Path, "write_text", text)


def test_atomic_writes_on_windows(windows, tmp_path):
    atomic.write_text(tmp_path / "a.json", "one\ntwo\n")
    assert (tmp_path / "a.json").read_bytes() == b"one\ntwo\n"
    atomic.copy_file(tmp_path / "a.json", tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == b"one\ntwo\n"


def test_a_release_made_on_windows_is_whole(windows, shell, tmp_path):
    path = sampler_weights(tmp_path / "weights/x.safetensors")
    arguments = ("--release", path.parent, "-o", tmp_path / "out", "-n", 3, "--format", "release")
    assert shell("sample", "dcgan.test", *arguments).code == 0
    assert csd.verify(tmp_path / "out").whole
    assert b"\r" not in (tmp_path / "out/README.md").read_bytes()
    assert b"\r" not in (tmp_path / "out/manifest.json").read_bytes()


def calls(name: str):
    """Every call of a method `name` in the packages, with its file."""
    for package in PACKAGES:
        for path in sorted(Path(package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if getattr(getattr(node, "func", None), "attr", None) == name:
                    yield path, node


def test_text_is_written_with_its_own_line_ends():
    for path, call in calls("write_text"):
        own = isinstance(call.func.value, ast.Name) and call.func.value.id == "atomic"
        given = {word.arg for word in call.keywords}
        assert own or {"encoding", "newline"} <= given, f"{path}:{call.lineno}"
    for path, call in calls("open"):
        mode = next((a.value for a in call.args if isinstance(a, ast.Constant)), "r")
        if isinstance(mode, str) and mode[:1] in "wax" and "b" not in mode and len(mode) <= 2:
            given = {word.arg for word in call.keywords}
            assert {"encoding", "newline"} <= given, f"{path}:{call.lineno}"


def test_flushing_is_in_one_place():
    assert {str(path) for path, _ in calls("fsync")} == {"covid_synth_data/files/atomic.py"}


# Foreign files.


def test_a_foreign_table_in_the_root_is_not_taken_for_a_set(world, shell):
    write_csv(world.root / "metadata.csv", ["file_name", "label"], [{"file_name": "a.png", "label": "x"}])
    (world.root / "images").mkdir()
    (world.root / "data.csv").write_text("a;b\n")
    (world.root / "png").mkdir()
    assert disk.find(INFO, world.root) is None
    assert source_status("covid-chestxray", world.root).summary == "not found"
    assert shell("tasks", "normal-vs-covid", "--root", world.root).code == 0
    (world.root / "metadata.csv").write_bytes(b"\xff\xfe\0\0")
    assert shell("tasks", "normal-vs-covid", "--root", world.root).code == 0


def test_a_set_under_another_name_is_found_by_its_table(chestxray_root):
    assert disk.find(INFO, chestxray_root) == chestxray_root


@pytest.fixture
def chestxray_root(tmp_path):
    header = ["patientid", "finding", "view", "modality", "folder", "filename", "license"]
    write_csv(tmp_path / "films" / "metadata.csv", header, [])
    (tmp_path / "films" / "images").mkdir()
    return tmp_path / "films"


# Clones.

POINTER = lfs._START + b"v1\noid sha256:" + b"0" * 64 + b"\nsize 21162\n"


def test_pointers_of_git_lfs(world, shell):
    shard = min((world.release / "cyclegan").iterdir())
    shard.write_bytes(POINTER)
    with pytest.raises(
        CorruptRelease, match=r"a pointer of Git LFS.*Next: git lfs install, then git lfs pull"
    ):
        csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)
    assert "git lfs pull" in csd.verify(world.release).problems[0]
    path = world.release / "weights/tiny.safetensors"
    path.write_bytes(POINTER)
    with pytest.raises(WeightsError, match=r"a pointer of Git LFS.*git lfs pull"):
        weights.read(path)
    (world.release / "manifest.json").write_bytes(POINTER)
    shell("verify", world.release).error("a pointer of Git LFS", "git lfs pull")


def test_a_checkout_with_other_line_ends(world, shell):
    for name in ("README.md", "weights/tiny.json", "manifest.json"):
        path = world.release / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(csd.load_dataset("covid-synth-cxr", "gnc", root=world.release)) == 24
    problems = csd.verify(world.release).problems
    assert len(problems) == 2
    assert all(
        "line ends changed to CRLF" in problem and "core.autocrlf false" in problem for problem in problems
    )
    shell("verify", world.release).error("line ends changed to CRLF")
    readme = world.release / "README.md"
    readme.write_bytes(readme.read_bytes() + b"more")
    assert "CRLF" not in next(p for p in csd.verify(world.release).problems if p.startswith("README"))


# A cache that cannot be written.


def test_a_load_does_not_fail_for_want_of_notes(world, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path / "file"))
    listed = manifest.read(world.release)
    hub._obtain("org/name", hub.Snapshot(world.release, listed), listed.files)
    assert "cannot be noted and will be checked again" in caplog.text
