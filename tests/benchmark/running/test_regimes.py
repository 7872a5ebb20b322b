"""The training set of each regime: its composition, limits, and leaks of generators."""

from __future__ import annotations

import json

import datasets
import pytest
from pydantic import ValidationError

from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.suite.classification import Data
from covid_synth_data.errors import ConfigError, CorruptRelease, ImpossibleMix, LeakError, ResultError
from covid_synth_data.schema import COVID
from tests.benchmark.conftest import synthetic, write_manifest
from tests.benchmark.running.single import one


@pytest.mark.parametrize(
    ("regime", "negatives", "positives", "gnc", "skew"),
    [
        ("real", 20, 6, {}, 20 / 6),
        ("real+gnc", 20, 6, {"gnc": 12}, 20 / 18),
        ("skewed", 20, 6, {"gnc": 4}, 2.0),
        ("synthetic-only", 20, 0, {"gnc": 12}, 20 / 12),
        ("balanced", 20, 6, {}, 20 / 6),
        ("augmented", 20, 6, {}, 20 / 6),
    ],
)
def test_each_regime_is_composed_as_it_says(bench, regime, negatives, positives, gnc, skew):
    result = one(bench, regime)
    made_of = result.composition
    assert (made_of.real_negatives, made_of.real_positives, made_of.synthetic) == (negatives, positives, gnc)
    assert made_of.skew == pytest.approx(skew)
    assert (result.test.negatives, result.test.positives, result.test.patients) == (12, 6, 9)
    assert {row.image_id for row in result.predictions} == set(bench.splits["test"]["image_id"][:])
    assert (result.dataset is None) == (not gnc)
    if gnc:
        assert (result.dataset.name, result.dataset.version) == ("covid-synth-cxr", "0.1.0")


@pytest.mark.parametrize(("regime", "real_positives", "gnc"), [("real+gnc", 6, 4), ("synthetic-only", 0, 10)])
def test_a_regime_may_say_how_many_positives(bench, regime, real_positives, gnc):
    counted(bench, regime, positives=10)
    result = one(bench, regime)
    made_of = result.composition
    assert (made_of.real_positives, made_of.synthetic, made_of.positives) == (
        real_positives,
        {"gnc": gnc},
        10,
    )
    assert result.regime_rule.positives == 10
    again = one(bench, regime, seeds=[1])
    assert again.inputs != result.inputs
    counted(bench, regime, positives=11)
    with pytest.raises(ResultError, match="other data or settings"):
        one(bench, regime)


def counted(bench, regime, positives):
    """Give a regime of the suite a number of positives."""
    regimes = bench.suite.regimes
    changed = regimes[regime].model_copy(update={"positives": positives})
    bench.suite = bench.suite.model_copy(update={"regimes": {**regimes, regime: changed}})


@pytest.mark.parametrize(("positives", "regime"), [(5, "real+gnc"), (19, "real+gnc"), (13, "synthetic-only")])
def test_positives_that_cannot_be_had(bench, positives, regime):
    counted(bench, regime, positives)
    reach = "6 to 18" if regime == "real+gnc" else "0 to 12"
    with pytest.raises(ImpossibleMix, match=f"{positives} positives cannot .* expected {reach} positives"):
        one(bench, regime)
    assert not bench.arguments["out"].exists()


def test_synthetic_negatives_do_not_count_as_positives(bench):
    """A config of a class-conditional generator: half of it shows the positive class."""
    labels = [COVID, 0] * 6
    rows = bench.configs["gnc"].remove_columns("label").add_column("label", labels)
    bench.configs["gnc"] = rows.cast(synthetic("gnc", 1, 1).select_columns(rows.column_names).features)
    counted(bench, "real+gnc", positives=12)
    made_of = one(bench, "real+gnc").composition
    assert (made_of.negatives, made_of.positives, made_of.synthetic) == (20, 12, {"gnc": 6})


