"""The page of a release, its text and in a real browser: filters, keys, lineage, pairs, masks, neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covid_synth_data.errors import ConfigError, UnknownName
from covid_synth_data.explore import reading, sheets, write_page
from covid_synth_data.release import manifest
from tests.explore.conftest import ODD
from tests.support import tree

CONTRAST = (Path(__file__).parents[1] / "contrast.js").read_text()


@pytest.fixture(scope="module")
def html(release, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explore.html"
    assert write_page(release, path) == 280
    return path


@pytest.fixture
def page(browser, html):
    with browser.page() as page:
        page.open(html)
        yield page
        assert page.complaints() == []
        assert page.requests() == []


def test_the_command_writes_a_page(shell, release, tmp_path) -> None:
    before = tree(release)
    done = shell("explore", release, "-o", tmp_path / "e.html", "--config", "one", "--limit", 7)
    assert "7 images in" in done.out
    assert "<script src" not in (tmp_path / "e.html").read_text()
    assert tree(release) == before


def test_mistakes(shell, release, tmp_path) -> None:
    out = tmp_path / "e.html"
    shell("explore", release, "-o", out, "--config", "onn").error("did you mean 'one'")
    shell("explore", tmp_path, "-o", out).error("is not a release")
    assert not out.exists()


def test_too_many_images_are_refused_before_any_is_read(release, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reading, "MAX_IMAGES", 100)
    with pytest.raises(ConfigError, match="add --limit 100"):
        write_page(release, tmp_path / "e.html")
    assert write_page(release, tmp_path / "e.html", limit=100) == 100


def test_a_limit_takes_rows_at_even_distances(release) -> None:
    listed = manifest.read(release)
    rows = reading.read(release, listed, ["one"], 3)
    assert rows.columns["image_id"] == ["one-id-0", "one-id-14", "one-id-29"]
    assert rows.columns["label"] == ["normal", "covid-19", "covid-19"]
    with pytest.raises(UnknownName):
        reading.read(release, listed, ["three"])


def test_thumbnails_lie_on_their_sheets_in_order() -> None:
    pictures = np.arange(300, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    first = sheets._sheet(pictures[:256])
    assert first.shape == (64, 64)
    assert first[4 * 3, 4 * 5] == 3 * 16 + 5
    last = sheets._sheet(pictures[256:])
    assert last.shape == (3 * 4, 64)
    assert (last[8, 4 * 11], last[8, 4 * 12]) == (299 % 256, 0)
    assert len(sheets.of_images(pictures)) == 2


def test_the_nearest_neighbour_is_the_same_film_in_other_tones() -> None:
    films = np.random.default_rng(0).integers(0, 200, (9, 64, 64), dtype=np.uint8)
    films[7] = films[2] // 2 + 40
    films[8] = 90  # correlates with nothing
    found, percent = sheets.alike(reading.Rows({}, films, {}))
    assert (found[2, 0], found[7, 0]) == (7, 2)
    assert percent[2, 0] >= 99 > 80 > percent[2, 1]
    assert 2 not in found[2]
    assert found.shape == (9, 6)
    one = sheets.alike(reading.Rows({}, films[:1], {}))
    assert one[0].shape == (1, 0)


def test_filters_and_composition(page) -> None:
    assert page.text("#shown") == "280 of 280 images"
    assert page.text("#where") == "page 1 of 2"
    assert page.count(".tile") == 240
    page.choose("#filter-subset", "one")
    assert page.text("#shown") == "30 of 280 images"
    assert page.text("#skew") == "skew (negatives / positives): 2.00"
    page.choose("#filter-label", "covid-19")
    assert page.text("#shown") == "10 of 280 images"
    page.choose("#filter-source_license", "CC0 1.0")
    assert page.text("#shown") == "5 of 280 images"
    page.choose("#search", "film-1")  # film-11 and film-14
    assert page.text("#shown") == "2 of 280 images"
    page.choose("#filter-label", "normal")
    assert "no positives" in page.text("#skew")
    page.choose("#search", "no such film")
    assert page.count(".tile") == 0
    assert page.js("document.getElementById('filter-pattern')") is None  # no column of patterns


def test_by_keys_alone(page) -> None:
    page.js("document.querySelector('.tile').focus()")
    page.press("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "Enter")
    across = page.js(
        "(() => { const t = [...document.querySelectorAll('#grid .tile')];"
        " return t.filter((e) => e.offsetTop === t[0].offsetTop).length; })()"
    )
    assert page.text("#name") == f"one-id-{1 + across}"
    page.press("ArrowRight")
    assert page.text("#name") == f"one-id-{2 + across}"
    page.press("Escape")
    assert page.js("document.getElementById('detail').open") is False
    assert page.js("document.activeElement.dataset.row") == str(2 + across)
    page.press("Enter", "ArrowLeft")
    page.js("document.getElementById('detail').close()")  # as a gesture does, without a key
    page.until(f"document.activeElement.dataset.row === '{1 + across}'")
    page.press("n")
    assert page.text("#where") == "page 2 of 2"
    assert page.count(".tile") == 40
    page.press("n", "p")
    assert page.text("#where") == "page 1 of 2"


def test_a_row_shows_lineage_source_and_neighbours(page) -> None:
    page.click('[data-row="4"]')
    lineage = page.text("#lineage")
    for text in ("one-id-4", "some-set", "film-2", "pneumonia", "CC BY 4.0", ODD):
        assert text in lineage
    assert page.text("#related h3") == "Made from the same real film"
    assert page.count("#related .strip:nth-of-type(1) .tile") == 3  # its sister, and two of the other config
    page.click("#related .tile")
    assert page.text("#name") == "one-id-5"
    assert page.count("#mask-choice") == 0


def test_odd_strings_are_text(page, html) -> None:
    assert page.js("document.images.length") == 0
    assert page.js("document.querySelectorAll('script').length") == 4
    page.click('[data-row="0"]')
    assert page.js("document.querySelector('#lineage').innerHTML.includes('<img')") is False
    assert "<img src=x" not in html.read_text()


def test_the_right_thumbnail_is_drawn(page, release, tmp_path) -> None:
    from PIL import Image

    rows = reading.read(release, manifest.read(release))
    for row in (0, 17, 257, 279):
        page.js(f"document.querySelector('[data-row=\"{row}\"]') || document.getElementById('on').click()")
        page.js(f"document.querySelector('[data-row=\"{row}\"]').click()")
        box = page.js(
            "(() => { const r = document.getElementById('large').getBoundingClientRect();"
            " return [r.x, r.y, r.right, r.bottom]; })()"
        )
        wanted = np.asarray(Image.fromarray(rows.thumbnails[row]).resize((16, 16))).ravel()

        def drawn(box=box, wanted=wanted) -> bool:
            shot = Image.open(page.screenshot(tmp_path / "shot.png")).convert("L").crop(box).resize((16, 16))
            return np.corrcoef(np.asarray(shot).ravel(), wanted)[0, 1] > 0.95

        page.until(drawn)
        page.press("Escape")


def test_pairs_and_masks(browser, pairs, tmp_path) -> None:
    from PIL import Image

    write_page(pairs, tmp_path / "pairs.html")
    with browser.page() as page:
        page.open(tmp_path / "pairs.html")
        assert page.count("#filter-pattern") == 1
        page.choose("#filter-pattern", "covid-19")
        assert page.text("#shown") == "4 of 8 images"
        page.click('[data-row="3"]')
        assert page.text("#related h3") == "Pair"
        assert page.js("document.querySelector('#related .tile').dataset.row") == "2"
        box = page.js(
            "(() => { const r = document.getElementById('large').getBoundingClientRect();"
            " return [r.x, r.y, r.right, r.bottom]; })()"
        )

        def redness() -> tuple[float, float]:
            colours = np.asarray(
                Image.open(page.screenshot(tmp_path / "m.png")).convert("RGB").crop(box), int
            )
            red = colours[..., 0] - colours[..., 2]
            half = len(red) // 2
            return red[: half - 9, : half - 9].mean(), red[half + 9 :, half + 9 :].mean()

        page.until(lambda: redness()[0] > 60)
        assert abs(redness()[1]) < 5
        page.press("m")
        page.until(lambda: abs(redness()[0]) < 5)
        assert page.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_and_in_the_dark(browser, html, dark) -> None:
    with browser.page(375, 700, dark) as page:
        page.open(html)
        assert page.overflow() <= 0
        assert page.js(CONTRAST) == []
        page.click('[data-row="1"]')
        assert page.overflow() <= 0
        assert page.js("document.getElementById('detail').getBoundingClientRect().width") <= 375
        assert page.js(CONTRAST) == []
        page.click("#close")
        assert page.js("document.getElementById('detail').open") is False
