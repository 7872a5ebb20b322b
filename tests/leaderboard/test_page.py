"""The page in a real browser: opening, sorting, filtering, by mouse, by keyboard, on a phone, read aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.leaderboard import made

CONTRAST = (Path(__file__).parents[1] / "contrast.js").read_text()
BOARD = "document.getElementById('board-{}').closest('.board')"


@pytest.fixture
def page(browser, built):
    with browser.page() as page:
        page.open(built / "leaderboard.html")
        yield page
        assert page.complaints() == []
        assert page.requests() == []


def visible(page):
    """(regime, model, films, dataset) of the rows on the screen, from top to bottom."""
    return [
        tuple(row)
        for row in page.js(
            "[...document.querySelectorAll('.row')].filter(r => r.getClientRects().length).map(r =>"
            " [r.querySelector('button').textContent, r.dataset.model, r.dataset.films, r.dataset.dataset])"
        )
    ]


def column(page, board, name):
    """The sort keys of a column of a board, from top to bottom."""
    return page.js(
        f"(() => {{ const t = {BOARD.format(board)}.querySelector('table.main');"
        f" const i = [...t.tHead.rows[0].cells].findIndex(c => c.textContent === {name!r});"
        " return [...t.querySelectorAll('.row')].map(r => r.cells[i].dataset.key); })()"
    )


def press_head(page, board, name):
    heads = f"[...{BOARD.format(board)}.querySelectorAll('[data-sort]')]"
    page.js(f"{heads}.find(b => b.textContent === {name!r}).click()")


def number_of(page, suite):
    heads = page.js("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    return 1 + next(place for place, text in enumerate(heads) if text.startswith(suite))


def test_every_row_with_its_numbers(page, rows):
    assert page.text("#shown") == f"{len(rows)} of {len(rows)} rows shown."
    assert sorted(visible(page)) == sorted(
        (r.regime, r.model, r.preprocessing, r.dataset or "") for r in rows
    )
    text = page.js("document.body.innerText")
    for row in rows:
        assert f"{row.auc.low:.3f} to {row.auc.high:.3f}" in text
        assert f"{row.suite} {row.suite_version}: {row.task}" in text
    assert "Positives and negatives come from different sources" in text


def test_a_row_opens_and_closes(page):
    assert page.count(".detail") == 0
    page.click(".row [data-toggle]")
    assert page.count(".detail") == 1
    assert page.js("document.querySelector('[data-toggle]').ariaExpanded") == "true"
    opened = page.text(".detail")
    for what in (
        "Each seed, with 95 % intervals",
        "Against the baselines",
        "Calibration",
        "Confidence",
        "Confusion matrix",
        "Trained on",
        "not corrected",
    ):
        assert what in opened, what
    assert page.count(".detail svg") == 2
    page.click(".row [data-toggle]")
    assert page.count(".detail") == 0


def test_what_a_row_opens_is_of_that_row(page, rows):
    number = number_of(page, "zunair2021")
    board = BOARD.format(number)
    buttons = f"[...{board}.querySelectorAll('[data-toggle]')]"
    page.js(f"{buttons}.find(b => b.textContent === 'synthetic-only').click()")
    text = page.text(".detail:not([hidden])")
    row = next(one for one in rows if one.regime == "synthetic-only")
    assert "Real negatives, G_NC as the only positives" in text
    assert f"{row.real_negatives} negatives, 0 covid-19" in text
    confusion = made.made("zunair2021", "synthetic-only", 0, skill=0.2).metrics.confusion
    assert text.count(f"{confusion.fn} of {confusion.fn + confusion.tp}") >= 1
    cells = page.js(
        "[...document.querySelectorAll('.detail:not([hidden]) caption')].at(-1).closest('table').innerText"
    )
    assert str(confusion.tp) in cells


def test_sorting(page):
    number = number_of(page, "zunair2021")
    before = [float(key) for key in column(page, number, "AUC")]
    assert before != sorted(before, reverse=True)  # blocks, each best first
    press_head(page, number, "AUC")
    keys = [float(key) for key in column(page, number, "AUC")]
    assert keys == sorted(keys, reverse=True)
    state = f"{BOARD.format(number)}.querySelector('[aria-sort]')"
    assert page.js(f"[{state}.ariaSort, {state}.textContent]") == ["descending", "AUC"]
    press_head(page, number, "AUC")
    keys = [float(key) for key in column(page, number, "AUC")]
    assert keys == sorted(keys)
    assert page.js(f"{state}.ariaSort") == "ascending"
    press_head(page, number, "regime")
    names = column(page, number, "regime")
    assert names == sorted(names)
    assert page.js(f"{BOARD.format(number)}.querySelectorAll('[aria-sort]').length") == 1
    assert "sorted by regime, ascending" in page.js("document.getElementById('sorted').textContent")


def test_rows_without_a_number_stand_last_in_either_order(page):
    number = number_of(page, "zunair2021")
    for _ in range(2):
        press_head(page, number, "gain in AUC")
        keys = column(page, number, "gain in AUC")
        assert keys[-1] == ""
        assert "" not in keys[:-1]


def test_an_open_row_stays_with_its_detail(page):
    number = number_of(page, "quickstart")
    board = BOARD.format(number)
    page.js(f"[...{board}.querySelectorAll('[data-toggle]')].find(b => b.textContent === 'mixed').click()")
    for name in ("AUC", "AUC", "regime", "skew"):
        press_head(page, number, name)
        pairs = page.js(
            f"[...{board}.querySelectorAll('.row')].map(r =>"
            " [r.querySelector('button').getAttribute('aria-controls'), r.nextElementSibling.id])"
        )
        assert all(wanted == there for wanted, there in pairs)
    assert page.count(".detail") == 1


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("films", "harmonised", "preprocessing"),
        ("model", "vgg19", "model"),
        ("task", "covid-vs-other", "task"),
    ],
)
def test_filtering(page, rows, name, value, field):
    page.choose(f"select[name={name}]", value)
    wanted = [row for row in rows if getattr(row, field) == value]
    assert sorted(visible(page)) == sorted(
        (r.regime, r.model, r.preprocessing, r.dataset or "") for r in wanted
    )
    assert page.text("#shown") == f"{len(wanted)} of {len(rows)} rows shown."
    page.click("#reset")
    assert page.text("#shown") == f"{len(rows)} of {len(rows)} rows shown."


def test_baselines_stay_beside_the_datasets_they_belong_to(page, rows):
    page.choose("select[name=dataset]", "covid-synth-cxr 1.0.0")
    shown = visible(page)
    assert ("real", "lite0-frozen", "plain", "") in shown
    assert sum(dataset != "" for *_, dataset in shown) == sum(row.dataset is not None for row in rows)
    page.choose("select[name=suite]", "zunair2021 3.0.0")
    assert {model for _, model, _, _ in visible(page)} == {"lite0-frozen", "resnet50"}


def test_a_filter_that_fits_nothing(page):
    page.choose("select[name=suite]", "quickstart 3.0.0")
    page.choose("select[name=films]", "harmonised")
    assert visible(page) == []
    assert page.text("#shown").startswith("0 of")
    assert page.count(".board") == 0


def test_a_hidden_row_comes_back_as_it_was(page):
    page.click(".row [data-toggle]")
    page.choose("select[name=task]", "covid-vs-other")
    assert page.count(".detail") == 0
    page.click("#reset")
    assert page.count(".detail") == 1


def test_by_keyboard_alone(page):
    page.press("Tab")
    assert page.js("document.activeElement.textContent") == "To the filters"
    for _ in range(40):
        page.press("Tab")
        if page.js("document.activeElement.hasAttribute('data-sort')"):
            break
    assert page.js("document.activeElement.matches(':focus-visible')")
    page.press("Enter")
    assert page.js("document.activeElement.closest('th').ariaSort") == "ascending"
    for _ in range(40):
        page.press("Tab")
        if page.js("document.activeElement.hasAttribute('data-toggle')"):
            break
    page.press(" ")
    assert page.js("document.activeElement.ariaExpanded") == "true"
    style = "getComputedStyle(document.activeElement)"
    assert page.js(f"[{style}.outlineStyle, parseFloat({style}.outlineWidth) >= 2]") == ["solid", True]


def test_what_a_screen_reader_is_told(page):
    page.click(".row [data-toggle]")
    names = page.names()
    roles = [role for role, _ in names]
    assert roles.count("table") >= page.count(".board")
    for wanted in [("main", ""), ("columnheader", "AUC"), ("button", "AUC"), ("combobox", "Suite")]:
        assert wanted in names, wanted
    assert any(role == "rowheader" and "baseline" in name for role, name in names)
    assert any(role == "image" and name.startswith("Reliability diagram") for role, name in names)
    assert any(role == "image" and name.startswith("Confidence histogram") for role, name in names)
    for role, name in names:
        assert name or role not in ("button", "link", "combobox", "image"), role


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1600])
def test_nothing_sticks_out(browser, built, width, dark):
    with browser.page(width, 844, dark=dark) as page:
        page.open(built / "leaderboard.html")
        assert page.overflow() == 0
        page.js("document.querySelectorAll('[data-toggle]').forEach(b => b.click())")
        page.js("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.overflow() == 0
        assert page.js(CONTRAST) == []
        assert page.complaints() == []


def test_on_a_phone_the_main_table_needs_no_scrolling(browser, built):
    with browser.page(390, 844) as page:
        page.open(built / "leaderboard.html")
        assert page.js("[...document.querySelectorAll('.frame')].every(f => f.scrollWidth <= f.clientWidth)")
        heads = page.js(
            "[...document.querySelector('table.main').tHead.rows[0].cells]"
            ".filter(c => c.getClientRects().length).map(c => c.textContent)"
        )
        assert heads == ["regime", "AUC", "SE@SP 0.90", "gain in AUC"]
        assert page.js("Math.min(...[...document.querySelectorAll('select')].map(s => s.offsetHeight)) >= 40")


def test_without_scripts_everything_is_there(browser, built, rows):
    with browser.page() as page:
        page.send("Emulation.setScriptExecutionDisabled", value=True)
        page.open(built / "leaderboard.html")
        page.send("Emulation.setScriptExecutionDisabled", value=False)
        assert page.count(".detail") == len(rows)


def test_a_gain_is_not_told_by_colour_alone(page):
    marks = page.js("[...document.querySelectorAll('.up, .down')].map(m => [m.className, m.textContent])")
    assert {kind for kind, _ in marks} == {"up", "down"}
    assert all(("▲" in text and "+" in text) == (kind == "up") for kind, text in marks)
