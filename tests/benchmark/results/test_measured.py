"""The result files of probes and of lesions: those of the repository hold, forged ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covid_synth_data.benchmark.results import validate_as
from covid_synth_data.benchmark.results.lesions import LesionResult
from covid_synth_data.benchmark.results.probes import ProbeResult
from covid_synth_data.errors import ResultError

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results"
KINDS = [("probes", ProbeResult, "auc"), ("lesions", LesionResult, "value")]


@pytest.mark.parametrize(("folder", "model", "value"), KINDS)
def test_a_file_of_the_repository_says_what_it_said(folder, model, value):
    paths = sorted((RESULTS / folder).glob("*.json"))
    assert paths
    for path in paths:
        assert json.loads(validate_as(path, model).model_dump_json()) == json.loads(path.read_text())


def of_trained(rows):
    """The first row that is compared with something."""
    return next(row for row in rows if row["over"])


def without_a_comparison(content, value):
    of_trained(content["rows"])["over"].popitem()


def with_an_unknown_comparison(content, value):
    over = of_trained(content["rows"])["over"]
    over["nobody"] = next(iter(over.values()))


def with_another_difference(content, value):
    next(iter(of_trained(content["rows"])["over"].values()))["difference"] += 0.01


def with_another_value(content, value):
    of_trained(content["rows"])[value]["value"] -= 0.01


def with_a_seed_less(content, value):
    of_trained(content["rows"])["seeds"].pop()


def with_a_row_twice(content, value):
    content["rows"].append(content["rows"][0])


def with_an_unknown_baseline(content, value):
    content["baselines"].append("nobody")


FORGERIES = [
    (with_an_unknown_baseline, "nobody is a baseline and no regime"),
    (without_a_comparison, "is compared with"),
    (with_an_unknown_comparison, "is compared with .*nobody"),
    (with_another_difference, "the values give"),
    (with_another_value, "its seeds give"),
    (with_a_seed_less, "its seeds give"),
    (with_a_row_twice, "each of .* once"),
]


@pytest.mark.parametrize(("forge", "said"), FORGERIES)
@pytest.mark.parametrize(("folder", "model", "value"), KINDS)
def test_a_forged_file_is_refused(folder, model, value, forge, said, tmp_path):
    content = json.loads((RESULTS / folder / "external.json").read_text())
    forge(content, value)
    (tmp_path / "forged.json").write_text(json.dumps(content))
    with pytest.raises(ResultError, match=said):
        validate_as(tmp_path / "forged.json", model)


def test_a_view_with_a_regime_twice_is_refused(tmp_path):
    content = json.loads((RESULTS / "probes" / "external.json").read_text())
    whole = [row for row in content["rows"] if (row["part"], row["change"]) == ("test", "whole")]
    counts = {"view": "PA", "negatives": 20, "positives": 20}
    content["views"] = [{**counts, **{name: row[name] for name in row if name != "change"}} for row in whole]
    path = tmp_path / "forged.json"
    path.write_text(json.dumps(content))
    assert len(validate_as(path, ProbeResult).views) == len(content["regimes"])
    content["views"].append(content["views"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match="each once and in order"):
        validate_as(path, ProbeResult)
