"""Scores against numbers worked out elsewhere, and every way in which answers can be wrong."""

from __future__ import annotations

import json
import math

import pytest

from covid_synth_data import reader_study
from covid_synth_data.errors import ResultError
from covid_synth_data.reader_study import scoring
from tests.reader_study.conftest import PAIRS


def test_the_radiologists_of_the_paper(make, tmp_path):
    for number in range(30):
        from tests.support import film

        film(tmp_path / "real" / f"more-{number}.png", 300 + number, side=80)
        film(tmp_path / "made" / f"more-{number}.png", 400 + number, side=64)
    study = make(pairs=25)
    files = [study.write(study.answers(25, name), f"{name}.json") for name in ("one", "two")]
    found = reader_study.score(files, study.key_path)
    for reader in found.readers:
        assert reader.p_value == pytest.approx(2 * 0.5**25)
        # With all of n right the lower limit is (alpha / 2) ** (1 / n).
        assert (reader.accuracy.low, reader.accuracy.high) == (pytest.approx(0.025 ** (1 / 25)), 1.0)
        assert reader.confusion.real_called_real == reader.confusion.synthetic_called_synthetic == 25
    assert found.pooled.p_value == pytest.approx(2 * 0.5**50)
    assert found.pooled.agreement.value == 1
    assert (found.pooled.all_right, found.pooled.all_wrong) == (25, 0)
    assert "not independent" in found.pooled.note


def test_one_reader(study):
    found = reader_study.score([study.write(study.answers(4))], study.key_path)
    (reader,) = found.readers
    assert (reader.accuracy.count, reader.accuracy.n) == (4, PAIRS)
    # Four or more of six, twice: (15 + 6 + 1) / 64 * 2.
    assert reader.p_value == pytest.approx(44 / 64)
    assert reader.confusion.model_dump() == {
        "real_called_real": 4,
        "real_called_synthetic": 2,
        "synthetic_called_real": 2,
        "synthetic_called_synthetic": 4,
    }
    assert reader.seconds.model_dump() == {"median": 4.5, "least": 2.0, "most": 7.0, "total": 27.0}
    assert {level: (one.count, one.n) for level, one in reader.confidence.items()} == {
        "none": (1, 2),
        "1": (1, 2),
        "2": (1, 1),
        "3": (1, 1),
    }
    assert found.pooled.agreement is None
    assert [pair.right for pair in found.by_pair] == [1, 1, 1, 1, 0, 0]


def test_a_reader_who_always_says_left(study):
    content = study.answers(0)
    for answer in content["answers"]:
        answer["real"] = "left"
    real_left = sum(pair["real"] == "left" for pair in study.key["pairs"])
    (reader,) = reader_study.score([study.write(content)], study.key_path).readers
    assert reader.accuracy.count == real_left == reader.sides.real_left
    assert reader.sides.left.value == 1
    assert reader.sides.p_value == pytest.approx(2 * 0.5**PAIRS)
    assert reader.sides.right_when_left.value == 1
    assert reader.sides.right_when_right.value == 0


def test_two_readers_who_differ(study):
    files = [study.write(study.answers(n, f"r{n}"), f"{n}.json") for n in (2, 5)]
    found = reader_study.score(files, study.key_path)
    assert (found.pooled.accuracy.count, found.pooled.accuracy.n) == (7, 12)
    assert (found.pooled.agreement.count, found.pooled.agreement.n) == (3, 6)
    assert (found.pooled.all_right, found.pooled.all_wrong) == (2, 1)
    assert [pair.right for pair in found.by_pair] == [2, 2, 1, 1, 1, 0]


def test_guessing_is_called_significant_as_rarely_as_it_should_be():
    n = 25
    probability = sum(
        math.comb(n, right) / 2**n for right in range(n + 1) if scoring._p_value(right, n) <= 0.05
    )
    assert 0 < probability <= 0.05


