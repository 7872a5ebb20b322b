"""Names and numbers made to harm: refused where they come in, and escaped where they go out.

In: cards of weights, manifests, results, answers of readers, answers of servers. Out: terminal, Markdown,
HTML, tables for spreadsheets.
"""

from __future__ import annotations

import csv
import io
import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_synth_data import escaping
from covid_synth_data.benchmark import report
from covid_synth_data.benchmark.results import write_result
from covid_synth_data.cli import common
from covid_synth_data.errors import ConfigError, ResultError, WeightsError
from covid_synth_data.generators import trained, weights
from covid_synth_data.leaderboard import build
from covid_synth_data.reader_study import study
from covid_synth_data.release import hub
from generation.releasing.documents import credits
from tests.leaderboard.made import DATASET, made
from tests.support import sampler_weights, tree

CLEAR = "\x1b[2K\rwhole: every byte and every count is as the manifest says"
"""Wipes the line that a terminal shows and writes another."""

LINES = ["a\nb", "a\r\nb", CLEAR, "a\u2028b", "a\u202eb", "a\x07b", "a\x9bb"]
"""Not one line, or one that steers a terminal: line ends, escapes, a bell, another writing direction."""


# --- cards of weights ---------------------------------------------------------------------------------


@pytest.fixture
def released(tmp_path) -> Path:
    sampler_weights(tmp_path / "release/weights/dcgan.safetensors")
    return tmp_path / "release"


def change_card(released: Path, **fields: Any) -> Path:
    path = released / "weights/dcgan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize(
    "name",
    ["../escaped", "/tmp/escaped", "a/../../b", "a/b", "a\\b", "C:b", "..", ".hidden", "", "x" * 300, *LINES],
)
def test_a_generator_whose_name_leaves_the_folder_writes_nothing(released, shell, tmp_path, name):
    change_card(released, name=name)
    before = tree(tmp_path)
    line = shell("sample", name, "-o", tmp_path / "out", "-n", 2, "--release", released).error("'name'")
    assert "dcgan.json" in line
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": 10**9}, "size"),
        ({"size": 0}, "size"),
        ({"size": -96}, "size"),
        ({"options": {"width": 200_000}}, "number from -4096 to 4096"),
        ({"options": {"width": -(10**9)}}, "number from -4096 to 4096"),
        ({"options": {"width": 1e300}}, "number from -4096 to 4096"),
        ({"options": {"width": CLEAR}}, "short line"),
        ({"options": {"a\nb": 3}}, "options"),
        ({"target_class": "x"}, "one of normal"),
        ({"classes": ["normal", CLEAR]}, "one of normal"),
        ({"licences": ["CC0\n# forged"]}, "one line of printable characters"),
        ({"package_version": CLEAR}, "one line of printable characters"),
        ({"training": {"learned_from": {"films": 3, "patients": []}}}, "learned_from"),
        ({"training": {"recipe": [1]}}, "recipe"),
        ({"sha256": "../x"}, "sha256"),
    ],
)
def test_a_card_that_asks_for_too_much_or_says_what_cannot_be(released, fields, says):
    with pytest.raises(WeightsError) as caught:
        trained.load_file(change_card(released, **fields), "cpu")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("width", [4096, 3, 1])
