"""Regimes against each other: means over the seeds, which baseline counts, and what may be claimed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from covid_synth_data.benchmark.reporting import comparisons, encodings, gains
from covid_synth_data.benchmark.reporting.samples import sample
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics import comparison, detection


@dataclass(frozen=True)
class Film:
    image_id: str
    patient_id: str
    label: int
    probabilities: list[float]


RULES = {
    "real": {},
    "real-balanced": {"sampling": "class-balanced"},
    "real-augmented": {"augment": "plain"},
    "alike": {"retraced": "traced"},
    "alike-augmented": {"retraced": "traced", "augment": "plain"},
}


@dataclass(frozen=True)
class Run:
    regime: str
    seed: int
    predictions: list[Film]
    validation_auc: float | None = 0.5
    validation_loss: float = 0.5

    @property
    def regime_rule(self):
        """What a suite would say of a regime of that name."""
        if self.regime in RULES:
            return Regime(title="", mix="real", **RULES[self.regime])
        films = "gnc" if self.regime.startswith("equal-data") else None
        if films and "gan" not in self.regime:
            augment = "plain" if self.regime.endswith("-augmented") else "none"
            return Regime(title="", mix="real", generator_films=films, augment=augment)
        augment = "plain" if self.regime.endswith("-augmented") else "none"
        retraced = "traced" if self.regime.startswith("alike-gan") else None
        return Regime(
            title="", mix="add", synthetic=["gnc"], augment=augment, generator_films=films, retraced=retraced
        )


LABELS = np.repeat([0, 1], [60, 30])
PATIENTS = [f"p{n // 2}" for n in range(90)]
TEN = tuple(range(10))


def run(regime, strength, seed=0, labels=LABELS, classes=2, **validation):
    """A classifier that finds more the greater its `strength` is. What is hard about a film is the same for
    all; the noise of a training depends on the seed and the regime."""
    hard = np.random.default_rng(7).normal(size=(len(labels), classes))
    rng = np.random.default_rng([seed, *regime.encode()])
    scores = hard + 0.3 * rng.normal(size=hard.shape) + strength * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    films = [Film(f"i{n}", PATIENTS[n], int(labels[n]), row.tolist()) for n, row in enumerate(probabilities)]
    return Run(regime, seed, films, **validation)


def samples(strengths, seeds=TEN, validation=None, **options):
    validation = validation or {}
    return [
        sample(
            [run(name, value, seed, **validation.get(name, {})) for seed in seeds],
            **{"replicates": 300, **options},
        )
        for name, value in strengths.items()
    ]


def pair(pairs, baseline, regime):
    (found,) = [one for one in pairs if (one.baseline, one.regime) == (baseline, regime)]
    return found


def gain(given, regime, metric="AUC"):
    found = gains.gains(comparisons.compare(given))
    return next(one for one in found if (one.regime, one.metric) == (regime, metric))


def test_a_contrast_is_of_the_means_over_the_seeds_that_both_have():
    real = sample([run("real", 0.5, seed) for seed in (0, 1, 2)], replicates=100)
    gan = sample([run("gan", 1.5, seed) for seed in (1, 2, 3)], replicates=100)
    found = pair(comparisons.compare([real, gan]), "real", "gan")
    assert found.seeds == [1, 2]

    def auc(name, strength, seed):
        films = run(name, strength, seed).predictions
        return detection.auc(LABELS, [film.probabilities[1] for film in films])

    expected = np.mean([auc("gan", 1.5, seed) - auc("real", 0.5, seed) for seed in (1, 2)])
    assert found.contrasts["auc"].difference == pytest.approx(expected, abs=1e-6)
    assert set(gains.METRICS.values()) <= set(found.contrasts)


def test_the_order_of_films_and_folds_does_not_matter():
    b = run("gan", 1.5)
    whole = sample([b], replicates=50)
    folds = [Run(b.regime, 0, b.predictions[start::3]) for start in range(3)]
    again = sample([folds[2], folds[0], folds[1]], replicates=50)
    assert again.films == whole.films
    assert (again.statistics["auc"].replicates == whole.statistics["auc"].replicates).all()


def test_every_regime_meets_every_baseline_and_the_rule_says_what_a_baseline_is():
    given = samples({"gan": 1.0, "real-balanced": 0.4, "real": 0.2}, seeds=(0,))
    assert [(one.baseline, one.regime) for one in comparisons.compare(given)] == [
        ("real", "gan"),
        ("real", "real-balanced"),
        ("real-balanced", "gan"),
        ("real-balanced", "real"),
    ]


def test_the_baseline_to_beat_is_chosen_on_validation_films():
    """`real-balanced` is far better on the test films, which must not matter."""
    given = samples(
        {"real": 0.2, "real-balanced": 3.0, "gan": 1.0},
        validation={"real": {"validation_auc": 0.9}, "real-balanced": {"validation_auc": 0.8}},
    )
    assert gain(given, "gan").best == "real"
    assert gain(given, "gan").verdict == "gain"
    equal = samples(
        {"real": 0.2, "real-balanced": 3.0, "gan": 1.0}, validation={"real": {"validation_loss": 0.6}}
    )
    assert gain(equal, "gan").best == "real-balanced"
    older = samples(
        {"real": 0.2, "real-balanced": 3.0, "gan": 1.0},
        validation={
            "real": {"validation_auc": None, "validation_loss": 0.4},
            "real-balanced": {"validation_auc": 0.8},
        },
    )
    assert gain(older, "gan").best == "real"


def test_a_loss_is_against_the_own_recipe_alone():
    strengths = {"real": 1.0, "real-augmented": 2.5, "gan": 1.0, "gan-augmented": 0.5}
    found = gain(samples(strengths, validation={"real-augmented": {"validation_auc": 0.9}}), "gan-augmented")
    assert (found.named, found.verdict) == ("real-augmented", "loss")
    below_best = gain(samples(strengths, validation={"real-augmented": {"validation_auc": 0.9}}), "gan")
    assert below_best.over_best.high < 0
    assert (below_best.best, below_best.named, below_best.verdict) == ("real-augmented", "real", "none")


def test_holm_is_over_all_regimes_and_metrics():
    pairs = comparisons.compare(samples({"real": 0.2, "real-balanced": 0.4, "a": 0.6, "b": 0.7}))
    found = gains.gains(pairs)
    found = [one for one in found if one.metric in gains.JUDGED]
    assert len(found) == 2 * len(gains.JUDGED)
    plain = [pair(pairs, one.best, one.regime).contrasts[gains.METRICS[one.metric]].p for one in found]
    assert [one.p for one in found] == comparison.holm(plain)
    assert all(one.detectable == one.over_best.detectable(gains.ALPHA / 4) for one in found)


def test_nine_seeds_are_too_few_and_do_not_weigh_on_the_others():
    few = [sample([run("b", 3.0, seed) for seed in range(9)], replicates=300)]
    given = samples({"real": 0.2, "real-balanced": 0.4, "a": 3.0})
    assert gain([*given, *few], "b").verdict == "too few seeds"
    assert gain([*given, *few], "a") == gain(given, "a")
    text = gains.verdict(gains.gains(comparisons.compare([*given, *few])))
    assert "b: too few seeds (9) for a verdict." in text
    alone = gains.verdict(gains.gains(comparisons.compare([*given[:2], *few])))
    assert alone == "Too few seeds (9) for a verdict; 10 are needed."


def test_metrics_at_a_threshold_are_shown_and_not_judged():
    """Adding a constant to all scores finds more positives at 0.5 and ranks no film differently."""
    real = [run("real", 0.5, seed) for seed in TEN]
    shifted = [
        replace(one, regime="gan", predictions=[_shift(film) for film in one.predictions]) for one in real
    ]
    given = [sample(real, replicates=300), sample(shifted, replicates=300), *samples({"real-augmented": 0.5})]
    at_half = gain(given, "gan", "sensitivity at 0.5")
    assert at_half.over_best.low > 0
    assert (at_half.p, at_half.verdict) == (at_half.over_best.p, "not judged")
    assert gain(given, "gan").verdict == "none"
    assert "at 0.5" not in gains.verdict(gains.gains(comparisons.compare(given)))


def _shift(film):
    odds = film.probabilities[1] / film.probabilities[0] * 3
    return replace(film, probabilities=[1 / (1 + odds), odds / (1 + odds)])


def test_equal_data_is_told_beside_a_gain_and_is_no_baseline_of_other_regimes():
    """The films of the generator alone do as well as its images: the gain over `real` is owed to them."""
    strengths = {
        "real": 0.2,
        "real-augmented": 0.2,
        "equal-data": 2.0,
        "gan": 2.0,
        "gan-augmented": 2.0,
        "equal-data-gan": 2.0,
    }
    given = samples(strengths, validation={"equal-data": {"validation_auc": 0.9}})
    found = gain(given, "gan")
    assert (found.best, found.named, found.verdict) == ("real", "real", "gain")
    assert found.over_equal_data.low < 0 < found.over_equal_data.high
    assert "over equal data" in gains.verdict(gains.gains(comparisons.compare(given)))
    assert gain(given, "gan-augmented").over_equal_data is None  # that recipe was not run with equal data
    # Report and leaderboard name the same baseline as the gains are measured against.
    assert comparisons.to_beat(given).regime == "real"
    # A regime that has these films must beat the baseline that has them.
    with_films = gain(given, "equal-data-gan")
    assert (with_films.best, with_films.named, with_films.verdict) == ("equal-data", "equal-data", "none")


def test_films_that_are_stored_alike_are_compared_with_films_that_are():
    """Another encoding of the real films is worth more than the synthetic ones, on both sides."""
    strengths = {"real": 0.2, "real-augmented": 0.4, "alike": 2.0, "alike-augmented": 1.9}
    given = samples(strengths | {"alike-gan": 2.0, "gan": 0.9}, validation={"alike": {"validation_auc": 0.9}})
    stored_alike, plain = gain(given, "alike-gan"), gain(given, "gan")
    assert (stored_alike.best, stored_alike.named, stored_alike.verdict) == ("alike", "alike", "none")
    assert (plain.best, plain.named, plain.verdict) == ("real", "real", "gain")
    assert comparisons.to_beat(given).regime == "real"
    alone = samples({"real": 0.2, "real-augmented": 0.4, "alike-gan": 2.0})
    assert not [one for one in gains.gains(comparisons.compare(alone)) if one.regime == "alike-gan"]


def test_what_real_films_gain_by_being_stored_alike_is_told():
    validation = {"alike": {"validation_auc": 0.9}}
    given = samples({"real": 0.2, "real-augmented": 0.4, "alike": 2.0, "gan": 0.9}, validation=validation)
    pairs = comparisons.compare(given)
    over = gains.with_limits(pair(pairs, "real", "alike").contrasts["auc"])
    assert f"alike {over} over real. " in encodings.sentence(given, pairs)
    for others in ({"alike": 0.2}, {}):  # no gain, not run
        rest = samples({"real": 0.2, "real-augmented": 0.4, **others}, validation=validation)
        assert encodings.sentence(rest, comparisons.compare(rest)) == ""
    few = samples({"real": 0.2, "real-augmented": 0.4, "alike": 2.0}, seeds=TEN[:9], validation=validation)
    assert encodings.sentence(few, comparisons.compare(few)) == ""


def test_without_an_honest_baseline_there_is_no_verdict():
    given = samples({"real": 0.2, "gan": 4.0})
    assert gain(given, "gan").verdict == "no honest baseline"
    assert "there is no verdict" in gains.verdict(gains.gains(comparisons.compare(given)))


def test_the_verdict_says_what_would_have_been_found():
    given = samples({"real": 0.6, "real-balanced": 0.6, "a": 4.0, "b": 0.6})
    found = gains.gains(comparisons.compare(given))
    text = gains.verdict(found)
    best = gain(given, "a")
    assert text.startswith(f"a: gain of {gains.with_limits(best.over_best)} over {best.best} in AUC;")
    size = gain(given, "b").detectable
    assert f"b: no gain over {best.best} was detectable of or above {size:.3f} in AUC" in text
    assert gains.verdict([]) == "No regime with synthetic films was run."
    full = samples({"real": 8.0, "real-balanced": 8.0, "a": 8.0})
    assert "leaves no room for a detectable gain in AUC (1.000)" in gains.verdict(
        gains.gains(comparisons.compare(full))
    )


def test_the_table():
    given = samples(
        {"real": 0.2, "real-balanced": 0.6, "gan": 0.6}, validation={"real-balanced": {"validation_auc": 0.9}}
    )
    text = gains.table(comparisons.compare(given))
    lines = [line for line in text.splitlines() if line.startswith("| gan ")]
    assert len(lines) == len(gains.METRICS)
    cells = [cell.strip() for cell in lines[0].strip("|").split(" | ")]
    assert (cells[1], cells[7], cells[11]) == ("AUC", "real", "none")
    assert "not run" in gains.table(comparisons.compare(samples({"real-balanced": 0.5, "gan": 2.5})))


def test_of_several_classes_the_one_called_counts():
    labels = np.repeat([0, 1, 2], 30)
    a, b = (run(name, value, labels=labels, classes=3) for name, value in (("real", 0.3), ("gan", 2.0)))
    one = sample([a], positive=2, replicates=50)
    called = np.array([film.probabilities for film in a.predictions]).argmax(axis=1)
    assert one.statistics["accuracy"].value == pytest.approx((called == labels).mean())
    recalls = [(called == labels)[labels == k].mean() for k in range(3)]
    assert one.statistics["macro sensitivity"].value == pytest.approx(np.mean(recalls))
    half = np.array([film.probabilities[2] >= 0.5 for film in a.predictions])[60:]
    assert one.statistics["sensitivity"].value == pytest.approx(half.mean())
    other = sample([b], positive=2, replicates=50)
    found = comparisons.compare([one, other])[0].contrasts["auc"]
    assert found.a == pytest.approx(
        detection.auc(labels == 2, [film.probabilities[2] for film in a.predictions]), abs=1e-6
    )


def test_a_pair_survives_json():
    found = comparisons.compare(samples({"real": 0.3, "gan": 1.0}, seeds=(0, 1)))[0]
    assert comparisons.Pair.model_validate_json(found.model_dump_json()) == found


def test_bad_results():
    a, b = run("real", 0.5), run("gan", 1.0)
    real = sample([a], replicates=20)
    with pytest.raises(ResultError, match="no baseline to compare with; found gan"):
        comparisons.compare([sample([b], replicates=20)])
    with pytest.raises(ResultError, match="no results"):
        comparisons.compare([])
    with pytest.raises(ResultError, match="gan was not tested on the same films as real"):
        comparisons.compare([real, sample([Run("gan", 0, b.predictions[1:])], replicates=20)])
    with pytest.raises(ResultError, match="91 predictions of 90 films"):
        sample([Run("gan", 0, [*b.predictions, b.predictions[0]])])
    with pytest.raises(ResultError, match="gan seed 1 was not tested on the same films"):
        sample([b, Run("gan", 1, b.predictions[1:])])
    swapped = [Film(one.image_id, one.patient_id, 1 - one.label, one.probabilities) for one in b.predictions]
    with pytest.raises(ResultError, match="same films"):
        comparisons.compare([real, sample([Run("gan", 0, swapped)], replicates=20)])


def test_seeds_that_are_not_shared_make_no_pair():
    given = [sample([run(name, 1.0, seed)], replicates=20) for name, seed in (("real", 0), ("gan", 1))]
    assert comparisons.compare(given) == []
