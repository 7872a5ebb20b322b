"""The request: validated once, the same on both sides of a process, and the digests that it leads to."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import make_request
from covid_synth_data.benchmark.running.bench import open_bench
from covid_synth_data.errors import ConfigError, UnknownName
from tests.benchmark.segmentation.conftest import changed

STORED = Path(__file__).resolve().parents[2] / "benchmarks" / "results"

# The digest of a regime with synthetic films covers the bytes of the release's manifest. That of the tests'
# release lists a card of weights now, so this one digest was pinned anew. Those of real films are old.
INPUTS = {
    "real": "15b5ef0bbc17563c26d1f5b91e31e3a8f16c79d9c5ef65daeec918191d4ee9ee",
    "real+gnc": "cb4b90551872af6bc7aa7cad3a0458ba197fd25499ea64378983bf3d6d1a7914",
    "augmented": "cae1197ec4fc5ef888469290776c9d0589681e4a35e7fed242c9f9d5650c32f1",
}
SLICE_INPUTS = {
    "real": "d841ff531c82a693ea75737ee8bf2b9c326807bcb1d7c4b3c6c3404d15e66727",
    "remove-50": "65b9d929fba1e08efdc2db81bd04afb7dbc975d6c2aa8b644a363fb19ca0d103",
}
"""Digests that the two engines before this one wrote into their result files."""


def digests(request) -> dict[str, str]:
    bench, runs = open_bench(request)
    return {job.run.regime: job.digest for _, prepared in bench.splits(runs) for job in prepared}


def test_older_results_of_classifiers_are_recognised(bench) -> None:
    request = make_request(bench.suite, regimes=list(INPUTS), models=["small-cnn"], **bench.arguments)
    assert digests(request) == INPUTS


def test_older_results_of_u_nets_are_recognised(tmp_path) -> None:
    """Under the version and the protocol that they were run with."""
    protocols = changed().model_dump()["protocols"]
    protocols["patient"]["test"] = ["segmentation_test"]
    older = changed(version="1.0.0", protocols=protocols)
    request = make_request(older, out=tmp_path, regimes=list(SLICE_INPUTS), seeds=1)
    assert digests(request) == SLICE_INPUTS


@pytest.mark.parametrize(
    ("kind", "place"), [("classification", "same-source-gnc-1.0.0.tar.xz"), ("segmentation", "jiang2020")]
)
def test_stored_results_are_valid(kind, place) -> None:
    path = results.find(STORED / place, kind)[0]
    result = results.validate_result(path)
    # In an archive or beside it, a file lies where its own fields say.
    assert path.as_posix().endswith(f"/{result.path.as_posix()}")
    assert results.parse_result(path, result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("suite", "options"),
    [("zunair2021", {"models": ["vgg16"], "weights": "imagenet"}), ("jiang2020", {"size": 64, "limit": 3})],
)
def test_a_request_travels_between_processes(suite, options, tmp_path) -> None:
    request = make_request(suite, out=tmp_path, regimes=("real",), seeds=2, **options)
    assert pickle.loads(pickle.dumps(request)) == request
    assert type(request).model_validate_json(request.model_dump_json()) == request
    assert [(run.regime, run.seed) for run in request.runs()] == [("real", 0), ("real", 1)]


@pytest.mark.parametrize(
    ("suite", "options", "text"),
    [
        ("jiang2020", {"models": ["vgg16"]}, "is one of segmentation and has no option 'models'"),
        ("zunair2021", {"protocol": "patient"}, "is one of classification and has no option 'protocol'"),
        ("jiang2020", {"limit": 0}, "no such limit; found 0"),
        ("jiang2020", {"size": 33}, "no such size; found 33"),
        ("zunair2021", {"device": 3}, "wrong value for 'device'"),
        ("zunair2021", {"weights": "imagnet"}, "wrong value for 'weights'"),
    ],
)
def test_a_request_that_cannot_be(suite, options, text) -> None:
    with pytest.raises(ConfigError, match=text):
        make_request(suite, out="x", **options)
    with pytest.raises(UnknownName, match="did you mean 'real'"):
        make_request(suite, out="x", regimes=["reel"])