def change(*path_and_value):
    *path, value = path_and_value

    def apply(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return apply


def drop(*path):
    def apply(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return apply


BAD = [
    (change("answers", 1, "pair", "0" * 12), "1 pairs that the key does not have"),
    (drop("answers", 2), "1 pairs without an answer; found the first is 3"),
    (change("answers", []), "6 pairs without an answer"),
    (lambda c: c["answers"].append(c["answers"][0]), "1 pairs answered twice"),
    (change("study", "f" * 64), "answers another study; found ffffffffffff"),
    (change("study", "f"), "wrong value for 'study'"),
    (change("answers", 0, "real", None), "answers.0.real"),
    (change("answers", 0, "real", "up"), "answers.0.real"),
    (change("answers", 0, "confidence", 4), "answers.0.confidence"),
    (change("answers", 0, "confidence", True), "answers.0.confidence"),
    (change("answers", 0, "seconds", math.nan), "answers.0.seconds"),
    (change("answers", 0, "seconds", math.inf), "answers.0.seconds"),
    (change("answers", 0, "seconds", -1), "answers.0.seconds"),
    (change("answers", 0, "seconds", "2"), "answers.0.seconds"),
    (change("answers", 0, "note", "x"), "unknown key 'answers.0.note'"),
    (change("reader", ""), "String should have at least 1"),
    (change("reader", " "), "wrong value for 'reader'"),
    (change("reader", "x" * 41), "at most 40 characters"),
    (change("extra", 1), "unknown key 'extra'"),
    (change("format", 2), "wrong value for 'format'"),
    (drop("finished"), "the key 'finished' is missing"),
]


@pytest.mark.parametrize(("spoil", "text"), BAD)
def test_bad_answers_are_one_line_and_exit_2(study, shell, spoil, text):
    content = study.answers(3)
    spoil(content)
    path = study.write(content)
    shell("reader-study", "score", path, "--key", study.key_path).error(str(path), text, "Next:")


def test_the_same_reader_twice(study, shell):
    files = [study.write(study.answers(3), f"{n}.json") for n in (1, 2)]
    shell("reader-study", "score", *files, "--key", study.key_path).error("'AB' is there twice", "1.json")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"format": 1}', "\x00\xff"])
def test_files_that_are_something_else(study, shell, content):
    path = study.folder / "answers.json"
    path.write_bytes(content.encode("latin-1"))
    shell("reader-study", "score", path, "--key", study.key_path).error("no file of a reader's answers")
    sound = study.write(study.answers(3), "sound.json")
    shell("reader-study", "score", sound, "--key", path).error("no key of a reader study")


def test_files_that_are_not_there(study, shell):
    shell("reader-study", "score", study.folder / "no.json", "--key", study.key_path).error("cannot read")
    sound = study.write(study.answers(3))
    shell("reader-study", "score", sound, "--key", study.folder / "no.json").error("cannot read")


def test_no_answers(study):
    with pytest.raises(ResultError, match="no answers"):
        reader_study.score([], study.key_path)


def test_the_key_of_another_study(study, make, shell):
    other = make("other.html", seed=5)
    path = study.write(study.answers(3))
    shell("reader-study", "score", path, "--key", other.key_path).error("another study")


def test_a_key_with_a_pair_twice(study, shell):
    key = study.key
    key["pairs"].append(key["pairs"][0])
    study.key_path.write_text(json.dumps(key))
    path = study.write(study.answers(3))
    shell("reader-study", "score", path, "--key", study.key_path).error("holds a pair twice")


def test_text_and_json(study, shell):
    files = [study.write(study.answers(n, f"r{n}"), f"{n}.json") for n in (2, 6)]
    done = shell("reader-study", "score", *files, "--key", study.key_path)
    assert done.code == 0
    assert "r6: 6 of 6 = 1.000 [0.541 to 1.000] right, p = 0.031 against guessing" in done.out
    assert "not independent" in done.out
    assert "pairs that were mistaken" in done.out
    as_json = json.loads(shell("reader-study", "score", *files, "--key", study.key_path, "--json").out)
    assert as_json["readers"][1]["p_value"] == pytest.approx(2 / 64)
    assert as_json["pairs"] == PAIRS
