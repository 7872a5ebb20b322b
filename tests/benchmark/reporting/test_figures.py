"""Figures: those of results need no film, those of films show what they say, and both remake bit for bit."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from covid_synth_data.benchmark import run
from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.explain.feature_map import feature_map, own_kind
from covid_synth_data.benchmark.explain.retraining import request_retraining
from covid_synth_data.benchmark.explain.saliency import maps, saliency
from covid_synth_data.benchmark.reporting import figures
from covid_synth_data.benchmark.reporting.collect import collect
from covid_synth_data.classifiers.networks import Body, Network
from covid_synth_data.classifiers.weights import NO_WEIGHTS
from covid_synth_data.errors import ConfigError, UnknownName


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))


def test_figures_of_results(bench, tmp_path):
    run(bench.suite, **bench.arguments, regimes=["real", "balanced", "real+gnc"], seeds=2)
    groups = collect(bench.arguments["out"])
    made = figures.draw(groups, tmp_path / "figures")
    assert [path.name.rpartition("-")[2] for path in made.values()] == [
        "confidence.png",
        "confusion.png",
        "reliability.png",
        "skew.png",
    ]
    assert all("miniature 1.0.0, normal-vs-covid, plain films, small-cnn" in title for title in made)
    for path in made.values():
        shown = pixels(path)
        assert min(shown.shape[:2]) > 150
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 5
    again = figures.draw(groups, tmp_path / "again")
    assert [a.read_bytes() for a in made.values()] == [b.read_bytes() for b in again.values()]


def test_the_legend_of_many_regimes_leaves_the_title_free(bench):
    run(bench.suite, **bench.arguments, regimes=["real", "real+gnc"], seeds=1)
    groups = [
        dataclasses.replace(group, key=(*group.key[:5], "real+random-tone-skew4@augmented"))
        for group in collect(bench.arguments["out"])
    ]
    title = "external@half-samples 2.0.0, covid-external, plain films, lite0-frozen: sensitivity against skew"
    figure = figures.skews(groups * 7, title + ", with 95 % limits")
    figure.canvas.draw()
    (legend,) = figure.legends
    assert not figure._suptitle.get_window_extent().overlaps(legend.get_window_extent())


def test_saliency_shows_test_films_or_synthetic_ones(bench, tmp_path):
    pytest.importorskip("captum")
    options = {**bench.arguments, "seeds": [0]}
    del options["out"]

    def asked(name, regime, **more):
        return request_retraining(bench.suite, tmp_path / name, regimes=[regime], **options, **more)

    ids = saliency(asked("a.png", "real+gnc", films=6))
    test = bench.splits["test"]
    assert len(set(ids)) == 6
    assert set(ids) <= set(test["image_id"])
    labels = dict(zip(test["image_id"], test["label"], strict=True))
    assert [labels[name] for name in ids] == [2, 2, 2, 0, 0, 0]
    made = saliency(asked("b.png", "real+gnc", films=4), of="gnc")
    assert all(name.startswith("gnc-") for name in made)
    assert len(made) == 4
    saliency(asked("c.png", "real+gnc", films=6))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    assert (pixels(tmp_path / "a.png").std(axis=2) > 10).any()
    with pytest.raises(ConfigError, match="does not use 'gpc'"):
        saliency(asked("d.png", "real+gnc"), of="gpc")
    with pytest.raises(ConfigError, match="no network"):
        saliency(asked("d.png", "real", model="lite0-bgt"))
    with pytest.raises(UnknownName, match="did you mean 'real'"):
        saliency(asked("d.png", "reel"))


def test_grad_cam_finds_what_decides():
    """A network whose one feature map is the film itself: the class is decided by what is bright."""
    pytest.importorskip("captum")
    network = Network(Body(torch.nn.Identity(), 1, (0.0,), (1.0,), NO_WEIGHTS))
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        network.head.bias.zero_()
    film = np.zeros((2, 8, 8), np.uint8)
    film[0, 2:4, 5:7] = 255
    heat, sure = maps(network, film, 1)
    assert heat.shape == (2, 8, 8)
    assert (heat[0] > 0.5).sum() == 4
    assert heat[0, 2:4, 5:7].min() == 1.0
    assert heat[1].max() == 0
    assert sure[0] > sure[1] == 0.5


def test_neighbours_of_the_own_kind():
    rng = np.random.default_rng(0)
    near = rng.normal(size=(60, 4)).astype(np.float32)
    far = near + 100
    apart = own_kind({"real": near, "made": far})
    assert apart["made"]["share"] == 1.0
    assert apart["made"]["chance"] == pytest.approx(59 / 119)
    mixed = own_kind({"real": near[:30], "made": near[30:]})
    assert abs(mixed["made"]["share"] - mixed["made"]["chance"]) < 0.15


@pytest.mark.slow
def test_the_map_of_features(bench, tmp_path):
    pytest.importorskip("umap")
    options = {**bench.arguments}
    del options["out"]
    found = feature_map(bench.suite, tmp_path / "map.png", configs=["gnc"], films=10, **options)
    assert list(found["points"]) == ["real normal", "real covid-19", "gnc"]
    assert [len(points) for points in found["points"].values()] == [10, 6, 10]
    assert json.loads((tmp_path / "map.json").read_text()) == found
    assert found["dataset"]["name"] == "covid-synth-cxr"
    assert pixels(tmp_path / "map.png").shape[0] > 300
    again = feature_map(bench.suite, tmp_path / "again.png", configs=["gnc"], films=10, **options)
    assert again == found
    with pytest.raises(ConfigError, match="no regime of miniature uses wgan"):
        feature_map(bench.suite, tmp_path / "x.png", configs=["wgan"], **options)
    with pytest.raises(ConfigError, match="no fixed features"):
        feature_map(bench.suite, tmp_path / "x.png", configs=["gnc"], model="small-cnn", **options)


def test_films_are_drawn_evenly_where_they_can_be():
    from covid_synth_data.benchmark.explain.saliency import _some

    every = Films(list("abcdef"), np.array([0, 0, 0, 0, 0, 1]), [""] * 6, ("normal", "covid-19"), "covid-19")
    assert len(_some(every, 4, 0).ids) == 4
    assert "f" in _some(every, 4, 0).ids
    assert len(_some(every, 10, 0).ids) == 6
