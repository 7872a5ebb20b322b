"""Configs made from the training films, and regimes that name them as they name released ones."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from covid_synth_data import schema
from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.data import composition, made
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.benchmark.suite.made import Made
from covid_synth_data.errors import EmptySplit, ReleaseError
from covid_synth_data.release import loading
from covid_synth_data.sources import load_source
from tests.benchmark.conftest import SUITE, real


def phantoms():
    return load_source("phantom", None, size=96, patients=4)


def test_painted_films_are_other_films_of_the_training_normals():
    train = phantoms()
    kind = Made(kind="painted", each=2)
    rows = made.make("pairs", kind, train, "covid-19")
    assert rows.column_names == list(schema.SYNTHETIC_COLUMNS)
    assert set(rows["label"][:]) == {schema.COVID}
    assert len(set(rows["image_id"][:])) == len(rows)
    hosts = {row["image_id"]: row for row in train}
    host = hosts["phantom/" + rows[0]["source_id"]]
    assert host["label"] != schema.COVID
    assert not np.array_equal(np.asarray(host["image"]), np.asarray(rows[0]["image"]))
    assert not np.array_equal(np.asarray(rows[0]["image"]), np.asarray(rows[1]["image"]))
    again = made.make("pairs", kind, train, "covid-19")
    assert [np.asarray(row["image"]).tobytes() for row in again] == [
        np.asarray(row["image"]).tobytes() for row in rows
    ]
    controls = made.make("controls", Made(kind="painted", control="neutral"), train, "covid-19")
    assert set(controls["label"][:]) == {0}


def test_films_without_lungs_make_no_config():
    with pytest.raises(EmptySplit, match="pairs"):
        made.make("pairs", Made(kind="painted"), real("train", 3, 2, 1).select(range(0)), "covid-19")


@pytest.mark.parametrize(
    ("kind", "each", "count", "hosts"), [("copies", 2, 12, range(20, 26)), ("mislabelled", 1, 20, range(20))]
)
def test_copies_and_mislabelled_films(kind, each, count, hosts):
    train = real("train", 20, 6, 1)
    rows = made.make("config", Made(kind=kind, each=each), train, "covid-19")
    assert len(rows) == count
    assert set(rows["label"][:]) == {schema.COVID}
    pixels = {np.asarray(image).tobytes() for image in rows["image"]}
    assert pixels == {np.asarray(train[n]["image"]).tobytes() for n in hosts}


def test_a_control_is_painted():
    with pytest.raises(ValidationError, match="a control only where"):
        Made(kind="copies", control="neutral")


def test_a_task_of_all_opacities_joins_both_diseases():
    rows = phantoms()
    joined = composition.as_task(rows, ("normal", "opacity"))
    assert joined.features["label"].names == ["normal", "opacity"]
    assert [value > 0 for value in rows["label"][:]] == [value == 1 for value in joined["label"][:]]
    assert composition.as_task(rows, ("normal", "covid-19")) is rows


def ran(bench, regimes, **suite):
    content = {**SUITE, "regimes": regimes, **suite}
    paths = run(ClassificationSuite.model_validate(content), **bench.arguments)
    return {path.parts[-2]: results.validate_result(path) for path in paths}


def test_a_regime_of_copies_runs_without_a_release(bench):
    rule = {"mix": "add", "synthetic": ["copies"]}
    regimes = {"real": {"title": "Real", "mix": "real"}, "real+copies": {"title": "Copies", **rule}}
    found = ran(bench, regimes, made={"copies": {"kind": "copies", "each": 2}})
    copies = found["real+copies"]
    assert copies.composition.synthetic == {"copies": 12}
    assert (copies.composition.positives, copies.dataset) == (18, None)
    assert copies.inputs != found["real"].inputs


def test_made_configs_need_no_release(bench, monkeypatch):
    def nowhere(*given):
        raise ReleaseError("no release is here", found=str(given))

    monkeypatch.setattr(loading, "release_manifest", nowhere)
    del bench.arguments["release"]
    regimes = {"real+copies": {"title": "Copies", "mix": "add", "synthetic": ["copies"]}}
    found = ran(bench, regimes, made={"copies": {"kind": "copies", "each": 2}})
    assert found["real+copies"].composition.synthetic == {"copies": 12}


def test_scores_of_two_classifiers(bench):
    rule = {"mix": "add", "synthetic": ["gnc"]}
    regimes = {"one": {"title": "One", **rule}, "two": {"title": "Two", "join": "scores", **rule}}
    profiles = {"quick": {"models": ["small-cnn"], "seeds": 2}}
    found = ran(bench, regimes, profiles=profiles)
    assert found["two"].composition == found["one"].composition
    assert found["two"].fitting.epochs > found["one"].fitting.epochs
    assert found["two"].predictions != found["one"].predictions


def test_held_findings_are_for_their_regimes_alone(bench):
    def marked(part):
        finding = ["own" if row % 2 else "other" for row in range(len(part))]
        return part.remove_columns("source_class").add_column("source_class", finding)

    bench.splits["train"] = marked(bench.splits["train"])
    held = {"title": "Ceiling", "mix": "real", "held": True}
    regimes = {"real": {"title": "Real", "mix": "real"}, "ceiling": held}
    found = ran(bench, regimes, data={"held_findings": ["own"]})
    assert (found["real"].composition.real_negatives, found["real"].composition.real_positives) == (20, 3)
    assert (found["ceiling"].composition.real_negatives, found["ceiling"].composition.real_positives) == (
        20,
        6,
    )
    suite = ClassificationSuite.model_validate({**SUITE, "regimes": regimes})
    assert [name for name, rule in suite.regimes.items() if rule.baseline] == ["real"]


def test_a_released_config_under_another_name(bench):
    """The suite makes a config `gnc` itself, and takes the released one besides."""
    regimes = {
        "own": {"title": "", "mix": "add", "synthetic": ["gnc"]},
        "shipped": {"title": "", "mix": "add", "synthetic": ["released-gnc"]},
    }
    made_here = {"gnc": {"kind": "copies"}, "released-gnc": {"kind": "released", "config": "gnc"}}
    suite = ClassificationSuite.model_validate({**SUITE, "regimes": regimes, "made": made_here})
    assert (suite.configs_of("own"), suite.configs_of("shipped")) == ([], ["gnc"])
    run(suite, **{**bench.arguments, "regimes": ["shipped"]})
    (path,) = results.find(bench.arguments["out"])
    result = results.validate_result(path)
    assert result.composition.synthetic == {"released-gnc": 12}
    assert result.dataset.version == "0.1.0"
