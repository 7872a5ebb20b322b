"""Preprocessing: what tells how a film was made goes, what tells the disease stays."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.fft import dctn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from covid_synth_data.errors import BadImage, UnknownName
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.pixels import load_grey, resize
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.preprocessing import harmonise, lung_weights, lungs, re_encode, sharpness
from covid_synth_data.sources import phantom
from tests.preprocessing.sizes import PER_CLASS, SIDE


def framed(grey, width=14, level=0, letters=True):
    """`grey` in a margin, with burned-in letters on it."""
    out = np.pad(grey, width, constant_values=level)
    if letters:
        out[4:10, 20:24] = out[4:10, 28:34] = 255 - level
    return out


def elsewhere(grey):
    """The same film as another hospital would have sent it: smaller, darker, in a frame with letters, as a
    JPEG."""
    dark = np.rint(255 * (resize(grey, 120) / 255.0) ** 1.6).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(framed(dark)).save(buffer, "JPEG", quality=80)
    return load_grey(buffer.getvalue())


def traits(film):
    """What a shortcut lives in: grey levels, power per frequency band, mean of each edge, a thumbnail."""
    values = film.astype(float)
    side = len(film)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side) * side, np.fft.fftfreq(side) * side))
    power = np.abs(np.fft.fft2(values - values.mean())) ** 2
    bands = np.digitize(frequency, np.linspace(0, side / 2, 13))
    edges = [part.mean() for part in (values[:4], values[-4:], values[:, :4], values[:, -4:])]
    thumb = np.asarray(Image.fromarray(film).resize((16, 16), Image.Resampling.BOX), float).ravel() / 10
    histogram = np.histogram(values, 16, (0, 256))[0] / values.size
    return np.concatenate(
        [histogram, [np.log(power[bands == band].mean() + 1) for band in range(1, 13)], edges, thumb]
    )


def probe(films, labels):
    """AUC of a linear probe on held-out folds."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    x = np.stack([traits(film) for film in films])
    return roc_auc_score(labels, cross_val_predict(model, x, labels, cv=folds, method="predict_proba")[:, 1])


# --- the point --------------------------------------------------------------------------------------------


def test_harmonising_shuts_a_planted_shortcut_and_keeps_the_disease(films):
    disease = np.repeat([0, 1], PER_CLASS)
    made = np.tile([0, 1], PER_CLASS)  # half of each class comes from the other hospital
    sent = [elsewhere(film) if other else film for film, other in zip(films, made, strict=True)]
    plain = preprocessing.prepare_batch(sent, 128, "plain")[0]
    done = preprocessing.prepare_batch(sent, 128, "harmonised")[0]
    assert probe(plain, made) > 0.99
    assert probe(done, made) < 0.65  # chance, give or take, on 80 films
    assert probe(done, disease) > 0.9


def test_a_film_from_elsewhere_becomes_the_same_picture(film):
    ours, theirs = (preprocessing.prepare(one, 128, "harmonised").pixels for one in (film, elsewhere(film)))
    plain, plain_theirs = (preprocessing.prepare(one, 128).pixels for one in (film, elsewhere(film)))
    assert np.abs(ours.astype(int) - theirs).mean() < 4
    assert np.abs(plain.astype(int) - plain_theirs).mean() > 20


def test_a_copy_at_half_the_size_becomes_nearly_the_same_picture():
    large = phantom.draw("covid-19", 512, 0, 1, 1)
    small = resize(large, 256)
    ours, theirs = (preprocessing.prepare(one, 128, "harmonised").pixels for one in (large, small))
    assert np.abs(ours.astype(int) - theirs).mean() < 1.5


# --- its parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 255])
def test_a_margin_with_letters_is_found_to_the_pixel(film, level):
    body = np.clip(film, 20, 235)
    box = harmonise.without_frame(framed(body, 14, level))
    assert tuple(map(int, box)) == (14, 14, 14 + SIDE, 14 + SIDE)


def test_frames_in_frames_are_found(film):
    body = np.clip(film, 40, 215)
    inner = np.pad(np.pad(body, 1, constant_values=255), ((6, 0), (0, 9)), constant_values=0)
    box = harmonise.without_frame(np.pad(inner, 1, constant_values=128))
    assert tuple(map(int, box)) == (2, 8, 2 + SIDE, 8 + SIDE)


def test_at_most_the_limit_is_taken_for_a_frame():
    dark = np.zeros((100, 100), np.uint8)
    dark[48:52, 48:52] = 255
    limit = round(harmonise.FRAME_LIMIT * 100)
    assert tuple(map(int, harmonise.without_frame(dark))) == (limit, limit, 100 - limit, 100 - limit)


