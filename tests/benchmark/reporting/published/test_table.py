"""The printed tables: read line by line, checked against themselves, set beside ours."""

from __future__ import annotations

import csv
import io
import types

import pytest

from covid_synth_data.benchmark.reporting import published
from covid_synth_data.benchmark.reporting.published import Cell, cells, table
from covid_synth_data.benchmark.reporting.tables import Cell as Measured
from covid_synth_data.benchmark.reporting.tables import Row
from covid_synth_data.benchmark.suite import list_suites, load_suite
from covid_synth_data.errors import ConfigError

SENSITIVITY = {
    "paper": "zunair2021",
    "table": "1",
    "row": "1",
    "task": "normal-vs-covid",
    "model": "VGG-16",
    "model_here": "vgg16",
    "regime": "Real",
    "regime_here": "real",
    "metric": "sensitivity",
    "value": "19.56",
    "unit": "%",
    "n": "46",
    "count": "37",
    "count_of": "misses",
}
ACCURACY = {
    "paper": "menon2020",
    "table": "1",
    "row": "1",
    "task": "normal-vs-covid",
    "model": "VGG-19",
    "model_here": "vgg19",
    "regime": "MTT",
    "regime_here": "mtt-gan",
    "metric": "accuracy",
    "value": "74.26",
    "low": "66.068",
    "high": "81.374",
    "unit": "%",
    "n": "136",
}


@pytest.fixture(scope="module")
def printed():
    return published.load()


def cell(base=SENSITIVITY, **changed):
    given = {name: text for name, text in {**base, **changed}.items() if text != ""}
    return Cell.model_validate_strings({"file": "made.csv", "line": "2", **given})


def write(folder, *rows, columns=cells.COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "made.csv").write_text(text.getvalue(), encoding="utf-8")
    return folder


def problems(*made):
    return [found.problem for found in published.contradictions(made)]


# What is in the files


def test_every_printed_cell_is_there(printed):
    counts = {}
    for one in printed:
        counts[one.paper, one.table] = counts.get((one.paper, one.table), 0) + 1
    assert counts == {
        ("zunair2021", "1"): 4 * 7,
        ("zunair2021", "2"): 4 * 7,
        ("menon2020", "1"): 6 * 2,
        ("menon2020", "2"): 6 * 2,
        ("menon2020", "text"): 16 + 4 + 2,
        ("hussain2022", "1"): 4 * 2,
        ("hussain2022", "2"): 4 * 2,
        ("jiang2020", "2"): 5 * 8,
        ("jiang2020", "3"): 10 * 9,
        ("jiang2020", "4"): 6 * 9,
        ("jiang2020", "5"): 11 * 3,
    }


def test_values_are_as_printed_down_to_the_last_zero(printed):
    values = {(one.paper, one.table, one.model, one.regime, one.metric): str(one.value) for one in printed}
    assert values["zunair2021", "1", "VGG-16", "Only Synthetic", "sensitivity"] == "50.00"
    assert values["hussain2022", "1", "lightweight CNN", "WGAN based augmented data", "precision"] == "94.2"
    assert values["jiang2020", "5", "OURS", "", "fid"] == "0.0327"


def test_our_names_exist(printed):
    suites = [load_suite(name) for name in list_suites()]
    for one in printed:
        if not one.model_here:
            continue
        mine = [suite for suite in suites if suite.paper == one.paper and one.task in suite.tasks]
        assert any(one.model_here in suite.models for suite in mine), one
        assert any(one.regime_here in suite.regimes for suite in mine), one


def test_a_line_is_named_once(printed):
    keys = [
        (one.paper, one.table, one.row, one.task, one.model, one.regime, one.against, one.metric)
        for one in printed
    ]
    assert len(set(keys)) == len(keys)


# Reading


