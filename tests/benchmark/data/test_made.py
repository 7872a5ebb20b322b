"""Configs made from the training films, and regimes that name them as they name released ones."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from pydantic import ValidationError

from covid_synth_data import mixing, schema
from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.data import composition, made
from covid_synth_data.benchmark.data.toned import random_tone
from covid_synth_data.benchmark.suite import ClassificationSuite, load_suite
from covid_synth_data.benchmark.suite.made import Copies, Mislabelled, Painted, RandomTone, Retraced
from covid_synth_data.benchmark.training import fit
from covid_synth_data.errors import ConfigError, EmptySplit, ReleaseError
from covid_synth_data.files.encoding import encode_image
from covid_synth_data.files.models import invalid
from covid_synth_data.files.pixels import load_grey, resize
from covid_synth_data.lesions.priors import Scale
from covid_synth_data.release import loading, manifest, places
from covid_synth_data.sources import load_source
from tests.benchmark.conftest import SUITE, real


def phantoms():
    return load_source("phantom", None, size=96, patients=4)


def test_painted_films_are_other_films_of_the_training_normals():
    train = phantoms()
    kind = Painted(each=2)
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
    controls = made.make("controls", Painted(control="neutral"), train, "covid-19")
    assert set(controls["label"][:]) == {0}
    fainter = made.make("pairs", Painted(scale=Scale(density=0.2)), train, "covid-19")
    assert fainter[0]["image_id"] == rows[0]["image_id"]
    rise = [np.mean([np.mean(np.asarray(image)) for image in config["image"]]) for config in (fainter, rows)]
    assert rise[0] < rise[1]
    placebo = made.make("placebo", Painted(control="neutral", placebo=True), train, "covid-19")
    assert set(placebo["label"][:]) == {schema.COVID}
    assert [np.asarray(image).tobytes() for image in placebo["image"]] == [
        np.asarray(image).tobytes() for image in controls["image"]
    ]


def test_films_without_lungs_make_no_config():
    with pytest.raises(EmptySplit, match="pairs"):
        made.make("pairs", Painted(), real("train", 3, 2, 1).select(range(0)), "covid-19")


@pytest.mark.parametrize(
    ("rule", "count", "hosts"), [(Copies(each=2), 12, range(20, 26)), (Mislabelled(), 20, range(20))]
)
def test_copies_and_mislabelled_films(rule, count, hosts):
    train = real("train", 20, 6, 1)
    rows = made.make("config", rule, train, "covid-19")
    assert len(rows) == count
    assert set(rows["label"][:]) == {schema.COVID}
    pixels = {np.asarray(image).tobytes() for image in rows["image"]}
    assert pixels == {np.asarray(train[n]["image"]).tobytes() for n in hosts}


WEBP = {"size": 48, "codec": "webp", "quality": 60}


def test_retraced_films_are_the_training_films_in_another_encoding():
    train = real("train", 20, 6, 1)
    rows = made.make("traced", Retraced(encoding=WEBP), train, "covid-19")
    assert rows.features == train.features
    assert rows["image_id"][:] == [f"traced/{name}" for name in train["image_id"][:]]
    for column in ("label", "patient_id", "source_dataset"):
        assert rows[column][:] == train[column][:]
    image = rows.cast_column("image", datasets.Image(decode=False))[7]["image"]["bytes"]
    expected = resize(load_grey(train.cast_column("image", datasets.Image(decode=False))[7]["image"]), 48)
    assert image == encode_image(expected, "webp", 60)
    assert load_grey(image).shape == (48, 48)
    assert not np.array_equal(load_grey(image), expected)


def test_copies_in_the_encoding_of_a_release():
    train = real("train", 20, 6, 1)
    rows = made.make("reduced", Copies(each=2, encoding=WEBP), train, "covid-19")
    assert set(rows["label"][:]) == {schema.COVID}
    cells = [row["image"]["bytes"] for row in rows.cast_column("image", datasets.Image(decode=False))]
    hosts = train.select(range(20, 26)).cast_column("image", datasets.Image(decode=False))
    expected = [encode_image(resize(load_grey(row["image"]), 48), "webp", 60) for row in hosts]
    assert cells == [content for content in expected for _ in range(2)]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "retraced"}, "the key 'made.traced.encoding' is missing"),
        ({"kind": "mislabelled", "encoding": WEBP}, "unknown key 'made.traced.encoding'; expected one of "),
        ({"kind": "retraced", "encoding": WEBP, "each": 2}, "unknown key 'made.traced.each'"),
        ({"kind": "retraced", "encoding": WEBP | {"codec": "gif"}}, "'made.traced.encoding.codec'"),
        ({"kind": "copies", "control": "neutral"}, "unknown key 'made.traced.control'"),
        ({"kind": "copys"}, "wrong value for 'made.traced.kind'; found 'copys'; expected one of 'painted', "),
        ({"each": 2}, "the key 'made.traced.kind' is missing"),
        ({"kind": "painted", "eech": 2}, "did you mean 'each'"),
        ({"kind": "painted", "scale": {"extent": 0}}, "'made.traced.scale.extent'"),
        ({"kind": "painted", "placebo": True}, "name its kind with the key 'control'"),
    ],
)
def test_tables_that_say_too_little_or_too_much_get_one_line(table, message):
    """The line names the key as it stands in the file, without the model that pydantic adds."""
    with pytest.raises(ValidationError) as caught:
        ClassificationSuite.model_validate({**SUITE, "made": {"traced": table}})
    line = str(invalid(ConfigError, "my.toml", caught.value, ClassificationSuite))
    assert message in line
    assert "\n" not in line


def test_older_made_configs_keep_their_digests():
    """A key that came later is no part of what older results were made with."""
    assert Copies(each=6).rule() == {
        "kind": "copies",
        "pattern": "covid-19",
        "control": None,
        "each": 6,
        "seed": 0,
    }
    assert Retraced(encoding=WEBP).rule()["encoding"] == WEBP
    assert not {"placebo", "scale"} & set(Painted(control="neutral").rule())


def test_a_task_of_all_opacities_joins_both_diseases():
    rows = phantoms()
    joined = composition.as_task(rows, ("normal", "opacity"))
    assert joined.features["label"].names == ["normal", "opacity"]
    assert [value > 0 for value in rows["label"][:]] == [value == 1 for value in joined["label"][:]]
    assert composition.as_task(rows, ("normal", "covid-19")) is rows
    # Which code a disease has does not matter.
    covid = mixing.with_classes(rows.filter(lambda row: row["label"] == schema.COVID), ["covid-19"])
    assert set(covid["label"][:]) == {0}
    assert set(composition.as_task(covid, ("normal", "opacity"))["label"][:]) == {1}


def test_real_rows_are_joined_by_the_names_of_their_classes():
    real = mixing.with_classes(
        phantoms().filter(lambda row: row["label"] != 1, load_from_cache_file=False), ["normal", "covid-19"]
    )
    joined = composition.joined(real, phantoms().filter(lambda row: row["label"] == schema.COVID))
    assert joined.features == real.features
    positives = list(real["label"][:]).count(1)
    assert list(joined["label"][:]).count(1) == 2 * positives > 0


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


def test_retraced_films_take_the_place_of_the_real_ones(bench):
    regimes = {
        "real": {"title": "Real", "mix": "real"},
        "real-traced": {"title": "Traced", "mix": "real", "retraced": "traced"},
        "fingerprint-matched": {
            "title": "Traced, with synthetic films",
            "mix": "add",
            "synthetic": ["gnc"],
            "retraced": "traced",
        },
    }
    found = ran(bench, regimes, made={"traced": {"kind": "retraced", "encoding": WEBP}})
    plain, traced, matched = (found[name] for name in regimes)
    assert traced.composition == plain.composition
    assert traced.inputs != plain.inputs
    assert traced.predictions != plain.predictions
    assert matched.composition.real_negatives == plain.composition.real_negatives
    assert matched.composition.real_positives == plain.composition.real_positives
    assert matched.composition.positives > plain.composition.positives


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"mix": "real", "retraced": "copies"}, 'of kind "retraced" in retraced'),
        ({"mix": "real", "retraced": "gnc"}, 'of kind "retraced" in retraced'),
        ({"mix": "real", "retraced": "traced", "held": True}, "without held ones"),
        ({"mix": "add", "synthetic": ["traced"]}, "retraced films in retraced"),
    ],
)
def test_regimes_that_name_retraced_films_where_they_do_not_belong(rule, message):
    kinds = {"traced": {"kind": "retraced", "encoding": WEBP}, "copies": {"kind": "copies"}}
    with pytest.raises(ValidationError, match=message):
        ClassificationSuite.model_validate(
            {**SUITE, "regimes": {"one": {"title": "One", **rule}}, "made": kinds}
        )


@pytest.mark.parametrize(
    ("name", "config"), [("retraced", "gnc"), ("recoded", "gnc"), ("reduced", "diffaug-gan")]
)
def test_the_trace_of_a_suite_is_that_of_the_release(name, config):
    """The codec, its quality and the size of a control of `external` are those of the release's images."""
    encoding = load_suite("external").made[name].encoding
    recipe = manifest.read(places.CHECKOUT / "covid-synth-cxr").subsets[config].recipe
    assert (encoding.size, encoding.codec, encoding.quality) == (
        recipe["data"]["size"],
        recipe["release"]["codec"],
        recipe["release"]["quality"],
    )