def test_every_film_gets_the_one_distribution(films):
    wanted = np.quantile(harmonise.reference(np.linspace(0, 1, 4001)), [0.05, 0.25, 0.5, 0.75, 0.95])
    for film in films[:6]:
        toned = harmonise.standard(film, harmonise.whole(film))
        assert np.quantile(toned, [0.05, 0.25, 0.5, 0.75, 0.95]) == pytest.approx(wanted, abs=2)
    levels = harmonise.reference(np.linspace(0, 1, 101))
    assert levels[0] == pytest.approx(0, abs=1e-9)
    assert levels[-1] == pytest.approx(255)
    assert levels[50] == pytest.approx(127.5)
    assert (np.diff(levels) > 0).all()


def test_the_order_of_grey_levels_stays():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    toned = harmonise.tone(ramp.astype(np.float32))[0]
    assert (np.diff(toned) > 0).all()


def test_a_blurred_film_and_an_enhanced_one_get_one_sharpness(film):
    """The power in each size of detail is that of the reference, whatever it was."""
    image = Image.fromarray(film)
    versions = [
        film,
        np.asarray(image.filter(ImageFilter.GaussianBlur(1.5))),
        np.asarray(image.filter(ImageFilter.UnsharpMask(3, 150, 0))),
    ]
    before = [power(harmonise.reduced(one, harmonise.whole(one))) for one in versions]
    after = [power(harmonise.standard(one, harmonise.whole(one))) for one in versions]
    assert np.abs(before[1] - before[0]).max() > 0.5
    assert np.abs(before[2] - before[0]).max() > 0.3
    assert max(np.abs(one - after[0]).max() for one in after) < 0.15


def power(film):
    """Logarithm (base 10) of the power of detail from 8 to 60 half waves per side."""
    waves = np.hypot(*np.indices(film.shape))
    content = dctn(film - film.mean(), norm="ortho") ** 2
    limits = np.geomspace(8, 60, 9)
    return np.array(
        [
            np.log10(content[(waves >= low) & (waves < high)].mean())
            for low, high in itertools.pairwise(limits)
        ]
    )


def test_coarse_detail_is_left_alone(film):
    seen = harmonise.reduced(film, harmonise.whole(film))
    evened = sharpness.even(seen)
    waves = np.hypot(*np.indices(seen.shape))
    change = dctn(evened, norm="ortho") - dctn(seen, norm="ortho")
    assert np.abs(change[waves < sharpness.COARSEST]).max() < 0.1
    assert np.abs(change[waves > 10]).max() > 1


# --- every kind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", preprocessing.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (15, 200), (101, 67), (300, 211)])
@pytest.mark.parametrize("side", [33, 224])
def test_any_size_gives_a_square(kind, shape, side):
    grey = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = grey.copy()
    pixels, _ = preprocessing.prepare(grey, side, kind)
    assert pixels.shape == (side, side)
    assert pixels.dtype == np.uint8
    assert np.array_equal(grey, before)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_constant_film_becomes_mid_grey(level):
    grey = np.full((90, 70), level, np.uint8)
    assert (preprocessing.prepare(grey, 64, "harmonised").pixels == 128).all()
    assert (preprocessing.prepare(grey, 64, "plain").pixels == level).all()


@pytest.mark.parametrize("kind", preprocessing.KINDS)
def test_a_film_is_prepared_alike_in_every_batch(films, kind):
    some = films[:2] + films[-2:]
    pixels, found = preprocessing.prepare_batch(some, 96, kind)
    backwards, _ = preprocessing.prepare_batch(some[::-1], 96, kind)
    alone = preprocessing.prepare(some[2], 96, kind)
    assert np.array_equal(pixels, backwards[::-1])
    assert np.array_equal(pixels[2], alone.pixels)
    assert found[2] == alone.found
    empty, none = preprocessing.prepare_batch([], 96, kind)
    assert (empty.shape, len(none)) == ((0, 96, 96), 0)