def test_a_folder_of_ones_own_and_where_the_package_keeps_them(tmp_path, monkeypatch):
    assert [str(one.value) for one in published.load(write(tmp_path, SENSITIVITY))] == ["19.56"]
    packaged = tmp_path / "tables"
    packaged.mkdir(parents=True)
    write(packaged, ACCURACY)
    monkeypatch.setattr(
        cells, "importlib", types.SimpleNamespace(resources=types.SimpleNamespace(files=lambda _: tmp_path))
    )
    assert [str(one.value) for one in published.load()] == ["74.26"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"value": "x"}, r"made.csv, line 3: wrong value for 'value'; found 'x'"),
        ({"value": "NaN"}, "line 3: wrong value for 'value'"),
        ({"value": "-1"}, "greater than or equal to 0"),
        ({"value": ""}, "line 3: the key 'value' is missing"),
        ({"value": "101"}, "at most 100"),
        ({"unit": "share"}, "a share is in %"),
        ({"metric": "recall"}, "line 3: wrong value for 'metric'; found 'recall'"),
        ({"row": "0"}, "line 3: wrong value for 'row'"),
        ({"n": "4.5"}, "line 3: wrong value for 'n'"),
        ({"n": ""}, "count, count_of and n belong together"),
        ({"count_of": ""}, "belong together"),
        ({"count": "47"}, "count is more than n"),
        ({"low": "10"}, "low and high belong together"),
        ({"low": "30", "high": "40"}, "not between low and high"),
        ({"low": "inf", "high": "inf"}, "finite"),
        ({"paper": ""}, "the key 'paper' is missing"),
    ],
)
def test_a_bad_line_is_named(tmp_path, changed, text):
    write(tmp_path, SENSITIVITY, {**SENSITIVITY, **changed})
    with pytest.raises(ConfigError, match=text):
        published.load(tmp_path)


