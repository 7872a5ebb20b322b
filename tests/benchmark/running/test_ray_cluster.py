"""Trainings shared out over a Ray cluster of two nodes on this machine."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
from pathlib import Path

import pytest

from covid_synth_data import errors
from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import ClusterError, ConfigError, ResultError, UnknownName
from tests.ray_nodes import MARKS, two_nodes

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")

pytestmark = MARKS

SUITE = ClassificationSuite.model_validate(
    {
        "name": "shared-out",
        "version": "1.0.0",
        "title": "Shared out",
        "tasks": ["normal-vs-covid"],
        "image_size": 32,
        "data": {"sources": ["phantom"], "phantom": {"size": 32, "patients": 12}},
        "training": {"optimizer": "adam", "learning_rate": 0.01, "max_epochs": 2},
        "regimes": {
            "real": {"title": "Real", "mix": "real"},
            "balanced": {"title": "Balanced", "mix": "real", "sampling": "class-balanced"},
            "weighted": {"title": "Weighted", "mix": "real", "loss": "class-weighted"},
        },
        "models": {"small-cnn": {"weights": "none"}},
        "profiles": {"quick": {"models": ["small-cnn"], "seeds": 2}},
    }
)


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as made:
        yield made


def arguments(folder: Path) -> dict[str, object]:
    return {"out": folder / "out", "cache_dir": folder / "cache", "device": "cpu"}


def test_two_nodes_give_the_results_of_one_process(cluster, tmp_path):
    alone = run(SUITE, **arguments(tmp_path / "alone"))
    reported = []
    shared = run(
        SUITE, **arguments(tmp_path / "shared"), ray=cluster.address, progress=lambda *a: reported.append(a)
    )
    assert len({node["NodeID"] for node in ray.nodes() if node["Alive"]}) == 2
    assert len(shared) == len(alone) == 6
    for ours, theirs in zip(alone, shared, strict=True):
        one, other = results.validate_result(ours), results.validate_result(theirs)
        assert (one.regime, one.seed, one.inputs) == (other.regime, other.seed, other.inputs)
        assert one.predictions == other.predictions
    assert reported[-1][:2] == (6, 6)
    before = {path: path.stat().st_mtime_ns for path in shared}
    again = run(SUITE, **arguments(tmp_path / "shared"), ray=cluster.address)
    assert {path: path.stat().st_mtime_ns for path in again} == before


def test_what_a_node_raises_arrives_as_it_is(cluster, tmp_path, monkeypatch):
    first, *_ = run(SUITE, **arguments(tmp_path), ray=cluster.address, seeds=1)
    content = json.loads(first.read_text())
    first.write_text(json.dumps({**content, "inputs": "0" * 64}))
    with pytest.raises(ResultError, match="made from other data"):
        run(SUITE, **arguments(tmp_path), ray=cluster.address)
    with pytest.raises(ConfigError, match="no device 'cuda:9'"):
        run(SUITE, **{**arguments(tmp_path / "cuda"), "device": "cuda:9"}, ray=cluster.address)


def test_a_worker_that_dies_again_and_again_is_named(cluster, tmp_path, monkeypatch):
    """Regimes that came back before stay; the same call goes on when the cause is gone."""
    from covid_synth_data.benchmark.running import ray_cluster as module

    def die(request, runs):
        if runs[0].regime == "weighted":
            os.kill(os.getpid(), signal.SIGKILL)
        return sound(request, runs)

    sound = module._on_a_node
    monkeypatch.setattr(module, "_on_a_node", die)
    monkeypatch.setattr(module, "RETRIES", 0)
    with pytest.raises(ClusterError, match="the trainings of small-cnn weighted were lost"):
        run(SUITE, **arguments(tmp_path), ray=cluster.address, seeds=1)
    monkeypatch.setattr(module, "_on_a_node", sound)
    paths = run(SUITE, **arguments(tmp_path), ray=cluster.address, seeds=1)
    assert [results.validate_result(path).regime for path in paths] == ["real", "balanced", "weighted"]


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_no_cluster_answers(tmp_path, monkeypatch, address):
    """Said within seconds, though Ray would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was asked"))
    with pytest.raises(ConfigError, match="no Ray cluster answers at .*refused"):
        run(SUITE, **arguments(tmp_path), ray=address.format(port))


@pytest.mark.parametrize(
    "error",
    [
        UnknownName("suite", "zunair", ["zunair2021"]),
        errors.MissingExtra("ray", "ray"),
        ResultError("a", found="b", expected="c", hint="d"),
    ],
)
def test_errors_keep_kind_and_text_between_processes(error):
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), str(found)) == (type(error), str(error))
