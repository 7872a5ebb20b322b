"""Work that Ray Data spreads over a cluster of two nodes on this machine: the same files as without it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from covid_synth_data import cluster
from covid_synth_data.audit import result
from covid_synth_data.errors import BadImage, ClusterError, ConfigError
from covid_synth_data.importing import Stated, import_images
from covid_synth_data.lesions import folder
from covid_synth_data.release import building
from covid_synth_data.sources import phantom
from tests.ray_nodes import MARKS, two_nodes
from tests.support import film, tree, write_root

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")

pytestmark = MARKS


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as made:
        yield made


def squared(number: int) -> tuple[int, str]:
    """The square, and the node; 0.2 s so that one node is not done before the other is asked."""
    time.sleep(0.2)
    return number**2, ray.get_runtime_context().get_node_id()


def refused(number: int) -> int:
    if number == 5:
        raise ConfigError("a five", hint="leave it out")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items_from_both_nodes(nodes, monkeypatch):
    monkeypatch.setattr(cluster, "TASKS_PER_CORE", 3)
    asked = []
    with cluster.spread(nodes.address) as over:
        found = list(over(squared, (asked.append(number) or number for number in range(20)), 2))
        assert [square for square, _ in found] == [number**2 for number in range(20)]
        assert len({node for _, node in found}) == 2
        # Items are taken when they are sent, not all at once.
        asked.clear()
        assert next(over(squared, (asked.append(number) or number for number in range(20)), 2))[0] == 0
        assert asked == list(range(12))  # of 2 cores with 3 tasks of 2 items
        assert list(over(squared, [])) == []


@pytest.mark.slow
def test_an_error_arrives_as_it_is_after_the_results_before_it(nodes):
    found = []
    with cluster.spread(nodes.address) as over, pytest.raises(ConfigError, match="a five.*leave it out"):
        found.extend(over(refused, [1, 2, 3, 5, 6], 2))
    assert found == [1, 2, 3]


@pytest.mark.slow
def test_a_process_that_dies_again_and_again_is_named(nodes):
    with cluster.spread(nodes.address) as over, pytest.raises(ClusterError, match="work on the cluster was"):
        list(over(die, [1]))


@pytest.mark.slow
def test_painting(nodes, tmp_path, monkeypatch):
    """Pairs as files, of a relative path, and as a release; a call that was stopped goes on."""
    (tmp_path / "films").mkdir()
    for number in range(20):
        path = tmp_path / f"films/film-{number}.png"
        Image.fromarray(phantom.draw("normal", 128, 5, number, 1)).save(path)
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(tmp_path / "films/film-7.png")  # without lungs
    monkeypatch.chdir(tmp_path)
    films = Path("films")
    alone = folder.write_pairs(folder.Job(films, Path("alone"), 4), lambda *_: None)
    reported = []
    shared = folder.write_pairs(
        folder.Job(films, Path("shared"), 4), lambda *done: reported.append(done), ray=nodes.address
    )
    assert shared == alone
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone")
    assert reported == [(number, 20) for number in range(1, 21)]
    for number in (3, 12):
        (tmp_path / f"shared/records/film-{number}.json").unlink()
    folder.write_pairs(folder.Job(films, Path("shared"), 4), lambda *_: None, ray=nodes.address)
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone")
    (tmp_path / "films/film-9.png").write_bytes(b"no image")
    with pytest.raises(BadImage, match=r"film-9\.png"):
        folder.write_pairs(folder.Job(films, Path("none")), lambda *_: None, ray=nodes.address)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_painting_a_release(nodes, tmp_path, shell):
    (tmp_path / "films").mkdir()
    for number in range(4):
        path = tmp_path / f"films/film-{number}.png"
        Image.fromarray(phantom.draw("normal", 128, 5, number, 1)).save(path)
    for where, more in (("alone", ()), ("shared", ("--ray", nodes.address))):
        done = shell(
            "paint", tmp_path / "films", "-o", tmp_path / where / "out", "--format", "release", *more
        )
        assert done.code == 0, done.err
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["folder", "npz", "dataset"])
def test_importing(nodes, tmp_path, monkeypatch, form):
    """Files of a relative path, arrays, and encoded bytes, in several shards."""
    monkeypatch.setattr(building, "SHARD_ROWS", 32)
    monkeypatch.chdir(tmp_path)
    pictures = np.random.default_rng(3).integers(0, 256, (50, 24, 24), dtype=np.uint8)
    path = Path({"folder": "images", "npz": "images.npz", "dataset": "saved"}[form])
    if form == "folder":
        for number in range(50):
            film(tmp_path / f"images/{number}.png", number, side=32)
    elif form == "npz":
        np.savez(path, images=pictures, labels=np.zeros(50, np.int64))
    else:
        rows = {"image": list(map(Image.fromarray, pictures)), "label": ["normal"] * 50}
        features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(path)
    stated = Stated(label="normal")
    listed = import_images(path, tmp_path / "alone/out", "mine", stated, size=20)
    assert import_images(path, tmp_path / "shared/out", "mine", stated, size=20, ray=nodes.address) == listed
    assert tree(tmp_path / "shared") == tree(tmp_path / "alone")


@pytest.mark.slow
def test_importing_what_cannot_be(nodes, tmp_path, shell):
    """One line, and nothing half-written, as without a cluster."""
    for number in range(3):
        film(tmp_path / f"images/{number}.png", number, side=32 if number < 2 else 40)
    arguments = ("-o", tmp_path / "out", "--config", "mine", "--label", "normal", "--ray", nodes.address)
    shell("import", tmp_path / "images", *arguments).error("2.png has another size", "--size N")
    (tmp_path / "images/1.png").write_bytes(b"no image")
    shell("import", tmp_path / "images", *arguments).error("1.png")
    shutil.rmtree(tmp_path / "images")
    assert tree(tmp_path) == {}


def test_what_a_lost_cluster_had_done_stays(tmp_path):
    with contextlib.suppress(ClusterError), building.staged(tmp_path / "out", {"config": "mine"}) as staged:
        (staged / "shard").touch()
        raise ClusterError("lost")
    assert (staged / "shard").exists()


@pytest.mark.slow
def test_auditing(nodes, tmp_path, monkeypatch, shell):
    """All numbers and all cached descriptors, of whole, changed and masked films, are the same."""
    write_root(tmp_path / "root", positives=60)
    (tmp_path / "made").mkdir()
    for number in range(70):
        path = tmp_path / f"made/s-{number}.png"
        Image.fromarray(phantom.draw("covid-19", 64 + number % 3, 0, number, 1)).save(path)
    monkeypatch.chdir(tmp_path)
    for where, more in (("alone", ()), ("shared", ("--ray", nodes.address))):
        monkeypatch.setenv("COVID_SYNTH_CACHE", str(tmp_path / where / "cache"))
        done = shell("audit", "made", "--root", "root", "-o", where, "--device", "cpu", *more)
        assert done.code == 0, done.err
    alone, shared = (result.read(tmp_path / where / "made.json") for where in ("alone", "shared"))
    assert shared.sections == alone.sections
    cached = tree(tmp_path / "shared/cache/audit")
    assert {name.partition("-")[0] for name in cached if "/" not in name} == {
        "features",
        "inside",
        "lungs",
        "outside",
        "small",
        "thumbnails",
    }
    assert cached == tree(tmp_path / "alone/cache/audit")


COMMANDS = {
    "paint": ("paint", "films", "-o", "out"),
    "import": ("import", "films", "-o", "out", "--config", "mine", "--label", "normal"),
    "audit": ("audit", "films", "--root", "root", "-o", "out"),
}


@pytest.fixture
def films(tmp_path, monkeypatch):
    write_root(tmp_path / "root", positives=60)
    for number in range(25):
        film(tmp_path / f"films/{number}.png", 5000 + number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cluster_answers(films, monkeypatch, shell, command):
    """Said within seconds, though Ray would try for minutes; nothing is written."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    before = tree(films)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was asked"))
    line = shell(*COMMANDS[command], "--ray", address).error("no Ray cluster answers", address)
    assert "ray start --head" in line
    assert tree(films) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_without_ray(films, monkeypatch, shell, command):
    before = tree(films)
    monkeypatch.setitem(sys.modules, "ray", None)
    shell(*COMMANDS[command], "--ray", "local").error(
        "the extra [ray]", 'pip install "covid-synth-data[ray]"'
    )
    assert tree(films) == before
