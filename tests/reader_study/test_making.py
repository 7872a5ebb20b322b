"""What is in a page and its key, and what must not be."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from covid_synth_data import reader_study
from covid_synth_data.errors import ConfigError, LeakError, UnknownName
from tests.reader_study.conftest import PAIRS
from tests.support import film


def pairs_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    return json.loads(found[1])


def decode(url):
    head, content = url.split(",")
    assert head == "data:image/png;base64"
    return base64.b64decode(content)


def test_every_film_looks_the_same_from_outside(study):
    data = pairs_of(study.page)
    films = [decode(pair[side]) for pair in data["pairs"] for side in ("left", "right")]
    assert len(films) == 2 * PAIRS
    assert len({len(film) for film in films}) == 1
    images = [Image.open(io.BytesIO(film)) for film in films]
    assert {(image.format, image.mode, image.size) for image in images} == {("PNG", "L", (64, 64))}
    assert all(not image.info for image in images)
    assert len(set(films)) == len(films)


def test_the_key_is_true_and_the_page_does_not_tell(study):
    text, data, key = study.page.read_text(), pairs_of(study.page), study.key
    assert data["study"] == key["study"]
    assert [set(pair) for pair in data["pairs"]] == [{"id", "left", "right"}] * PAIRS
    for shown, pair in zip(data["pairs"], key["pairs"], strict=True):
        assert shown["id"] == pair["id"]
        for side in ("left", "right"):
            name = pair["real_film"] if side == pair["real"] else pair["synthetic_film"]
            folder = study.folder / ("real" if side == pair["real"] else "made")
            expected = np.asarray(
                Image.open(folder / name).convert("L").resize((64, 64), reducing_gap=3.0, resample=2)
            )
            seen = np.asarray(Image.open(io.BytesIO(decode(shown[side]))))
            assert np.array_equal(seen, expected), name
        assert pair["real_film"] not in text
        assert pair["synthetic_film"] not in text
    assert str(study.folder) not in text
    assert '"seed"' not in text


def test_no_address_of_another_machine(study):
    text = re.sub(r'"data:[^"]*"', '""', study.page.read_text())
    assert not re.search(r"https?://|url\(|@import|<link|src=\"(?!\")", text)
    assert "default-src 'none'" in text


def test_the_same_arguments_give_the_same_bytes(make):
    first, again, other = make("a.html"), make("b.html"), make("c.html", seed=1)
    assert first.page.read_bytes() == again.page.read_bytes()
    assert first.key_path.read_bytes() == again.key_path.read_bytes()
    assert first.key["study"] != other.key["study"]


def test_sides_of_one_study_say_nothing_of_another_with_the_same_seed(make):
    sides = {
        tuple(pair["real"] for pair in make(f"{n}.html", pairs=n).key["pairs"][:5]) for n in range(5, 11)
    }
    assert len(sides) > 1


def test_each_side_is_a_throw_of_a_coin(make):
    lefts = [
        pair["real"] == "left" for seed in range(20) for pair in make(f"{seed}.html", seed=seed).key["pairs"]
    ]
    assert 35 < sum(lefts) < 85  # of 120; outside of this once in 100,000 times


def test_copies_are_shown_once(make, tmp_path):
    made = make  # the folders are there
    for number in range(12):
        shutil.copy(tmp_path / "real" / "r-0.png", tmp_path / "real" / f"copy-{number}.png")
    key = made(pairs=12).key
    assert len({pair["real_film"] for pair in key["pairs"]}) == 12
    copies = [p["real_film"] for p in key["pairs"] if p["real_film"].startswith(("copy", "r-0"))]
    assert len(copies) == 1


def test_real_films_are_never_enlarged(make, tmp_path):
    for number in range(5):
        film(tmp_path / "real" / f"tiny-{number}.png", 500 + number, side=40)
    key = make(pairs=12).key
    assert not [pair for pair in key["pairs"] if pair["real_film"].startswith("tiny")]
    assert make("small.html", size=40, pairs=12).key["size"] == 40


def test_phantoms_and_a_release(world, tmp_path):
    page, key = reader_study.make(["phantom"], "gnc", tmp_path / "study.html", pairs=4, release=world.release)
    names = [pair["real_film"] for pair in json.loads(key.read_text())["pairs"]]
    assert all(name.startswith("phantom/covid-19-") for name in names)
    assert len({name.rpartition("-")[0] for name in names}) == 4  # patients
    assert "drawn phantoms" in page.read_text()
    assert "films of real people" not in page.read_text()


def test_a_task_gives_films_that_no_generator_saw(world, tmp_path):
    _, key = reader_study.make(
        ["normal-vs-covid"], "gnc", tmp_path / "study.html", pairs=1, release=world.release, root=world.root
    )
    import covid_synth_data as csd

    test = csd.load_task("normal-vs-covid", world.root)["test"]["image_id"]
    assert json.loads(key.read_text())["pairs"][0]["real_film"] in set(test)


def test_a_page_with_real_films_says_so(study):
    assert "films of real people" in study.page.read_text()


def test_real_films_never_enter_a_repository(make, tmp_path):
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    with pytest.raises(ConfigError, match="does not belong in a repository"):
        make("repo/deep/study.html")
    assert not (tmp_path / "repo" / "deep").exists()
    (tmp_path / "link").symlink_to(tmp_path / "repo")
    with pytest.raises(ConfigError, match="does not belong in a repository"):
        make("link/study.html")


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"pairs": 13}, ConfigError, "too few synthetic films .* found 12 different ones; expected 13"),
        ({"pairs": 0}, ConfigError, "no such study"),
        ({"real": []}, ConfigError, "no such study"),
        ({"seed": -1}, ConfigError, "no such study"),
        ({"size": 65}, ConfigError, "found 65; expected 32 to 64"),
        ({"size": 8}, ConfigError, "found 8; expected 32 to 64"),
        ({"real": ["normal-vs-covit"]}, UnknownName, "did you mean 'normal-vs-covid'"),
        ({"part": "tset"}, UnknownName, "did you mean 'test'"),
        ({"synthetic": "wgam"}, UnknownName, "did you mean 'wgan'"),
        ({"name": "study.json"}, ConfigError, "ends in .html"),
    ],
)
def test_what_cannot_be_made(make, tmp_path, changes, error, text):
    with pytest.raises(error, match=text):
        make(**changes)
    assert not list(tmp_path.glob("study*"))


def test_the_same_folder_on_both_sides(make, tmp_path):
    with pytest.raises(LeakError, match="real and synthetic at once"):
        make(real=[str(tmp_path / "made")], pairs=12)


def test_a_damaged_film_is_named(make, tmp_path, shell):
    for path in (tmp_path / "real").iterdir():
        path.write_bytes(b"no image")
    done = shell(
        "reader-study",
        "make",
        "--real",
        tmp_path / "real",
        "--synthetic",
        tmp_path / "made",
        "--pairs",
        3,
        "-o",
        tmp_path / "study.html",
    )
    done.error("cannot decode r-")
    assert not (tmp_path / "study.html").exists()


def test_the_command(make, tmp_path, shell):
    done = shell(
        "reader-study",
        "make",
        "--real",
        tmp_path / "real",
        "--synthetic",
        tmp_path / "made",
        "--pairs",
        3,
        "-o",
        tmp_path / "study.html",
    )
    assert done.code == 0
    assert "key, to be kept from them" in done.out
    assert len(json.loads((tmp_path / "study.key.json").read_text())["pairs"]) == 3
