"""Figures: those of results need no film, those of films show what they say, and both remake bit for bit."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
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


@pytest.fixture
def many(bench):
    """24 groups under long names, all with one of two results, so that many points coincide."""
    run(bench.suite, **bench.arguments, regimes=["real", "real+gnc"], seeds=1)
    return [
        dataclasses.replace(group, key=(*group.key[:5], f"{group.key[5]}-random-tone-skew4@augmented-{n}"))
        for n in range(12)
        for group in collect(bench.arguments["out"])
    ]


def test_the_labels_of_many_regimes_leave_each_other_and_the_title_free(many):
    title = "external@half-samples 2.0.0, covid-external, plain films, lite0-frozen: sensitivity against skew"
    figure = figures.skews(many, title + ", with 95 % limits")
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        assert len(axes.texts) == len(many)
        boxes = sorted((Text.get_window_extent(label) for label in axes.texts), key=lambda box: box.y0)
        assert all(below.y1 <= above.y0 + 0.5 for below, above in itertools.pairwise(boxes))
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        assert not any(figure._suptitle.get_window_extent().overlaps(box) for box in boxes)


def test_points_lie_at_their_values_and_the_summary_says_which_have_a_label(many):
    figure = figures.skews(many, "title", named={"real+gnc"})
    for side, axes in enumerate(figure.axes):
        expected = [
            (
                group.first.composition.skew,
                (
                    group.seeds[0].metrics.sensitivity
                    if side == 0
                    else group.seeds[0].metrics.sensitivity_at[0].sensitivity
                ).value,
            )
            for group in many
        ]
        drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines]
        assert drawn == expected
        assert [label.get_text().split()[0] for label in axes.texts] == [
            group.key[5] for group in many if group.first.regime == "real+gnc"
        ]
        assert [label.xy for label in axes.texts] == expected[1::2]
    assert "12 regimes that the summary does not name" in figure._suptitle.get_text()
    few = figures.skews(many[:4], "title", named=set())
    assert all(len(axes.texts) == 4 for axes in few.axes)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0.001, 0.2))
def test_labels_are_spread_within_bounds_in_the_order_of_the_points(values, gap):
    places = figures.spread(values, gap, 0.0, 1.0)
    least = min(gap, 1 / max(len(values), 1))
    assert all(0 <= place <= 1 for place in places)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(places[b] - places[a] >= least - 1e-9 for a, b in itertools.pairwise(order))
    alone = all(abs(a - b) >= gap for n, a in enumerate(values) for b in values[:n])
    if alone and all(gap / 2 <= value <= 1 - gap / 2 for value in values):
        assert places == pytest.approx(values)


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