def test_bad_files(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        published.load(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"no files \*.csv"):
        published.load(tmp_path)
    write(tmp_path, columns=cells.COLUMNS[:-1])
    with pytest.raises(ConfigError, match="line 1: other columns"):
        published.load(tmp_path)
    file = tmp_path / "made.csv"
    header = ",".join(cells.COLUMNS)
    for line in ("zunair2021,1", "," * len(cells.COLUMNS)):
        file.write_text(f"{header}\n{line}\n")
        with pytest.raises(ConfigError, match="line 2: other number of fields"):
            published.load(tmp_path)
    file.write_text(f'{header}\n"open')
    with pytest.raises(ConfigError, match="not CSV"):
        published.load(tmp_path)
    file.write_text("")
    with pytest.raises(ConfigError, match="found nothing"):
        published.load(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        published.load(tmp_path)


# Contradictions


def test_what_the_papers_say_that_cannot_be(printed):
    found = published.contradictions(printed)
    shares = {
        (one.cell.paper, one.cell.table, one.cell.model, one.cell.regime, str(one.cell.value)): one.problem
        for one in found
        if one.cell.metric in ("sensitivity", "accuracy")
    }
    assert shares == {
        ("zunair2021", "1", "DenseNet-102", "Real + G_NC + G_PC", "34.73"): "16 of 46 is 34.78 %",
        ("zunair2021", "2", "VGG-16", "Real + G_PC", "29.50"): "22 of 46 is 47.83 %",
        ("zunair2021", "2", "DenseNet-102", "Real + G_PC + G_NC", "32.43"): "14 of 46 is 30.43 %",
        (
            "menon2020",
            "1",
            "AlexNet",
            "MTT-GAN, real and generated",
            "100",
        ): "the interval of 136 of 136 is 97.32 to 100.00",
        (
            "menon2020",
            "2",
            "VGG-19",
            "Transfer-GAN, real and generated",
            "84.92",
        ): "231 of 272, the same count as 84.93 % [80.11 to 88.96] in row 6",
        (
            "menon2020",
            "2",
            "VGG-19",
            "MTT-GAN, real and generated",
            "84.93",
        ): "231 of 272, the same count as 84.92 % [80.11 to 88.96] in row 4",
        (
            "menon2020",
            "2",
            "AlexNet",
            "Transfer-GAN, real and generated",
            "83.89",
        ): "no count of 272 films gives it; the nearest, 228, gives 83.82 %",
        (
            "menon2020",
            "2",
            "AlexNet",
            "MTT-GAN, real and generated",
            "85.61",
        ): "the interval of 233 of 272 is 80.92 to 89.60; the printed one is that of 231",
    }
    skews = {(one.cell.table, str(one.cell.value)) for one in found if one.cell.metric == "skew"}
    assert skews == {("1", "0.98"), ("1", "0.79"), ("2", "22.9"), ("2", "0.95"), ("2", "0.19")}
    tests = [(one.cell.model, one.problem.split("p = ")[1]) for one in found if one.cell.metric == "fisher-p"]
    assert tests == [
        ("VGG-19", "0.2"),
        ("VGG-19", "0.042"),
        ("VGG-19", "0.013"),
        ("VGG-19", "0.27"),
        ("VGG-19", "0.12"),
        ("AlexNet", "0.031"),
    ]
    assert {one.cell.paper for one in found} == {"zunair2021", "menon2020"}


def test_rounding_and_cutting_off_are_no_contradictions():
    for value in ("19.56", "19.57", "19.6", "19.5", "20"):
        assert problems(cell(value=value)) == []
    for value in ("19.58", "19.55", "19.7", "18"):
        assert problems(cell(value=value)) == ["9 of 46 is 19.57 %"]
    assert problems(cell(value="80.43", count_of="hits")) == []
    assert problems(cell(ACCURACY)) == []


def test_a_share_that_no_count_gives():
    assert problems(cell(ACCURACY, value="74.2", low="", high="")) == []
    (problem,) = problems(cell(ACCURACY, value="74.60", low="", high=""))
    assert problem == "no count of 136 films gives it; the nearest, 101, gives 74.26 %"


def test_an_interval_of_another_count():
    (problem,) = problems(cell(ACCURACY, value="75.00"))
    assert problem.endswith("; the printed one is that of 101")
    (problem,) = problems(cell(ACCURACY, low="70", high="80"))
    assert problem == "the interval of 101 of 136 is 66.07 to 81.37"


def test_p_values_are_worked_out_from_the_two_accuracies():
    plain = {"low": "", "high": ""}
    a = cell(ACCURACY, **plain)
    b = cell(ACCURACY, **plain, regime="other", value="96.32", row="2")
    p = {"metric": "fisher-p", "table": "text", "regime": "other", "against": "MTT", "n": "", **plain}
    assert problems(a, b, cell(ACCURACY, **p, value="0.0001", unit="p below")) == []
    (problem,) = problems(a, b, cell(ACCURACY, **p, value="0.03", unit="p"))
    assert problem == "Fisher's exact test of 131 against 101 of 136 gives p = 2.1e-07"
    assert problems(a, cell(ACCURACY, **p, value="0.03", unit="p")) == []


def test_one_number_printed_twice():
    one, again = cell(), cell(table="text", value="21.74", count="36")
    assert problems(one, again) == ["table text has 21.74 % (36 FN)", "table 1 has 19.56 % (37 FN)"]
    assert problems(one, cell(table="text")) == []
    assert problems(one, cell(table="text", value="21.74", count="36", model="other")) == []


# Ours beside theirs


def row(**changed):
    value = Measured(mean=0.25, lowest=0.2, highest=0.3, low=0.1, high=0.4)
    given = {
        "suite": "zunair2021",
        "task": "normal-vs-covid",
        "protocol": "clean",
        "preprocessing": "plain",
        "classes": ["normal", "covid-19"],
        "model": "vgg16",
        "weights": "imagenet",
        "regime": "real",
        "seeds": [0, 1],
        "skew": 40.0,
        "test_negatives": 900,
        "test_positives": 80,
        "false_negatives": [56, 64],
        "sensitivity": value,
        "accuracy": value,
        "auc": value,
    }
    return Row.model_construct(**{**given, **changed})


def lines(text, *words):
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_a_row_stands_beside_its_cell_and_both_keep_their_numbers(printed):
    text = published.versus_paper([row()], printed)
    (line,) = lines(text, "| VGG-16 (ours: vgg16)", "| Real  ", "sensitivity")
    columns = [part.strip() for part in line.strip("|").split(" | ")]
    assert columns == [
        "VGG-16 (ours: vgg16)",
        "Real",
        "sensitivity",
        "19.56 % (37 FN)",
        "25.0 % {20.0 to 30.0} [10.0 to 40.0] (56, 64 FN)",
        "",
        "theirs 46 positives, ours 80; protocol clean, plain films, weights imagenet, 2 seeds",
    ]
    (line,) = lines(text, "ours: vgg16", "skew")
    assert "91.87" in line
    assert "40.00" in line
    assert "zunair2021, Table 1: theirs and ours" in text
    assert lines(text, "- zunair2021, Table 2") == ["- zunair2021, Table 2: 28 numbers, 14 of them flagged"]
    assert "nothing of ours beside it" in text
    assert "5.44" not in text  # 25.0 - 19.56: the two are never combined


def test_cells_that_contradict_themselves_are_flagged(printed):
    both = row(task="pneumonia-vs-covid", regime="real+gpc")
    (line,) = lines(published.versus_paper([both], printed), "29.50 %")
    assert "22 of 46 is 47.83 %" in line
    assert "25.0 %" in line


def test_cells_without_a_row_say_so_and_our_baselines_follow(printed):
    text = published.versus_paper([row(), row(regime="real-balanced")], printed)
    assert len(lines(text, "| not run ")) == 28 - 2
    (line,) = lines(text, "real-balanced")
    assert table.OTHERS in line
    assert "25.0 %" in line


def test_preprocessings_are_lines_of_their_own(printed):
    text = published.versus_paper([row(), row(preprocessing="lungs")], printed)
    assert [("lungs films" in line) for line in lines(text, "ours: vgg16", "sensitivity")] == [False, True]


def test_rows_of_other_suites_papers_and_tasks_stay_out(printed):
    text = published.versus_paper([row(suite="generators"), row(task="covid-external")], printed)
    assert "|" not in text
    assert "Theirs: as printed" not in text
    other_model = published.versus_paper([row(model="lite0-frozen")], printed)
    assert other_model == text
    menon = row(suite="menon2020-binary", model="vgg19", regime="mtt-gan")
    text = published.versus_paper([menon], printed)
    assert "menon2020, Table 1: theirs and ours" in text
    assert "zunair2021, Table 1: theirs" not in text
    (line,) = lines(text, "ours: vgg19", "96.32 % [91.63 to 98.80]")
    assert "theirs 136 films, ours 980" in line


def test_numbers_of_four_classes(printed):
    made = {
        "suite": "hussain2022",
        "task": "four-class-hussain",
        "model": "hussain-cnn",
        "classes": list("abcd"),
    }
    one = row(**made, regime="real+wgan-augmented")
    text = published.versus_paper([one], printed)
    assert "25.0 %" in lines(text, "ours: hussain-cnn", "accuracy", "95.34 %")[0]
    # The paper's AUC is of all classes together, not that of our positive class.
    assert "not measured" in lines(text, "ours: hussain-cnn", "auc")[0]
    half = Measured(mean=0.5, lowest=0.5, highest=0.5, low=0.4, high=0.6)
    pooled = types.SimpleNamespace(**vars(one), micro_auc=half)
    (_, line) = lines(published.versus_paper([pooled], printed), " auc ")
    assert "50.0 % [40.0 to 60.0]" in line


def test_it_is_markdown(printed):
    text = published.versus_paper([row()], printed)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {8}
