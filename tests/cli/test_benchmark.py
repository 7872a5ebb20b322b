"""Suites of both kinds behind the same commands."""

from __future__ import annotations

import json

import tomlkit

from tests.benchmark.segmentation.conftest import changed


def test_a_suite_of_u_nets_given_by_its_path(tmp_path, shell) -> None:
    path, out = tmp_path / "tiny.toml", tmp_path / "out"
    content = changed().model_dump(exclude_none=True)
    content["profiles"]["quick"]["training"]["epochs"] = 1
    path.write_text(tomlkit.dumps(content))
    asked = ["benchmark", "run", path, "--out", out, "--regime", "real", "--device", "cpu", "--limit", "3"]
    (line,) = json.loads(shell(*asked, "--dry-run", "--json").out)
    assert (line["task"], line["model"], line["runs"], line["done"]) == ("patient", "quick", 1, 0)
    assert line["seconds"] > 0
    assert not out.exists()
    (found,) = json.loads(shell(*asked, "--json").out)
    assert found.endswith("tiny/patient/quick/real/segmentation-0.json")
    assert "tiny 2.0.0, protocol patient, profile quick" in shell("benchmark", "report", "--results", out).out
    shell(*asked, "--model", "vgg16").error("is one of segmentation and has no option 'models'")


def test_the_list_has_suites_of_both_kinds(shell) -> None:
    suites = {suite["name"]: suite for suite in json.loads(shell("benchmark", "list", "--json").out)}
    assert suites["jiang2020"]["kind"] == "segmentation"
    assert suites["zunair2021"]["kind"] == "classification"
    assert "jiang2020 2.0.0 (segmentation)" in shell("benchmark", "list").out


def test_a_missing_release_is_one_short_line(tmp_path, shell) -> None:
    asked = ["benchmark", "run", "zunair2021", "--release", tmp_path, "--out", tmp_path / "out"]
    line = shell(*asked).error("cannot run without gnc, gpc of covid-synth-cxr", "--release DIR")
    assert line.count("found") == line.count("Next:") == 1


def test_missing_sets_are_listed_one_a_line(tmp_path, shell) -> None:
    asked = ["benchmark", "run", "menon2020-binary", "--regime", "real", "--root", tmp_path]
    done = shell(*asked, "--out", tmp_path / "out")
    done.error("the sets covid-chestxray, kermany are not there")
    facts = done.err.splitlines()[1:]
    assert [fact.split(":")[0].strip() for fact in facts] == ["covid-chestxray", "kermany"]