def test_scores_of_two_classifiers(bench):
    rule = {"mix": "add", "synthetic": ["gnc"]}
    regimes = {"one": {"title": "One", **rule}, "two": {"title": "Two", "join": "scores", **rule}}
    profiles = {"quick": {"models": ["small-cnn"], "seeds": 2}}
    found = ran(bench, regimes, profiles=profiles)
    assert found["two"].composition == found["one"].composition
    assert found["two"].fitting.epochs > found["one"].fitting.epochs
    assert found["two"].predictions != found["one"].predictions


def test_pretraining_and_batches_of_pairs(bench, monkeypatch):
    """Fine-tuning sees no synthetic film in its second stage; a pair stands in one batch."""
    feeds = []
    fitted = fit.fit

    def watched(model, train, *rest, **options):
        feeds.append((train, options))
        return fitted(model, train, *rest, **options)

    monkeypatch.setattr(fit, "fit", watched)
    rule = {"mix": "add", "synthetic": ["copies"]}
    regimes = {
        "mixed": {"title": "", **rule},
        "tuned": {"title": "", "join": "fine-tune", **rule},
        "batched": {"title": "", "batches": "pairs", **rule},
    }
    made_here = {"copies": {"kind": "copies", "each": 2}}
    found = ran(bench, regimes, made=made_here, profiles={"quick": {"models": ["small-cnn"], "seeds": 1}})
    mixed, first, second, batched = (feed for feed, _ in feeds)
    assert found["tuned"].composition == found["mixed"].composition
    real = found["mixed"].composition
    assert len(mixed.labels) == real.negatives + real.positives
    # Pretraining: the copies, and the real negatives that they lack. Then the real films alone.
    assert len(first.labels) == real.real_negatives + real.synthetic["copies"]
    assert len(second.labels) == real.real_negatives + real.real_positives
    assert mixed.groups is None
    # Each positive and its two copies are a group of three; each negative is one of its own.
    sizes = np.bincount(np.bincount(batched.groups))
    assert sizes[1:].tolist() == [real.real_negatives, 0, real.real_positives]