def test_another_process_with_more_threads_gives_the_same_bytes(film, tmp_path):
    np.save(tmp_path / "film.npy", film)
    code = """
import hashlib, sys, numpy as np, torch
from covid_synth_data.preprocessing import films as p
torch.set_num_threads(2)
for kind in p.KINDS:
    pixels = p.prepare(np.load(sys.argv[1]), 96, kind).pixels
    print(hashlib.sha256(pixels).hexdigest(), p.version(kind), torch.get_num_threads())
"""
    call = [sys.executable, "-c", code, str(tmp_path / "film.npy")]
    printed = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    for kind, line in zip(preprocessing.KINDS, printed, strict=True):
        mine = hashlib.sha256(preprocessing.prepare(film, 96, kind).pixels).hexdigest()
        assert line.split() == [mine, preprocessing.version(kind), "2"]


def test_plain_is_what_load_grey_does(film, tmp_path):
    path = tmp_path / "film.png"
    Image.fromarray(film).save(path)
    assert np.array_equal(preprocessing.prepare(load_grey(path), 100).pixels, load_grey(path, 100))


def test_colour_and_sixteen_bits_come_through_load_grey(film, tmp_path):
    rgba = Image.merge("RGBA", [Image.fromarray(film)] * 3 + [Image.new("L", film.shape[::-1], 255)])
    rgba.save(tmp_path / "rgba.png")
    spread = (film.astype(np.uint16) - film.min()) * 257
    Image.fromarray(spread).save(tmp_path / "wide.png")
    wanted = preprocessing.prepare(film, 96, "harmonised").pixels.astype(int)
    for name in ("rgba.png", "wide.png"):
        got = preprocessing.prepare(load_grey(tmp_path / name), 96, "harmonised").pixels
        assert np.abs(got - wanted).mean() < 1


# --- re-encoded -------------------------------------------------------------------------------------------


def test_a_film_and_its_copy_in_a_release_become_alike():
    """The trace of a codec tells the copy from the film before, and hardly afterwards."""
    whole = [phantom.draw("normal", 512, 0, seed, 0) for seed in range(8)]
    released = [load_grey(encode_image(resize(film, 256), "webp", 90)) for film in whole]

    def differ(kind):
        first, second = (preprocessing.prepare_batch(films, 224, kind)[0] for films in (whole, released))
        return np.abs(first.astype(int) - second).mean()

    assert differ("re-encoded") < differ("plain") / 2


def test_it_is_what_a_release_would_show(film):
    stored = load_grey(encode_image(resize(film, 256), "webp", 90))
    found = preprocessing.prepare(film, 96, "re-encoded")
    assert found.found
    assert np.array_equal(found.pixels, resize(stored, 96))
    assert not np.array_equal(found.pixels, preprocessing.prepare(film, 96).pixels)


# --- versions and errors ----------------------------------------------------------------------------------


def test_versions_change_with_the_rules_and_the_weights(monkeypatch, tmp_path):
    before = {kind: preprocessing.version(kind) for kind in preprocessing.KINDS}
    assert len(set(before.values())) == len(preprocessing.KINDS)
    assert all(value.startswith(f"{kind}-") for kind, value in before.items())
    monkeypatch.setattr(harmonise, "CUT", 0.09)
    after = {kind: preprocessing.version(kind) for kind in preprocessing.KINDS}
    assert [kind for kind in before if before[kind] != after[kind]] == ["harmonised", "lungs"]
    monkeypatch.undo()
    card = json.loads(lung_weights.WEIGHTS.with_suffix(".json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    other = lung_weights.read_card(tmp_path / "other.safetensors")
    monkeypatch.setattr(lung_weights, "read_card", lambda: other)
    changed = {kind: preprocessing.version(kind) for kind in preprocessing.KINDS}
    assert [kind for kind in before if before[kind] != changed[kind]] == ["lungs"]


def test_every_constant_counts_in_the_version():
    """A constant that is added and forgotten in `settings` would leave stale films in a cache."""
    for module in (harmonise, sharpness, lungs, re_encode):
        names = {name for name in vars(module) if name.isupper() and not name.startswith("_")}
        assert {name.lower() for name in names - {"WEIGHTS", "WIDTHS"}} == set(module.settings())


def test_unknown_kinds_and_wrong_arrays_are_refused(film):
    with pytest.raises(UnknownName, match="did you mean 'harmonised'"):
        preprocessing.prepare(film, 64, "harmonized")
    with pytest.raises(UnknownName, match="preprocessing"):
        preprocessing.version("lung")
    with pytest.raises(UnknownName):
        preprocessing.prepare_batch([], 64, "grey")
    for wrong in (film.astype(np.float32), np.stack([film, film]), np.empty((0, 5), np.uint8)):
        with pytest.raises(BadImage, match="uint8 \\(height, width\\)"):
            preprocessing.prepare(wrong, 64, "harmonised")