def test_a_network_of_another_size_than_the_file_is_never_built(released, width):
    path = change_card(released, options={"width": width, "latent": 4})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match="does not fit the network"):
        trained.load_file(path, "cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("options", [{"width": 0}, {"width": -1}, {"width": 1.5}, {"width": "x"}])
def test_options_that_no_network_has_are_one_line(released, options):
    with pytest.raises((ConfigError, WeightsError)) as caught:
        trained.load_file(change_card(released, options={"latent": 4, **options}), "cpu")
    assert str(caught.value).isprintable()


def test_what_is_saved_is_what_may_be_read(released):
    path = released / "weights/dcgan.safetensors"
    assert weights.read_card(path).name == "dcgan.test"
    assert trained.load_file(path, "cpu").sample(1).shape == (1, 96, 96)


# --- manifests and folders ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", LINES)
@pytest.mark.parametrize("field", ["path", "licences", "generator", "weights", "subset"])
def test_a_manifest_with_text_that_steers_a_terminal(world, shell, text, field):
    path = world.release / "manifest.json"
    content = json.loads(path.read_text())
    if field == "path":
        content["files"][0]["path"] = text
    elif field == "subset":
        content["subsets"][text] = content["subsets"].pop("gnc")
    else:
        content["subsets"]["gnc"][field] = [text] if field == "licences" else text
    path.write_text(json.dumps(content))
    outcome = shell("verify", world.release)
    outcome.error("manifest.json")
    assert (outcome.err.rstrip("\n") + outcome.out).isprintable()


@pytest.mark.parametrize("name", ["a\nwhole: every byte", "a\x1b[2Kb", "a\u202eb", b"a\xffb"])
def test_a_strange_file_in_a_release_is_one_line(world, shell, name):
    shown = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    try:
        (world.release / shown).write_text("x")
    except OSError:
        pytest.skip("this file system has no such names")
    outcome = shell("verify", world.release)
    outcome.error("1 problems")
    assert all(line.isprintable() for line in (outcome.out + outcome.err).splitlines())
    assert not any(line.startswith("whole") for line in outcome.out.splitlines())


# --- results and answers ------------------------------------------------------------------------------


def crafted(folder: Path, **fields: Any) -> Path:
    """A result file of `folder` with these fields, written past the model."""
    result = made()
    write_result(folder / result.path, result)
    path = folder / result.path
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return path


FORGED = "\n\n# Leaderboard\n\n| best | 1.000 |"


@pytest.mark.parametrize(
    "fields",
    [
        {"notes": [FORGED]},
        {"notes": [CLEAR]},
        {"notes": ["x" * 10_000]},
        {"dataset": {**DATASET.model_dump(), "name": FORGED}},
        {"dataset": {**DATASET.model_dump(), "version": CLEAR}},
        {"left_out": [{"source": "s", "reason": FORGED, "films": 1}]},
        {"hardware": {"device": "cpu", "name": CLEAR, "threads": 1}},
        {"code": {"package": FORGED, "git": None, "libraries": {}}},
        {"code": {"package": "1", "git": None, "libraries": {CLEAR: "1"}}},
        {"seed": 10**30},
        {"image_size": 10**9},
        {"limit": -1},
        {"regime": "../../x"},
        {"model": "x" * 500},
    ],
)
def test_a_result_with_forged_text_or_numbers_is_refused(shell, tmp_path, fields):
    path = crafted(tmp_path, **fields)
    outcome = shell("leaderboard", "validate", path)
    outcome.error(str(path), f"'{next(iter(fields))}")
    assert outcome.err.rstrip("\n").isprintable()
    with pytest.raises(ResultError):
        build(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_id_of_a_film_that_steers_a_terminal_is_refused(shell, tmp_path):
    result = json.loads(made().model_dump_json())
    for field in ("image_id", "patient_id"):
        rows = [dict(row) for row in result["predictions"]]
        rows[0][field] = CLEAR
        outcome = shell("leaderboard", "validate", crafted(tmp_path, predictions=rows))
        outcome.error(field)
        assert outcome.err.rstrip("\n").isprintable()


MARKED = "<script>x</script> | **b** `c` [d](http://e) <!-- ![f](g)"


def test_marks_in_a_note_or_a_name_are_text_in_every_page(tmp_path):
    for seed in range(3):
        result = made(seed=seed, dataset=DATASET.model_copy(update={"name": MARKED}), notes=[MARKED])
        write_result(tmp_path / "results" / result.path, result)
    build(tmp_path / "results", tmp_path)
    page = (tmp_path / "leaderboard.html").read_text()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    for text in ((tmp_path / "LEADERBOARD.md").read_text(), report(tmp_path / "results", published=False)):
        lines = [line for line in text.splitlines() if "script" in line]
        assert lines
        for line in lines:
            assert "\\<script\\>" in line
            assert "\\[d\\]" in line
        header = next(line for line in text.splitlines() if line.startswith("| "))
        cells = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
        assert cells <= {header.count("|")}


@pytest.mark.parametrize("reader", LINES)
def test_a_readers_name_is_one_line(tmp_path, reader):
    path = tmp_path / "answers.json"
    empty = {"format": 1, "study": "0" * 64, "started": "", "finished": "", "answers": []}
    path.write_text(json.dumps({**empty, "reader": reader}))
    with pytest.raises(ResultError, match="reader") as caught:
        study.read(path, study.Answers)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("said", LINES)
def test_what_a_server_says_is_one_printable_line(said):
    assert str(hub._answered(400, said, "the release cannot be pushed", "host")).isprintable()


# --- ways out -----------------------------------------------------------------------------------------


def test_the_shell_prints_escapes_as_text(capsys):
    common.say("first\n" + CLEAR)
    common.table("t", ["c"], [["\x1b[31mred\x07"], ["[bold]x[/bold]"]])
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert "\\x1b[2K" in out
    assert "[bold]x[/bold]" in out


def test_a_bar_takes_any_text(capsys):
    with common.progress_bar("[/red]") as tick:
        tick(1, 2, "[/bold] \x1b[2K")
    assert "\x1b[2K" not in capsys.readouterr().err


def test_an_error_is_one_printable_line_and_so_are_its_facts():
    error = ConfigError(f"no {CLEAR}", found="\u202e\udc80", lines=[CLEAR])
    assert str(error).isprintable()
    assert error.lines[0].isprintable()


@given(st.text())
def test_any_text_is_one_line_in_a_terminal_and_in_markdown(text):
    assert escaping.terminal(text).isprintable()
    assert all(line.isprintable() for line in escaping.terminal_lines(text).split("\n"))
    marked = escaping.markdown(text)
    assert marked.isprintable()
    assert not marked.startswith(("#", "+ ", "- ", "="))
    for mark in "<>|`*[]":
        assert marked.count(mark) == marked.count("\\" + mark)


@given(st.text())
def test_any_text_is_text_in_html(text):
    assert not {"<", ">", '"', "'"} & set(escaping.html(text))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_no_formula_and_comes_back(text):
    cell = escaping.csv(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert escaping.csv_read(cell) == text


@pytest.mark.parametrize("author", ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\t=1", "'quoted'", "A, B"])
def test_attribution_has_no_formula_and_reads_as_it_was(tmp_path, author):
    row = credits.Credit("a/1", "a", "CC BY 4.0", author, "https://x", "translated")
    text = credits.to_csv([row])
    cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    (tmp_path / credits.FILE).write_text(text, encoding="utf-8", newline="")
    assert credits.read(tmp_path) == [row]
