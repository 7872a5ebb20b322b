"""Changed films: what is left of them, and what is gone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from covid_synth_data.benchmark.explain import changes
from covid_synth_data.errors import ConfigError
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.preprocessing import lung_shapes, lungs
from covid_synth_data.sources import phantom

SIDE = 96
WHOLE = phantom.draw("covid-19", 160, 77, 1, 1)
LUNGS = phantom.lung_mask("covid-19", 160, 77, 1, 1) > 0.5


def seen(whole=WHOLE):
    film = preprocessing.prepare(whole, SIDE).pixels
    mask = np.asarray(Image.fromarray(LUNGS).resize((SIDE, SIDE)))
    return changes.Seen(film, mask, whole)


def changed(name, one=None):
    return changes.CHANGES[name].apply(one or seen())


@pytest.mark.parametrize("name", list(changes.CHANGES))
def test_each_change_gives_a_film_of_the_same_form_and_leaves_its_input(name):
    one = seen()
    before = one.film.copy()
    film = changed(name, one)
    assert (film.shape, film.dtype) == ((SIDE, SIDE), np.uint8)
    assert np.array_equal(one.film, before)
    assert (name == "whole") == np.array_equal(film, before)


def test_what_is_taken_away_leaves_no_trace():
    one = seen()
    other = changes.Seen(np.where(one.lungs, 255 - one.film, one.film).astype(np.uint8), one.lungs, one.whole)
    assert not np.array_equal(one.film, other.film)
    # The lungs of the two films differ and nothing else does.
    for name in ("borders", "outside-lungs"):
        assert np.array_equal(changed(name, one), changed(name, other))
    assert not np.array_equal(changed("lungs", one), changed("lungs", other))
    frame = np.ones((SIDE, SIDE), bool)
    frame[6:-6, 6:-6] = False
    marked = changes.Seen(np.where(frame, 255, one.film).astype(np.uint8), one.lungs, one.whole)
    assert np.array_equal(changed("lungs", one), changed("lungs", marked))
    assert (changed("borders", marked)[frame] == 255).all()
    assert (changed("borders", marked)[~frame] == changes.BLANK).all()


def test_the_margin_goes_with_the_lungs():
    one = changes.Seen(np.zeros((SIDE, SIDE), np.uint8), seen().lungs, WHOLE)
    blank = changed("outside-lungs", one) == changes.BLANK
    assert blank[one.lungs].all()
    distance = ndimage.distance_transform_edt(~one.lungs)
    assert np.array_equal(blank, distance <= SIDE * 3 / 64)


def test_an_outline_tells_nothing_of_the_pixels():
    one, film = seen(), changed("outline")
    assert set(np.unique(film)) == {changes.LUNG_GREY, changes.BLANK}
    assert np.array_equal(film == changes.LUNG_GREY, one.lungs)


def test_a_thumbnail_has_the_means_of_the_film_alone():
    one = seen()
    cell = SIDE // changes.THUMBNAIL
    cells = one.film.reshape(8, cell, 8, cell).transpose(0, 2, 1, 3).reshape(8, 8, -1)
    shuffled = np.random.default_rng(0).permuted(cells, axis=2).reshape(8, 8, cell, cell)
    other = changes.Seen(shuffled.transpose(0, 2, 1, 3).reshape(SIDE, SIDE), one.lungs, one.whole)
    assert np.array_equal(changed("thumbnail", one), changed("thumbnail", other))
    inverted = changes.Seen(255 - one.film, one.lungs, one.whole)
    assert not np.array_equal(changed("thumbnail", one), changed("thumbnail", inverted))


def test_grey_levels_keep_the_histogram_and_no_place():
    one = seen()
    shuffled = np.random.default_rng(1).permutation(one.film.ravel()).reshape(SIDE, SIDE)
    film = changed("grey-levels", one)
    assert np.array_equal(
        np.bincount(film.ravel(), minlength=256), np.bincount(one.film.ravel(), minlength=256)
    )
    assert np.array_equal(film, changed("grey-levels", changes.Seen(shuffled, one.lungs, one.whole)))


def test_an_even_tone_is_the_same_for_every_rising_tone_curve():
    one = seen()
    levels = np.unique(one.film)
    curve = np.zeros(256)
    curve[levels] = np.sort(np.random.default_rng(2).choice(256, len(levels), replace=False))
    other = changes.Seen(curve[one.film].astype(np.uint8), one.lungs, one.whole)
    assert np.array_equal(changed("even-tone", one), changed("even-tone", other))


def test_harmonised_is_the_preprocessing_of_that_name():
    assert np.array_equal(changed("harmonised"), preprocessing.prepare(WHOLE, SIDE, "harmonised").pixels)


@pytest.mark.parametrize("kind", ["plain", "re-encoded", "harmonised"])
def test_the_outline_lies_on_the_prepared_film(kind, monkeypatch):
    """A film with black lungs in a white frame: the darkest pixels of the prepared film are the lungs."""
    noise = np.random.default_rng(3).integers(150, 250, LUNGS.shape)
    whole = np.where(LUNGS, 0, noise).astype(np.uint8)
    whole = np.pad(whole, ((10, 0), (0, 24)), constant_values=255)
    mask = np.asarray(Image.fromarray(LUNGS).resize((128, 128)))
    monkeypatch.setattr(lungs, "find", lambda grey: lung_shapes.Fields(mask, True))
    outline = changes.outline(whole, SIDE, kind)
    film = preprocessing.prepare(whole, SIDE, kind).pixels
    dark = film <= np.quantile(film, outline.mean())
    assert 2 * (outline & dark).sum() / (outline.sum() + dark.sum()) > 0.93
    monkeypatch.setattr(lungs, "find", lambda grey: lung_shapes.Fields(mask, False))
    assert not changes.outline(whole, SIDE, kind).any()


def test_films_of_lungs_alone_are_refused_and_harmonised_ones_are_not_harmonised_again():
    with pytest.raises(ConfigError, match="lungs alone cannot be probed"):
        changes.names("lungs")
    assert set(changes.names("plain")) - set(changes.names("harmonised")) == {"harmonised"}
