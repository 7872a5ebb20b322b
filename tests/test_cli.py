"""The commands: what they print, what they write, and that a script can read it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import covid_synth_data as csd
from covid_synth_data.files.pixels import load_grey
from covid_synth_data.generators.trained import load_file
from tests.support import film, tree

ROOT = Path(__file__).resolve().parents[1]
NAME = "cyclegan-unet.tiny"


def command(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """`covid-synth` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "covid_synth_data.cli", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )


def test_the_version(shell):
    outcome = shell("--version")
    assert (outcome.code, outcome.out.strip()) == (0, csd.__version__)


def test_import_is_light():
    code = """
import json, sys, time
start = time.process_time()
import covid_synth_data.cli
heavy = [m for m in ("torch", "datasets", "pandas", "pyarrow", "numpy") if m in sys.modules]
print(json.dumps([time.process_time() - start, heavy]))
"""
    run = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(2)]
    seconds, heavy = json.loads(run[1].stdout)
    assert heavy == []
    assert seconds < 0.5


def test_help_is_quick():
    command("--help")
    start = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = command("--help")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - start < 2  # about 0.5 s
    assert done.returncode == 0
    assert done.stderr == ""
    for name in ("info", "sources", "tasks", "verify", "mix", "sample", "benchmark", "quickstart"):
        assert name in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["info"],
        ["sources"],
        ["tasks"],
        ["verify"],
        ["mix"],
        ["sample"],
        ["quickstart"],
        ["benchmark"],
        ["benchmark", "list"],
        ["benchmark", "run"],
        ["benchmark", "report"],
    ],
    ids=" ".join,
)
def test_every_command_has_help(shell, arguments):
    done = shell(*arguments, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage" in done.out


@pytest.mark.parametrize(
    "arguments", [["inof"], ["mix"], ["sample", "x"], ["benchmark", "run"], ["info", "--yaml"]], ids=" ".join
)
def test_wrong_usage_is_exit_code_2(shell, arguments):
    done = shell(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "Traceback" not in done.err


def test_info(shell):
    done = shell("info")
    assert (done.code, done.err) == (0, "")
    assert "16,537" in done.out
    assert "4,758" in done.out
    content = json.loads(shell("info", "--json").out)
    assert content["version"] == csd.__version__
    assert {e["config"]: e["count"] for e in content["datasets"]}["cyclegan"] == 21_295


def test_sources(shell, world):
    done = shell("sources", "--root", world.root)
    assert (done.code, done.err) == (0, "")
    for info in csd.list_sources():
        assert f"{info.name}: " in done.out
    assert "21 of 5,856 images" in done.out
    found = {s["name"]: s for s in json.loads(shell("sources", "--root", world.root, "--json").out)}
    assert list(found) == [info.name for info in csd.list_sources()]
    assert found["covid-19-image-repository"]["status"]["images"] == 9
    assert found["covid-chestxray"]["status"]["folder"] is None
    assert all(entry["licence"] and entry["citation"] for entry in found.values())


def test_the_root_may_come_from_the_environment(shell, world, monkeypatch):
    assert "no root given" in shell("sources").out
    monkeypatch.setenv("COVID_SYNTH_SOURCES", str(world.root))
    assert "9 of 243 images" in shell("sources").out


def test_tasks(shell, world):
    assert "normal-vs-covid" in shell("tasks").out
    done = shell("tasks", "normal-vs-covid", "--root", world.root)
    assert (done.code, done.err) == (0, "")
    for part in ("train", "validation", "test", "kermany", "left out:", "patients"):
        assert part in done.out


def test_verify(shell, world):
    done = shell("verify", world.release)
    assert (done.code, done.err) == (0, "")
    assert "gnc 24 rows" in done.out
    assert "whole" in done.out
    content = json.loads(shell("verify", world.release, "--json").out)
    assert content["whole"] is True
    assert content["rows"] == {"gnc": 24}


def test_verify_prints_json_of_what_is_wrong(shell, world):
    (world.release / "README.md").write_text("changed")
    done = shell("verify", world.release, "--json")
    done.error("README.md", "expected")
    content = json.loads(done.out)
    assert content["whole"] is False
    assert len(content["problems"]) == 1


def sample(shell, world, out, *more):
    return shell("sample", NAME, "--release", world.release, "--from", world.films, "-o", out, *more)


def test_sample_translates_films(shell, world, tmp_path):
    done = sample(shell, world, tmp_path / "out", "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    assert sorted(tree(tmp_path / "out")) == ["film-0.png", "film-1.png", "film-2.png"]
    translator = load_file(world.release / "weights/tiny.safetensors", "cpu")
    for name in ("film-0.png", "film-2.png"):
        expected = translator.translate(load_grey(world.films / name, 32)[None])[0]
        made = np.asarray(Image.open(tmp_path / "out" / name))
        assert np.abs(made.astype(int) - expected.astype(int)).max() <= 1
    assert sample(shell, world, tmp_path / "two", "-n", 2).code == 0
    assert len(tree(tmp_path / "two")) == 2


def test_sample_keeps_odd_names_inside_and_apart(shell, world, tmp_path):
    odd = ["%2e%2e%2fup.png", "..%2fhidden.png", "a b;$(x)`.png", "line\nbreak.png", "ünï.png", "~.png"]
    for number, name in enumerate([*odd, "twin.png", "twin.jpg", "x" * 245 + ".png"]):
        film(world.films / name, number)
    (world.films / "folder.png").mkdir()
    (world.films / "notes.txt").write_text("no film")
    inputs = tree(world.films)
    out = tmp_path / "deep" / "er" / "out"
    done = sample(shell, world, out, "-n", 99)
    assert (done.code, done.err) == (0, "")
    assert {name.split("/")[0] for name in tree(tmp_path / "deep")} == {"er"}
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["out"]
    expected = {f"film-{i}.png" for i in range(3)} | {n for n in odd if not n.startswith(".")}
    assert set(tree(out)) == expected | {"twin.png.png", "twin.jpg.png", "x" * 245 + ".png"}
    assert tree(world.films) == inputs


def test_sample_does_not_overwrite_the_films(shell, world):
    before = tree(world.folder)
    sample(shell, world, world.films).error("another folder")
    (world.folder / "link").symlink_to(world.films)
    sample(shell, world, world.folder / "link").error("another folder")
    (world.folder / "link").unlink()
    assert tree(world.folder) == before


SUITE = """
name = "mini"
version = "1.0.0"
title = "A miniature"
tasks = ["normal-vs-covid"]
image_size = 32

[data]
sources = ["phantom"]
phantom = { size = 32, patients = 8 }

[training]
optimizer = "adam"
learning_rate = 1e-2
batch_size = 16
max_epochs = 1
patience = 1

[regimes.real]
title = "Real"
mix = "real"

[regimes.mixed]
title = "Mixed"
mix = "add"
synthetic = ["gnc"]

[models.small-cnn]
weights = "none"

[profiles.quick]
models = ["small-cnn"]
seeds = 1
"""


def test_benchmark(shell, world, tmp_path):
    suite, out = tmp_path / "mini.toml", tmp_path / "results"
    suite.write_text(SUITE)
    arguments = ("benchmark", "run", suite, "--release", world.release, "--out", out, "--device", "cpu")
    done = shell(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "2 result files" in done.out
    written = tree(out)
    assert sum(name.endswith("seed-0.json") for name in written) == 2
    assert shell(*arguments).code == 0
    assert tree(out) == written
    report = shell("benchmark", "report", "--results", out)
    assert (report.code, report.err) == (0, "")
    assert "| mixed" in report.out
    assert "small-cnn" in report.out


def test_benchmark_list(shell):
    done = shell("benchmark", "list")
    assert done.code == 0
    for name in ("zunair2021", "quickstart", "regimes"):
        assert name in done.out
    suites = json.loads(shell("benchmark", "list", "--json").out)
    assert {"zunair2021", "quickstart"} <= {suite["name"] for suite in suites}


def test_train_and_release(maintain, world, tmp_path):
    done = maintain("train", world.recipe, "--out", tmp_path / "run", "--device", "cpu")
    assert done.code == 0
    assert "weights" in done.out
    assert (tmp_path / "run/tiny.safetensors").read_bytes() == (
        world.release / "weights/tiny.safetensors"
    ).read_bytes()
    arguments = (
        "release",
        world.recipe,
        "--run",
        tmp_path / "run",
        "--out",
        tmp_path / "r",
        "--device",
        "cpu",
    )
    assert maintain(*arguments).code == 0
    assert tree(tmp_path / "r") == tree(world.release)


def test_a_stop_is_one_line_and_130(shell, maintain, world, monkeypatch):
    def stop(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("covid_synth_data.release.verification.verify", stop)
    done = shell("verify", world.release)
    assert (done.code, done.out, len(done.err.splitlines())) == (130, "", 1)
    monkeypatch.setattr("generation.recipe.load_recipe", stop)
    done = maintain("train", world.recipe)
    assert (done.code, done.out, len(done.err.splitlines())) == (130, "", 1)


def test_ctrl_c_in_a_real_process(world):
    code = (
        "import signal, sys, time\n"
        "import covid_synth_data.cli as cli\n"
        "import covid_synth_data.release.verification as hub\n"
        # As in a terminal, also where the tests run in the background and inherit that SIGINT is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "hub.verify = lambda *_: (print('here', flush=True), time.sleep(30))\n"
        f"sys.argv = ['covid-synth', 'verify', {str(world.release)!r}]\n"
        "cli.main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines() == ["stopped; the same command goes on from here"]


@pytest.mark.parametrize("arguments", [["info"], ["info", "--json"], ["benchmark", "list"]])
def test_a_closed_pipe_is_silent(arguments):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "covid_synth_data.cli", *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


def test_json_of_a_real_process_is_json_alone(world):
    for arguments in (["info"], ["verify", world.release]):
        done = command(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        json.loads(done.stdout)
    failed = command("verify", world.films)
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: ")
    assert len(failed.stderr.splitlines()) == 1


def test_names_that_are_no_text_can_be_printed(world):
    folder = Path(os.fsdecode(os.fsencode(world.folder) + b"/\xff\xfe"))
    world.release.rename(folder)
    done = command("verify", folder, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "whole" in done.stdout
