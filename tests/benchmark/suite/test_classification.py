"""Suites: those that come with the package, and files that are no suites."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from covid_synth_data import benchmark, tasks
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.catalog import DATASETS
from covid_synth_data.errors import ConfigError, UnknownName
from tests.benchmark.conftest import SUITE


@pytest.mark.parametrize("name", benchmark.list_suites())
def test_suites_name_what_exists(name):
    suite = benchmark.load_suite(name)
    configs = {entry.config for entry in DATASETS if entry.dataset == suite.release_name}
    assert {config for regime in suite.regimes for config in suite.configs_of(regime)} <= configs
    assert set(suite.lists().get("tasks", [])) <= {task.name for task in tasks.list_tasks()}


def test_zunair2021_trains_as_the_paper_does():
    suite = benchmark.load_suite("zunair2021")
    training = suite.training_of("vgg16")
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adadelta", 1e-3, 16)
    assert (training.patience, training.max_epochs, suite.image_size) == (15, 200, 256)
    assert suite.training_of("lite0-frozen").optimizer == "adam"
    assert suite.training_of("lite0-frozen").patience == 15
    assert [name for name in suite.regimes_of("normal-vs-covid") if "@" not in name] == [
        "real",
        "real+gnc",
        "real+gnc+gpc",
        "synthetic-only",
        "real+copies",
        "real-balanced",
        "real-weighted",
        "real-augmented",
    ]
    assert "real+gpc" in suite.regimes_of("pneumonia-vs-covid")


def test_menon2020_binary_is_table_one():
    suite = benchmark.load_suite("menon2020-binary")
    for model in ("vgg19", "alexnet"):
        training = suite.training_of(model)
        assert (training.optimizer, training.learning_rate, training.max_epochs) == ("adam", 1e-5, 50)
        assert training.patience >= training.max_epochs
        assert suite.models[model].weights == "none"
    assert (suite.protocol, suite.image_size, suite.tasks) == ("menon2020", 128, ["normal-vs-covid"])
    # 1,400 of each class, 30 % of which validate (Sect. V).
    assert suite.data.max_negatives == round(0.7 * 1400)
    mixed = {name: regime for name, regime in suite.regimes.items() if regime.synthetic}
    assert {regime.positives for regime in mixed.values()} == {suite.data.max_negatives}
    table = {
        "baseline-gan-plain",
        "baseline-gan",
        "transfer-gan",
        "real+transfer-gan",
        "mtt-gan",
        "real+mtt-gan",
    }
    assert table <= set(suite.profiles["paper"].regimes)
    assert {name for name in mixed if mixed[name].mix == "add"} == {n for n in mixed if n.startswith("real+")}


def test_generators_compares_every_config_of_the_catalog_alike():
    suite = benchmark.load_suite("generators")
    mixed = [rule for name, rule in suite.regimes.items() if rule.synthetic and "@" not in name]
    configs = [(*regime.synthetic, regime.mix) for regime in mixed]
    ours = [entry for entry in DATASETS if entry.dataset == suite.dataset]
    one_subset = {entry.config for entry in ours if len(entry.subsets) == 1} - {"gpc", "pairs"}
    assert sorted(configs) == sorted((name, mix) for name in one_subset for mix in ("add", "synthetic-only"))
    assert {regime.positives for regime in mixed} == {min(entry.count for entry in ours)}
    # Pairs bring negatives of their own, and are tested by same-source.


def test_a_key_that_is_not_used_is_not_in_the_digest(suite):
    """Keys of a regime that come later do not change what older results were made from."""
    rule = suite.regimes["real+gnc"].rule()
    assert rule == {"synthetic": ["gnc"], "mix": "add"}
    counted = suite.regimes["real+gnc"].model_copy(update={"positives": 9})
    assert counted.rule() == {**rule, "positives": 9}
    assert suite.regimes["weighted"].rule() == {"mix": "real", "loss": "class-weighted"}


@pytest.mark.parametrize(
    ("name", "honest"),
    [("real", False), ("balanced", True), ("weighted", True), ("augmented", True), ("real+gnc", False)],
)
def test_which_baselines_are_honest(suite, name, honest):
    assert suite.regimes[name].honest is honest


def test_public_names():
    assert benchmark.__all__ == ["dry_run", "list_suites", "load_suite", "report", "run"]
    assert all(callable(getattr(benchmark, name)) for name in benchmark.__all__)
    assert set(benchmark.list_suites()) >= {
        "external",
        "generators",
        "hussain2022",
        "menon2020-binary",
        "menon2020-four-class",
        "quickstart",
        "source-matched",
        "zunair2021",
    }
    with pytest.raises(AttributeError, match="scoreboard"):
        benchmark.scoreboard  # noqa: B018


def test_unknown_names_are_met_with_a_guess(suite):
    with pytest.raises(UnknownName, match="did you mean 'zunair2021'"):
        benchmark.load_suite("zunair")
    with pytest.raises(UnknownName, match="did you mean 'real\\+gnc'"):
        suite.choose("regimes", ["realgnc"])
    with pytest.raises(UnknownName, match="small-cnn"):
        suite.choose("models", ["smal-cnn"])


def _toml(tmp_path, **changes):
    import tomlkit

    path = tmp_path / "mine.toml"
    path.write_text(tomlkit.dumps({**SUITE, **changes}))
    return path


def test_a_suite_of_ones_own(tmp_path):
    assert benchmark.load_suite(_toml(tmp_path)) == ClassificationSuite.model_validate(SUITE)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image_sise": 3}, "did you mean 'image_size'"),
        ({"image_size": "big"}, "image_size"),
        ({"version": "1"}, "version"),
        ({"name": "../up"}, "name"),
        ({"regimes": {"../x": {"title": "", "mix": "real"}}}, "regimes"),
        ({"regimes": {"x": {"title": "", "mix": "skew", "synthetic": ["gnc"]}}}, "a skew exactly where"),
        ({"regimes": {"x": {"title": "", "mix": "real", "synthetic": ["gnc"]}}}, "every mix but"),
        ({"regimes": {"x": {"title": "", "mix": "real", "positives": 9}}}, "positives only where"),
        (
            {
                "regimes": {
                    "x": {"title": "", "mix": "skew", "skew": 1.0, "synthetic": ["gnc"], "positives": 9}
                }
            },
            "positives only where",
        ),
        ({"regimes": {"x": {"title": "", "mix": "add", "synthetic": ["gnc"], "positives": 0}}}, "positives"),
        ({"regimes": {"x": {"title": "", "mix": "real", "join": "fine-tune"}}}, 'join = "fine-tune" only'),
        ({"regimes": {"x": {"title": "", "mix": "real", "batches": "pairs"}}}, 'batches = "pairs" only'),
        ({"data": {"max_negatives": 0}}, "max_negatives"),
        ({"data": {"max_negative": 9}}, "did you mean 'max_negatives'"),
        ({"data": {"generators_saw": ["test"]}}, "generators_saw"),
        (
            {"regimes": {"x": {"title": "", "mix": "add", "synthetic": ["gnc", "gnc"]}}},
            "each synthetic config",
        ),
        ({"regimes": {"x": {"title": "", "mix": "real", "tasks": ["other"]}}}, "tasks of the suite"),
        ({"models": {"vgg-16": {}}, "profiles": {"q": {"models": ["vgg-16"]}}}, "did you mean 'vgg16'"),
        ({"profiles": {"quick": {"models": ["vgg16"]}}}, "not 'vgg16'"),
        ({"training": {"batch_size": 0}}, "training.batch_size"),
    ],
)
def test_files_that_are_no_suites(tmp_path, changes, text):
    with pytest.raises(ConfigError, match=text) as caught:
        benchmark.load_suite(_toml(tmp_path, **changes))
    assert "mine.toml" in str(caught.value)


def test_suites_do_not_change(suite):
    with pytest.raises(ValidationError):
        suite.name = "other"
