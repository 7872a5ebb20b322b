"""What the leaderboard says, against numbers worked out apart from it."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest

from covid_synth_data import leaderboard
from covid_synth_data.errors import ResultError
from covid_synth_data.leaderboard import drawing, testsets
from covid_synth_data.leaderboard.boards import boards
from covid_synth_data.leaderboard.markdown import gain, signed, trained_on
from tests.leaderboard import made
from tests.support import tree


@pytest.fixture(scope="module")
def found(all_boards):
    return {board.suite: board for board in all_boards}


def auc(result):
    """The share of pairs of a positive and a negative film in the right order."""
    place = result.classes.index(result.positive)
    scores = np.array([row.probabilities[place] for row in result.predictions])
    positive = np.array([row.label == place for row in result.predictions])
    above = scores[positive][:, None] - scores[~positive][None]
    return float(((above > 0) + (above == 0) / 2).mean())


def test_every_regime_is_there_once(found, everything):
    rows = [
        (board.suite, entry.row.preprocessing, entry.row.model, entry.row.regime)
        for board in found.values()
        for entry in board.entries
    ]
    folders = {path.parent.relative_to(everything).parts for path in everything.rglob("seed-*.json")}
    assert sorted(rows) == sorted((suite, kind, model, regime) for suite, _, kind, model, regime in folders)


def test_gains_are_over_the_baseline_chosen_on_validation_films(found):
    block = found["zunair2021"].blocks[0]
    skill = {"real": 1.0, "real-balanced": 1.3, "real-augmented": 0.3, "real+gnc": 3.0}
    mean = {
        regime: np.mean(
            [auc(made.made("zunair2021", regime, seed, skill=value)) for seed in range(made.SEEDS)]
        )
        for regime, value in skill.items()
    }
    assert max(made.VALIDATION_AUC, key=made.VALIDATION_AUC.get) == "real-augmented"
    assert block.best.row.regime == "real-augmented"
    entry = next(one for one in block.entries if one.row.regime == "real+gnc")
    assert entry.gain.best == "real-augmented"
    assert entry.gain.over_best.difference == pytest.approx(
        mean["real+gnc"] - mean["real-augmented"], abs=1e-6
    )
    assert entry.limits[0] <= entry.gain.over_best.difference <= entry.limits[1]
    assert {one.baseline for one in entry.versus} == {"real", "real-balanced", "real-augmented"}
    for one in entry.versus:
        assert one.contrasts["auc"].difference == pytest.approx(
            mean["real+gnc"] - mean[one.baseline], abs=1e-6
        )
    assert [one.baseline for one in entry.versus if one.named] == ["real"]


def test_verdicts(found):
    plain, bare, harmonised = found["zunair2021"].blocks
    assert "the baseline to beat is real-augmented" in str(plain.verdict())
    assert "real+gnc: gain of +" in str(plain.verdict())
    assert "synthetic-only: loss of -" in str(plain.verdict())
    assert plain.missing == ("real-weighted",)
    assert (bare.model, bare.best) == ("resnet50", None)
    assert "no baseline was run, so no gain can be stated" in str(bare.verdict())
    assert harmonised.preprocessing == "harmonised"
    assert "the baseline to beat is real. Too few seeds (3) for a verdict" in str(harmonised.verdict())
    assert "Too few seeds" in str(found["quickstart"].blocks[0].verdict())


def test_other_weights_or_limits_are_no_baseline(tmp_path):
    from covid_synth_data.benchmark.results.classification import Weights

    made.regimes(tmp_path, "quickstart", {"real": 1.0}, limit=20)
    made.regimes(tmp_path, "quickstart", {"real-balanced": 1.0}, weights=Weights(name="imagenet"))
    made.regimes(tmp_path, "quickstart", {"mixed": 1.0})
    (board,) = boards(tmp_path)
    assert [entry.gain for entry in board.entries] == [None, None, None]
    assert len(board.blocks) == 3
    assert any("at most 20 real negatives" in block.name for block in board.blocks)


def test_each_kind_of_real_films_has_its_own_baseline_to_beat(tmp_path):
    """More real films, or films stored alike, are no baseline of films as they came."""
    skills = {"real": 0.3, "real-augmented": 0.5, "real+gnc-skew4": 0.8, "equal-data": 2.0}
    skills |= {"real-retraced": 2.5, "fingerprint-matched": 2.5}
    made.regimes(tmp_path, "external", skills, seeds=made.SEEDS)
    (board,) = boards(tmp_path)
    (block,) = board.blocks
    best = {entry.row.regime: entry.best for entry in block.entries}
    assert best["real+gnc-skew4"] in ("real", "real-augmented")
    assert best["fingerprint-matched"] == "real-retraced"
    assert block.best.row.regime == best["real+gnc-skew4"]
    text = str(block.verdict())
    assert f"the baseline to beat is {block.best.row.regime}. Real films alone gain in AUC where all" in text
    assert "fingerprint-matched: gain" not in text


def test_films_stored_alike_have_a_baseline_where_no_other_was_run(tmp_path):
    skills = {"real-retraced": 0.5, "real-retraced@balanced": 0.5, "fingerprint-matched": 2.5}
    made.regimes(tmp_path, "external", skills, seeds=made.SEEDS)
    (block,) = boards(tmp_path)[0].blocks
    text = str(block.verdict())
    assert block.best.row.regime.startswith("real-retraced")
    assert f"the baseline to beat is {block.best.row.regime}." in text
    assert "fingerprint-matched: gain of +" in text


def test_folds_are_tested_as_one(found):
    board = found["source-matched"]
    assert board.first.folds == 5
    assert board.first.test_positives + board.first.test_negatives == 5 * 16
    assert "in 5 folds by patient" in board.tested
    assert board.notes == ["these films are drawn"]


def test_the_digest_of_a_test_set(found):
    rows = sorted((image, ("normal", "covid-19")[label]) for image, _, label in made.films(2))
    text = json.dumps([list(row) for row in rows], separators=(",", ":"))
    assert found["quickstart"].digest == hashlib.sha256(text.encode()).hexdigest()
    films = {name: (label, "p") for name, label in rows}
    assert testsets.digest(dict(reversed(films.items()))) == found["quickstart"].digest
    assert testsets.digest({**films, "one-more": ("normal", "p")}) != found["quickstart"].digest


def test_markdown(built, found):
    text = (built / "LEADERBOARD.md").read_text()
    for board in found.values():
        assert board.caution in text
        assert board.digest[:16] in text
        for entry in board.entries:
            row = entry.row
            lines = [line for line in text.splitlines() if line.startswith(f"| {row.regime} ")]
            auc_cell = f" {row.auc.mean:.3f} [{row.auc.low:.3f} to {row.auc.high:.3f}] "
            (line,) = {line for line in lines if auc_cell in line and gain(entry) in line}
            assert line.startswith(f"| {row.regime} * ") == entry.baseline
            assert trained_on(row) in line
    assert "no baseline" in text
    assert "Baselines that were not run: real-weighted." in text


def test_the_same_results_give_the_same_bytes(everything, built, tmp_path):
    leaderboard.build(everything, tmp_path, tmp_path / "hub")
    assert tree(tmp_path) == tree(built)


def test_an_older_version_of_a_suite_is_told_apart(tmp_path):
    made.regimes(tmp_path / "results", "quickstart", {"real": 1.0}, suite_version="1.0.0")
    made.regimes(tmp_path / "results2", "quickstart", {"real": 1.0})
    for path in (tmp_path / "results2").rglob("*.json"):
        new = tmp_path / "results" / "newer" / path.name
        new.parent.mkdir(exist_ok=True)
        path.rename(new)
    old, new = boards(tmp_path / "results")
    assert (old.version, old.current, new.current) == ("1.0.0", False, True)
    leaderboard.build(tmp_path / "results", tmp_path, tmp_path / "hub")
    assert "not the suite as this package has it" in (tmp_path / "LEADERBOARD.md").read_text()
    assert "1.0.0" not in (tmp_path / "hub" / "dataset" / "eval.yaml").read_text()


def test_a_wrong_result_leaves_the_old_leaderboard(everything, built, tmp_path, shell):
    out = tmp_path / "out"
    leaderboard.build(everything / "quickstart", out)
    before = tree(out)
    (path, *_) = made.regimes(tmp_path / "results", "quickstart", {"real": 1.0})
    path.write_text(path.read_text().replace('"seconds":1.5', '"seconds":NaN'))
    shell("leaderboard", "build", tmp_path / "results", "-o", out).error("seconds", "seed-0.json")
    assert tree(out) == before
    shell("leaderboard", "build", tmp_path / "nowhere", "-o", out).error("no results")
    with pytest.raises(ResultError):
        leaderboard.build(tmp_path / "results", out)


def test_the_command(everything, tmp_path, shell):
    done = shell(
        "leaderboard", "build", everything / "quickstart", "-o", tmp_path, "--hub-format", tmp_path / "hub"
    )
    assert done.code == 0, done
    assert (tmp_path / "LEADERBOARD.md").is_file()
    assert (tmp_path / "leaderboard.html").is_file()
    assert (tmp_path / "hub" / "dataset" / "eval.yaml").is_file()


def test_no_address_in_the_page_and_nothing_of_this_machine(built, everything):
    text = (built / "leaderboard.html").read_text()
    assert not re.search(r"https?://|@import|url\(|src=|<link(?! rel=\"icon\" href=\"data:,\")", text)
    assert str(everything.parent) not in text + (built / "LEADERBOARD.md").read_text()


def test_text_of_results_is_text(tmp_path):
    nasty = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'
    made.regimes(tmp_path / "results", "quickstart", {"real": 1.0}, notes=[nasty])
    leaderboard.build(tmp_path / "results", tmp_path)
    page = (tmp_path / "leaderboard.html").read_text()
    assert nasty not in page
    assert "&lt;img src=x" in page
    assert page.count("<script") == 1


def test_zero_has_no_sign():
    assert [signed(value) for value in (-0.0004, 0.0004, -0.0006, 0.1)] == [
        "0.000",
        "0.000",
        "-0.001",
        "+0.100",
    ]


def test_histograms_add_up():
    labels = np.array([1, 1, 1, 0, 0])
    scores = np.array([[0.99, 1.0, 0.51, 0.0, 0.02]])
    svg = drawing.confidence(labels, scores, "covid-19")
    shares = re.findall(r"<title>([\d.]+) to ([\d.]+): ([\d.]+)% of these films", svg)
    assert [(low, float(share)) for low, _, share in shares] == [
        ("0.50", 33.3),
        ("0.95", 66.7),
        ("0.00", 100.0),
    ]
    assert svg.count('class="pos"') == 2
    assert svg.count('class="neg"') == 1
