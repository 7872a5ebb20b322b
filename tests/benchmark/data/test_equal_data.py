"""The films of a generator join the training films: each once, none that is trained on already."""

from __future__ import annotations

import types

import pandas as pd
import pytest
from pydantic import ValidationError

from covid_synth_data import schema
from covid_synth_data.benchmark.data import equal_data
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import EmptySplit, LeakError
from covid_synth_data.release.manifest import Learned
from tests.benchmark.conftest import SUITE, film, write_manifest
from tests.benchmark.running.single import one

COLUMNS = ["image_id", "patient_id", "source_dataset", "source_id", "source_class", "source_license", "view"]


def plan_of(*rows):
    """A plan with films (name, class, split, pixel seed, reason)."""
    frame = pd.DataFrame(
        [
            {
                **dict.fromkeys([*COLUMNS, "path", "same_film"], ""),
                "image_id": f"phantom/{name}",
                "source_id": name,
                "source_dataset": "phantom",
                "patient_id": f"phantom:{name}",
                "class": label,
                "split": split,
                "reason": reason,
                "bytes": film(seed, True),
            }
            for name, label, split, seed, reason in rows
        ]
    )
    return types.SimpleNamespace(frame=frame, label_names=schema.LABELS)


ROWS = (
    ("trained", "covid-19", "train", 1, ""),
    ("away", "covid-19", "", 2, "the protocol trains on another source"),
    ("copy", "covid-19", "", 1, "the protocol trains on another source"),
    ("twice", "covid-19", "", 2, "the protocol trains on another source"),
    ("normal", "normal", "", 3, "the protocol trains on another source"),
    ("stranger", "covid-19", "", 4, "the protocol trains on another source"),
)


def learned(*names):
    return Learned(films=[f"phantom/{name}" for name in names], patients=[])


def test_films_join_once_and_copies_of_training_films_do_not():
    found = equal_data.generator_films(
        "gnc", learned("trained", "away", "copy", "twice", "normal"), plan_of(*ROWS), "covid-19"
    )
    assert found["image_id"][:] == ["phantom/away"]
    assert found["label"][:] == [schema.COVID]


def test_where_all_are_trained_on_there_is_no_such_arm():
    with pytest.raises(EmptySplit, match="no film of the generator of gnc can join"):
        equal_data.generator_films("gnc", learned("trained", "copy"), plan_of(*ROWS), "covid-19")


def equal_data_bench(bench, monkeypatch, plan):
    regimes = {
        **SUITE["regimes"],
        "equal-data": {"title": "Equal data", "mix": "real", "generator_films": "gnc"},
        "equal-data+gnc": {"title": "Both", "mix": "add", "synthetic": ["gnc"], "generator_films": "gnc"},
    }
    bench.suite = ClassificationSuite.model_validate({**SUITE, "regimes": regimes})
    write_manifest(bench.arguments["release"], films=["phantom/away", "phantom/stranger"], patients=[])
    from covid_synth_data import tasks

    held = {"left_out": pd.DataFrame({"source_dataset": [], "reason": []}), "notes": (), "folds": 1}
    plan = types.SimpleNamespace(**vars(plan), classes=("normal", "covid-19"), **held)
    monkeypatch.setattr(tasks, "plan_task", lambda *_args, **_options: plan)


def test_a_regime_with_the_films_of_a_generator_says_so_and_is_a_baseline(bench, monkeypatch):
    equal_data_bench(bench, monkeypatch, plan_of(*ROWS))
    result = one(bench, "equal-data")
    assert (result.composition.real_positives, result.composition.synthetic) == (8, {})
    assert result.regime_rule.baseline
    assert result.dataset is not None  # the release says which films these are
    both = one(bench, "equal-data+gnc")
    assert (both.composition.real_positives, both.composition.synthetic) == (8, {"gnc": 12})
    assert not both.regime_rule.baseline
    assert both.inputs != one(bench, "real+gnc").inputs


def test_a_film_of_the_generator_that_is_tested_on_is_a_leak(bench, monkeypatch):
    tested = bench.splits["test"][-1]
    rows = (("away", "covid-19", "", 2, "elsewhere"),)
    plan = plan_of(*rows)
    plan.frame["patient_id"] = tested["patient_id"]
    equal_data_bench(bench, monkeypatch, plan)
    with pytest.raises(LeakError):
        one(bench, "equal-data")


def test_a_suite_refuses_the_films_of_a_generator_that_is_made_on_the_spot():
    content = {
        **SUITE,
        "made": {"copies": {"kind": "copies"}},
        "regimes": {"real": {"title": "", "mix": "real", "generator_films": "copies"}},
    }
    with pytest.raises(ValidationError, match="a released config"):
        ClassificationSuite.model_validate(content)