def test_trees_cannot_learn_in_stages(bench):
    rule = {"title": "", "mix": "add", "synthetic": ["gnc"], "join": "fine-tune"}
    with pytest.raises(
        ConfigError, match='lite0-bgt learns from all films at once; found join = "fine-tune"'
    ):
        ran(
            bench,
            {"tuned": rule},
            models={"lite0-bgt": {}},
            profiles={"quick": {"models": ["lite0-bgt"], "seeds": 1}},
        )


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


def test_a_random_tone_changes_as_much_as_asked_and_smoothly():
    film = np.asarray(phantoms()[0]["image"])
    toned = random_tone(film, 20.0, (0, 1))
    assert np.abs(toned.astype(float) - film).mean() == pytest.approx(20.0, abs=0.5)
    assert np.array_equal(toned, random_tone(film, 20.0, (0, 1)))
    assert not np.array_equal(toned, random_tone(film, 20.0, (0, 2)))
    # On a grey film nothing but the fields is seen: neighbours differ by far less than the change.
    grey = random_tone(np.full((96, 96), 128, np.uint8), 20.0, (0, 3)).astype(float)
    assert np.abs(np.diff(grey, axis=1)).mean() < 2.0
    assert grey.std() > 15


def test_normals_of_a_random_tone_are_called_positive():
    train = real("train", 20, 6, 1)
    encoding = {"size": 48, "codec": "webp"}
    kind = RandomTone(count=5, change=10.0, encoding=encoding)
    rows = made.make("tone", kind, train, "covid-19")
    assert len(rows) == 5
    assert set(rows["label"][:]) == {schema.COVID}
    assert {image.size for image in rows["image"]} == {(48, 48)}
    negatives = set(train["source_id"][:20])
    assert set(rows["source_id"][:]) <= negatives
    assert len(made.make("tone", kind.model_copy(update={"count": 50}), train, "covid-19")) == 20
