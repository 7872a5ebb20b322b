"""Activation against drawn infection: known answers, exact maps, and a classifier that learned the lesion."""

from __future__ import annotations

import copy
import io
import json
import types

import numpy as np
import pytest
import torch
from PIL import Image

from covid_synth_data.benchmark.explain import lesions
from covid_synth_data.benchmark.explain.retraining import request_retraining
from covid_synth_data.benchmark.results import validate_as
from covid_synth_data.benchmark.results.lesions import LesionResult
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.classifiers.registry import build
from covid_synth_data.errors import ConfigError, EmptySplit, MissingSource, ResultError
from covid_synth_data.sources import phantom
from covid_synth_data.splits import duplicates
from tests.benchmark.explain.test_probe import SIDE, SUITE, drawn, options_of

LUNGS = np.zeros((lesions.SIDE, lesions.SIDE), bool)
LUNGS[10:40, 5:25] = LUNGS[10:40, 31:51] = True
ILL = LUNGS.copy()
ILL[:30] = False
"""A third of the lungs."""


def grey(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=LUNGS.shape)


def test_a_map_that_is_the_infection_has_every_score():
    assert lesions.score(ILL.astype(float), LUNGS, ILL) == (1, 1, 1, 1)
    # Lungs outside of the infection are below 0, the rest of the film is above: half lies in the lungs.
    film = np.where(LUNGS, np.where(ILL, 1.0, -1.0), 0.0)
    film[0, : ILL.sum() // 56 + 1] = 0
    film[45:, :] = ILL.sum() / (56 * 11)
    found = lesions.score(film, LUNGS, ILL)
    assert found == pytest.approx((0.5, 1, 1, 1))


@pytest.mark.parametrize("level", [1.0, 0.0, -1.0])
def test_a_map_that_is_the_same_everywhere_has_the_shares_of_the_areas(level):
    found = lesions.score(np.full(LUNGS.shape, level), LUNGS, ILL)
    share = ILL.sum() / LUNGS.sum()
    assert found == pytest.approx((LUNGS.mean(), share, share, 0.5))


def test_a_wrong_map_has_no_score_and_noise_has_those_of_chance():
    healthy = LUNGS & ~ILL
    assert lesions.score(healthy.astype(float), LUNGS, ILL) == (1, 0, 0, 0)
    many = np.array([lesions.score(grey(seed), LUNGS, ILL) for seed in range(200)])
    share = ILL.sum() / LUNGS.sum()
    assert many.mean(axis=0) == pytest.approx((LUNGS.mean(), share, share, 0.5), abs=0.1)


def test_what_lies_outside_the_lungs_does_not_count_within_them():
    one = np.abs(grey(1))
    other = np.where(LUNGS, one, 100.0)
    assert lesions.score(one, LUNGS, ILL)[1:] == lesions.score(other, LUNGS, ILL)[1:]
    assert lesions.score(other, LUNGS, ILL).in_lungs < 0.05


def test_a_map_adds_up_to_the_logits(monkeypatch):
    """Of 64 x 64 films the last map is 4 x 4, so nothing lies between its places."""
    monkeypatch.setattr(lesions, "SIDE", 4)
    network = build("small-cnn", "none", 3, 3).eval()
    films = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    (heat,) = lesions.maps(network, films, lesions.direction(network, 2)[None])
    with torch.no_grad():
        logits = network(torch.from_numpy(films).unsqueeze(1).float() / 255).numpy()
        bias = network.head.bias.numpy()
    logits = logits - bias
    expected = logits[:, 2] - (logits[:, 0] + logits[:, 1]) / 2
    assert heat.shape == (5, 4, 4)
    np.testing.assert_allclose(heat.mean(axis=(1, 2)), expected, atol=1e-5)


def test_a_map_is_high_where_the_network_says_so():
    """A network whose last map is the mean grey of 8 x 8 pixels."""
    network = types.SimpleNamespace(
        body=torch.nn.AvgPool2d(8), mean=0.0, std=1.0, parameters=lambda: iter([torch.zeros(1)])
    )
    films = np.zeros((2, 64, 64), np.uint8)
    films[0, 8:16, 40:48] = 255
    films[1, 48:56, 0:8] = 255
    (heat,) = lesions.maps(network, films, np.ones((1, 1), np.float32))
    cell = lesions.SIDE // 8
    for film, (row, column) in zip(heat, ((1, 5), (6, 0)), strict=True):
        peak = np.unravel_index(film.argmax(), film.shape)
        assert (peak[0] // cell, peak[1] // cell) == (row, column)


def test_classifiers_of_one_body_are_scored_as_each_would_be_alone():
    first = build("small-cnn", "none", 0).eval()
    second = copy.deepcopy(first)
    torch.nn.init.normal_(second.head.weight, generator=torch.Generator().manual_seed(1))
    films = np.random.default_rng(2).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    shown = lesions.LesionFilms(films, np.stack([LUNGS] * 3), np.stack([ILL] * 3), ["a", "b", "c"], {})
    both = [
        lesions._measure({"x": [first], "y": [second]}, shown, 1, shared, lambda *_: None)
        for shared in (True, False)
    ]
    for name in ("x", "y"):
        np.testing.assert_allclose(both[0][name], both[1][name], atol=1e-6)
    assert not np.allclose(both[0]["x"], both[0]["y"])


def quex(root, count=8, seed=9, shift=0):
    """Films of COVID-QU-Ex: phantoms with a lighter lower half of the lungs, and masks of both."""
    top = root / "COVID-QU-Ex" / "Infection Segmentation Data" / "Train" / "COVID-19"
    films = drawn("masked", count, seed, False)
    for number in range(count, 2 * count):
        lung = phantom.lung_mask("normal", SIDE, seed, number, 1) > 0.5
        ill = lung.copy()
        ill[: SIDE // 2] = False
        name = f"covid_{number + shift}"
        for folder, pixels in (
            ("images", np.asarray(films[number]["image"])),
            ("lung masks", lung.astype(np.uint8) * 255),
            ("infection masks", ill.astype(np.uint8) * 255),
        ):
            (top / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(top / folder / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lesions")
    suite = ClassificationSuite.model_validate(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        options = options_of(folder, patch, shortcut=False)
        # Phantoms are drawn alike.
        patch.setattr(duplicates, "SAME_PATIENT", 0.9999)
        patch.setattr(duplicates, "SAME_FILM", 0.9999)
        asked = request_retraining(
            suite,
            folder / "lesions.json",
            regimes=["real", "balanced"],
            model="small-cnn",
            root=quex(folder / "root"),
            **options,
        )
        found = lesions.look(asked)
    return found, folder / "lesions.json"


def test_a_classifier_that_learned_the_lesion_looks_at_it(looked):
    found, _ = looked
    assert (found.films.films, found.films.groups) == (8, 8)
    chance, untrained = (found.row("share", name) for name in ("chance", "untrained"))
    for measure in ("share", "pixel-auc", "pointing"):
        row = found.row(measure, "real")
        assert row.value.low > found.row(measure, "chance").value.value
        assert row.over["untrained"].difference > 0
        assert row.over["chance"].difference == pytest.approx(
            row.value.value - found.row(measure, "chance").value.value
        )
    assert chance.over == untrained.over == {}
    assert set(found.row("share", "balanced").over) == {"chance", "brightness", "untrained", "real"}
    assert found.row("pixel-auc", "chance").value.value == 0.5


def test_the_file_is_read_again_and_a_changed_number_is_refused(looked, tmp_path):
    found, path = looked
    assert validate_as(path, LesionResult) == found
    forged = tmp_path / "forged.json"
    content = json.loads(path.read_text())
    content["rows"][0]["value"]["value"] -= 0.01
    forged.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="its seeds give"):
        validate_as(forged, LesionResult)
    content = json.loads(path.read_text())
    content["rows"].pop()
    forged.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="each of .* once"):
        validate_as(forged, LesionResult)


def test_films_that_are_trained_on_and_films_that_are_there_twice_are_left_out(tmp_path):
    root = quex(quex(tmp_path), shift=100)
    film = Image.open(next((root / "COVID-QU-Ex").rglob("images/covid_8.png")))
    # Trained on in another size and encoding.
    file = io.BytesIO()
    film.resize((150, 150)).save(file, "JPEG", quality=85)
    shown = lesions.read(root, [{"bytes": file.getvalue(), "path": None}], 64)
    assert shown.left_out["looks like a film that is trained on"] == 2
    assert shown.left_out["same film as another"] == 7
    assert len(shown.films) == 7
    assert shown.films.shape[1:] == (64, 64)
    assert (shown.infected <= shown.lungs).all()
    assert len(lesions.read(root, [], 64, 3).films) == 3


def test_a_film_without_infection_in_its_lungs_says_nothing(tmp_path):
    root = quex(tmp_path, count=2)
    for path in (root / "COVID-QU-Ex").rglob("infection masks/*.png"):
        Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(path)
    with pytest.raises(EmptySplit, match="no film of covid-qu-ex with masks is left"):
        lesions.read(root, [], 64)


def test_what_cannot_be_looked_at_is_said(tmp_path, monkeypatch):
    suite = ClassificationSuite.model_validate(SUITE)
    with pytest.raises(ConfigError, match="masks lie on films as they are"):
        lesions.look(
            request_retraining(suite, tmp_path / "x.json", regimes=["real"], preprocessing="harmonised")
        )
    with pytest.raises(ConfigError, match="lite0-bgt is no network"):
        lesions.look(request_retraining(suite, tmp_path / "x.json", regimes=["real"], model="lite0-bgt"))
    options = options_of(tmp_path, monkeypatch, shortcut=False)
    with pytest.raises(MissingSource):
        lesions.look(
            request_retraining(suite, tmp_path / "x.json", regimes=["real"], root=tmp_path, **options)
        )