def test_configs_of_different_regimes_may_share_films(bench):
    """As `cyclegan` holds all of `gnc`."""
    bench.configs["cyclegan"] = datasets.concatenate_datasets([bench.configs["gnc"], synthetic("gpc", 5, 9)])
    regime = bench.suite.regimes["real+gnc"].model_copy(update={"synthetic": ["cyclegan"]})
    bench.suite = bench.suite.model_copy(update={"regimes": {**bench.suite.regimes, "real+both": regime}})
    paths = run(bench.suite, **bench.arguments, regimes=["real+gnc", "real+both"])
    counts = [results.validate_result(path).composition.synthetic for path in paths]
    assert counts == [{"gnc": 12}, {"cyclegan": 17}]
    bench.configs["cyclegan"] = synthetic("gnc", 12, 77)
    with pytest.raises(LeakError, match="names two films"):
        run(
            bench.suite,
            **{**bench.arguments, "out": bench.arguments["out"] / "b"},
            regimes=["real+gnc", "real+both"],
        )


def test_a_config_that_holds_another_subset_is_refused(bench):
    """Shards called baseline-gan-plain-* also fit the pattern baseline-gan-*."""
    bench.configs["gnc"] = datasets.concatenate_datasets([bench.configs["gnc"], synthetic("gpc", 5, 9)])
    with pytest.raises(CorruptRelease, match="'gnc' holds films of other subsets; found gpc; expected gnc"):
        one(bench, "real+gnc")


def test_generators_may_have_seen_the_validation_films_where_the_suite_says_so(bench):
    """As in menon2020; the result says it, and a test film stays forbidden."""
    seen = [bench.splits["validation"][n]["image_id"] for n in (1, 4)]
    write_manifest(bench.arguments["release"], films=seen, patients=[])
    data = Data(generators_saw=["train", "validation"])
    bench.suite = bench.suite.model_copy(update={"data": data})
    note = "2 validation films, or others of their patients, taught a generator"
    assert note in one(bench, "real+gnc").notes
    assert note not in one(bench, "real").notes
    write_manifest(bench.arguments["release"], films=[bench.splits["test"][1]["image_id"]], patients=[])
    with pytest.raises(LeakError, match="the test part has films that a generator"):
        one(bench, "real+gnc", seeds=[1])
    with pytest.raises(ValidationError):
        Data(generators_saw=["train", "test"])


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("kind", ["films", "patients"])
def test_films_that_taught_the_generator_are_not_tested_on(bench, part, kind):
    row = bench.splits[part][1]
    learned = {"films": [], "patients": []}
    learned[kind] = [row["image_id" if kind == "films" else "patient_id"]]
    write_manifest(bench.arguments["release"], **learned)
    with pytest.raises(LeakError, match=f"the {part} part has films that a generator"):
        one(bench, "real+gnc")
    one(bench, "real")


def test_a_limit_thins_out_the_negatives_only(bench):
    result = one(bench, "real", limit=7)
    assert (result.composition.real_negatives, result.composition.real_positives, result.limit) == (7, 6, 7)
    assert result.test.negatives == 12
    with pytest.raises(ConfigError, match="no such limit"):
        one(bench, "real", limit=0)


def test_a_suite_may_make_its_own_imbalance(bench, suite):
    data = suite.data.model_copy(update={"max_positives": 2})
    bench.suite = suite.model_copy(update={"data": data})
    made_of = one(bench, "real").composition
    assert (made_of.real_negatives, made_of.real_positives, made_of.skew) == (20, 2, 10)


@pytest.mark.parametrize(("limit", "negatives"), [(None, 9), (7, 7), (15, 9)])
def test_a_suite_may_limit_its_negatives(bench, suite, limit, negatives):
    data = suite.data.model_copy(update={"max_negatives": 9})
    bench.suite = suite.model_copy(update={"data": data})
    result = one(bench, "real+gnc", limit=limit)
    assert (result.composition.real_negatives, result.composition.positives) == (negatives, 18)
    assert result.test.negatives == 12


@pytest.mark.parametrize("kind", ["films", "patients"])
def test_a_manifest_that_hides_what_the_generator_learned_from_is_refused(bench, kind):
    """The card of the weights names a test film; the manifest no longer does."""
    row = bench.splits["test"][1]
    learned = {"films": [row["image_id"]], "patients": [row["patient_id"]]}
    write_manifest(bench.arguments["release"], **learned)
    path = bench.arguments["release"] / "manifest.json"
    content = json.loads(path.read_text())
    content["subsets"]["gnc"]["learned_from"][kind] = []
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptRelease, match=f"about the training of 'gnc'; found 0 {kind}"):
        one(bench, "real+gnc")
    one(bench, "real")
