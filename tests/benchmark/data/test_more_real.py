"""Real films beside the training films: those of a generator, and those held back to pose as synthetic."""

from __future__ import annotations

import types

import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from covid_synth_data import tasks
from covid_synth_data.benchmark.data import more_real
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.benchmark.suite.made import Copies, HeldBack, Made
from covid_synth_data.errors import EmptySplit, ImpossibleMix, LeakError
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
    return types.SimpleNamespace(frame=frame, classes=("normal", "covid-19"))


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
    found = more_real.generator_films(
        "gnc", learned("trained", "away", "copy", "twice", "normal"), plan_of(*ROWS), "covid-19"
    )
    assert found["image_id"][:] == ["phantom/away"]
    assert found.features["label"].names == ["normal", "covid-19"]
    assert found["label"][:] == [1]


def test_where_all_are_trained_on_there_is_no_such_arm():
    with pytest.raises(EmptySplit, match="no film of the generator of gnc can join"):
        more_real.generator_films("gnc", learned("trained", "copy"), plan_of(*ROWS), "covid-19")


def equal_data_bench(bench, monkeypatch, plan):
    regimes = {
        **SUITE["regimes"],
        "equal-data": {"title": "Equal data", "mix": "real", "generator_films": "gnc"},
        "equal-data+gnc": {"title": "Both", "mix": "add", "synthetic": ["gnc"], "generator_films": "gnc"},
    }
    bench.suite = ClassificationSuite.model_validate({**SUITE, "regimes": regimes})
    write_manifest(bench.arguments["release"], films=["phantom/away", "phantom/stranger"], patients=[])
    with_plan(monkeypatch, plan)


def with_plan(monkeypatch, plan):
    more = {"left_out": pd.DataFrame({"source_dataset": [], "reason": []}), "notes": (), "folds": 1}
    plan = types.SimpleNamespace(**vars(plan), **more)
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


def held(**options):
    return HeldBack(**options)


def test_films_that_a_limit_left_out_are_held_back_and_no_others():
    rows = [(f"train-{n}", "covid-19", "train", n, "") for n in range(8)]
    plan = plan_of(*rows, ("test", "covid-19", "test", 20, ""), ("away", "covid-19", "", 21, "elsewhere"))
    trained_on = [f"phantom/train-{n}" for n in range(3)]
    found = more_real.held_back("more", held(count=4), plan, trained_on, "covid-19")
    ids = found["image_id"][:]
    assert len(set(ids)) == 4
    assert set(ids) < {f"phantom/train-{n}" for n in range(3, 8)}
    assert ids == more_real.held_back("more", held(count=4), plan, trained_on, "covid-19")["image_id"][:]
    drawn = {
        tuple(more_real.held_back("more", held(count=4, seed=seed), plan, trained_on, "covid-19")["image_id"])
        for seed in range(6)
    }
    assert len(drawn) > 1
    with pytest.raises(ImpossibleMix, match="cannot hold back 6 films"):
        more_real.held_back("more", held(count=6), plan, trained_on, "covid-19")


def test_films_of_another_source_are_no_copies_of_films_in_use():
    plan = plan_of(
        ("trained", "covid-19", "train", 1, ""),
        ("tested", "covid-19", "test", 2, ""),
        ("new", "covid-19", "", 3, "elsewhere"),
        ("copy-of-trained", "covid-19", "", 1, "elsewhere"),
        ("copy-of-tested", "covid-19", "", 2, "elsewhere"),
        ("normal", "normal", "", 4, "elsewhere"),
    )
    plan.frame.loc[2:, "source_dataset"] = "hospital"
    found = more_real.held_back("more", held(count=1, source="hospital"), plan, [], "covid-19")
    assert found["image_id"][:] == ["phantom/new"]
    with pytest.raises(ImpossibleMix, match="films of hospital that are not used"):
        more_real.held_back("more", held(count=2, source="hospital"), plan, [], "covid-19")


def test_a_regime_takes_held_back_films_as_a_config(bench, monkeypatch):
    regimes = {
        "real": SUITE["regimes"]["real"],
        "more": {"title": "More", "mix": "add", "synthetic": ["held"]},
    }
    content = {**SUITE, "regimes": regimes, "made": {"held": {"kind": "held-back", "count": 2}}}
    bench.suite = ClassificationSuite.model_validate(content)
    with_plan(
        monkeypatch, plan_of(("spare", "covid-19", "train", 31, ""), ("other", "covid-19", "train", 32, ""))
    )
    result = one(bench, "more")
    assert (result.composition.real_positives, result.composition.synthetic) == (6, {"held": 2})
    assert result.dataset is None  # no release is needed


def test_older_configs_have_the_digests_that_they_had():
    """Result files of 2026-11 name this rule of copies; a later key must not make them another run's."""
    assert Copies(each=6).rule() == {
        "kind": "copies",
        "pattern": "covid-19",
        "control": None,
        "each": 6,
        "seed": 0,
    }
    rest = {"pattern": "covid-19", "control": None, "each": 1, "seed": 0}
    assert held(count=2).rule() == {"kind": "held-back", "count": 2, **rest}


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "held-back"},
        {"kind": "released"},
        {"kind": "copies", "config": "gnc"},
        {"kind": "copies", "count": 3},
        {"kind": "copies", "source": "rsna"},
        {"kind": "held-back", "count": 3, "each": 2},
    ],
)
def test_counts_and_sources_are_of_held_back_films(content):
    with pytest.raises(ValidationError):
        TypeAdapter(Made).validate_python(content)


def test_a_suite_refuses_the_films_of_a_generator_that_is_made_on_the_spot():
    content = {
        **SUITE,
        "made": {"copies": {"kind": "copies"}},
        "regimes": {"real": {"title": "", "mix": "real", "generator_films": "copies"}},
    }
    with pytest.raises(ValidationError, match="a released config"):
        ClassificationSuite.model_validate(content)
