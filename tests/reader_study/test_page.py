"""The page in a real browser: keys, clicks, going on later, export, and the score of what was exported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from covid_synth_data import reader_study
from tests.reader_study.conftest import PAIRS


@pytest.fixture
def page(browser, study):
    with browser.page() as page:
        page.open(study.page)
        yield page
        assert page.complaints() == []
        assert page.requests() == []


def begin(page, code="AB"):
    page.click("#reader")
    page.type(code)
    page.press("Enter")


def keys_for(study):
    """A key for each pair that is right."""
    return ["f" if pair["real"] == "left" else "j" for pair in study.key["pairs"]]


def test_answered_by_keys_exported_and_scored(page, study, tmp_path):
    begin(page)
    arrows = {"f": "ArrowLeft", "j": "ArrowRight"}
    for number, key in enumerate(keys_for(study)):
        assert page.text("#where") == f"Pair {number + 1} of {PAIRS}"
        page.press(*((key, "3") if number % 2 else (arrows[key], "Enter")))
    assert page.text("#finished") == "Finished"
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    page.downloads_to(downloads)
    page.click("#download")
    path = downloads / "answers-AB.json"
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    content = json.loads(path.read_text())
    assert content == json.loads(page.js("document.getElementById('json').value"))
    assert [answer["confidence"] for answer in content["answers"]] == [None, 3] * (PAIRS // 2)
    assert all(answer["seconds"] >= 0 for answer in content["answers"])
    (reader,) = reader_study.score([path], study.key_path).readers
    assert (reader.reader, reader.accuracy.count) == ("AB", PAIRS)


def test_answered_wrongly_is_scored_so(page, study, tmp_path):
    begin(page)
    for key in keys_for(study):
        page.press("j" if key == "f" else "f", "Enter")
    path = tmp_path / "answers.json"
    path.write_text(page.js("document.getElementById('json').value"))
    assert reader_study.score([path], study.key_path).readers[0].accuracy.count == 0


def test_nothing_goes_on_without_an_answer(page):
    begin(page)
    for key in ("Enter", "n", "2"):
        page.press(key)
        assert page.text("#where") == f"Pair 1 of {PAIRS}"
        assert "First choose" in page.text("#status")


def test_back_and_another_choice(page):
    begin(page)
    page.press("f", "Enter", "b")
    assert page.text("#where") == f"Pair 1 of {PAIRS}"
    assert page.js("document.getElementById('left').ariaPressed") == "true"
    assert "real" in page.text("#left-mark")  # not by colour alone
    page.press("j")
    assert page.js("document.getElementById('left').ariaPressed") == "false"
    assert "Right film chosen" in page.text("#status")
    page.press("b", "b")
    assert page.text("#where") == f"Pair 1 of {PAIRS}"


def test_with_the_mouse(page):
    begin(page)
    for number in range(PAIRS):
        page.click("#left" if number % 2 else "#right")
        page.click('[data-level="1"]')
    answers = json.loads(page.js("document.getElementById('json').value"))["answers"]
    assert [answer["real"] for answer in answers] == ["right", "left"] * (PAIRS // 2)


def test_with_tab_and_enter_alone(page):
    page.press("Tab")
    assert page.js("document.activeElement.id") == "reader"
    page.type("T")
    page.press("Enter")
    assert page.js("document.activeElement.id") == "where"
    page.press("Tab")
    assert page.js("document.activeElement.id") == "left"
    page.press("Enter")
    assert page.js("document.activeElement.id") == "next"
    page.press("Enter")
    assert page.text("#where") == f"Pair 2 of {PAIRS}"


def test_going_on_later(page, study):
    begin(page, "CD")
    page.press("f", "2", "j", "Enter")
    page.reload()
    assert page.js("document.getElementById('reader').value") == "CD"
    assert f"2 of {PAIRS} answered" in page.text("#begin")
    page.click("#begin")
    assert page.text("#where") == f"Pair 3 of {PAIRS}"
    for _ in range(PAIRS - 2):
        page.press("f", "Enter")
    answers = json.loads(page.js("document.getElementById('json').value"))["answers"]
    assert [answers[0]["real"], answers[0]["confidence"], answers[1]["real"]] == ["left", 2, "right"]


def test_erasing_takes_two_presses(page):
    begin(page)
    page.press("f", "Enter")
    page.reload()
    page.click("#erase")
    assert f"1 of {PAIRS}" in page.text("#begin")
    page.click("#erase")
    assert page.text("#begin") == "Begin"
    page.reload()
    assert page.text("#begin") == "Begin"


def test_time_off_the_screen_does_not_count(page):
    before = page.js("performance.now()")
    begin(page)
    page.js("new Promise(done => setTimeout(done, 300))")
    page.press("f", "Enter")
    shown = page.js("performance.now()") - before
    page.js(f"new Promise(done => setTimeout(done, {shown}))")
    stored = page.js("Object.values(localStorage)[0]")
    first = next(iter(json.loads(stored)["answers"].values()))
    assert 0.3 <= first["seconds"] <= shown / 1000


def test_letters_in_the_code_are_no_answers(page):
    page.click("#reader")
    page.press("f", "j", "b", "1")
    assert page.count("#pair") == 0
    assert page.js("document.getElementById('reader').value") == "fjb1"


def test_a_code_is_needed(page):
    page.click("#begin")
    assert page.count("#intro") == 1


def test_two_studies_keep_apart(browser, make):
    first, second = make("a.html"), make("b.html", seed=3)
    with browser.page() as page:
        page.open(first.page)
        begin(page)
        page.press("f", "Enter")
        page.open(second.page)
        assert page.text("#begin") == "Begin"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_films_are_square_and_nothing_sticks_out(browser, study, width, dark):
    with browser.page(width, 844, dark=dark) as page:
        page.open(study.page)
        assert page.overflow() == 0
        begin(page)
        assert page.overflow() == 0
        for side in ("left", "right"):
            box = page.js(
                f"(r => [r.width, r.height])(document.getElementById('{side}-film').getBoundingClientRect())"
            )
            assert box[0] == pytest.approx(box[1])
            assert box[0] >= 150
        page.press(*["f", "Enter"] * PAIRS)
        assert page.overflow() == 0


def test_what_a_screen_reader_is_told(page):
    begin(page)
    names = page.names()
    for wanted in [
        ("main", ""),
        ("heading", f"Pair 1 of {PAIRS}"),
        ("button", "Left film is real"),
        ("button", "Right film is real"),
        ("image", "Left film"),
        ("image", "Right film"),
        ("progressbar", "pairs answered"),
        ("group", "How sure are you? (optional)"),
        ("status", ""),
    ]:
        assert wanted in names, wanted


def test_contrast(page):
    """Text against its ground at 4.5 or more, in both schemes."""
    code = Path(__file__).parents[1].joinpath("contrast.js").read_text()
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        assert page.js(code) == []
    begin(page)
    page.press("f")
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        assert page.js(code) == []
