"""Regimes against each other: counted by hand, seed by seed, and what a gain survives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from covid_synth_data.benchmark.reporting import comparisons, gains
from covid_synth_data.benchmark.suite import Regime
from covid_synth_data.errors import ResultError
from covid_synth_data.metrics import comparison, detection


@dataclass(frozen=True)
class Film:
    image_id: str
    patient_id: str
    label: int
    probabilities: list[float]


@dataclass(frozen=True)
class Run:
    regime: str
    seed: int
    predictions: list[Film]

    @property
    def regime_rule(self):
        """What a suite would say of a regime of that name."""
        augmented = {"augment": "plain"} if self.regime == "real-balanced" else {}
        real = (
            {"mix": "real", **augmented}
            if self.regime.split("-")[0] == "real" and "+" not in self.regime
            else None
        )
        return Regime(title="", **(real or {"mix": "add", "synthetic": ["gnc"]}))


LABELS = np.repeat([0, 1], [60, 30])
PATIENTS = [f"p{n // 2}" for n in range(90)]


def run(regime, strength, seed=0, labels=LABELS, classes=2):
    """A classifier that finds more the greater its `strength` is; its noise depends on the seed alone."""
    rng = np.random.default_rng([seed, 7])
    scores = rng.normal(size=(len(labels), classes)) + strength * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    films = [Film(f"i{n}", PATIENTS[n], int(labels[n]), row.tolist()) for n, row in enumerate(probabilities)]
    return Run(regime, seed, films)


def runs(seeds=(0, 1), **strengths):
    return [run(name.replace("_", "-"), value, seed) for name, value in strengths.items() for seed in seeds]


def compare(results, **options):
    return comparisons.compare(results, **{"replicates": 200, **options})


def pair(pairs, baseline, regime):
    (found,) = [one for one in pairs if (one.baseline, one.regime) == (baseline, regime)]
    return found


def right(result):
    scores = np.array([film.probabilities[1] for film in result.predictions])
    return (scores >= 0.5) == (LABELS == 1), scores


def test_one_seed_is_what_the_tests_say():
    a, b = run("real", 0.3), run("mtt-gan", 2.0)
    found = pair(compare([a, b], replicates=2000), "real", "mtt-gan").seeds[0]
    (right_a, scores_a), (right_b, scores_b) = right(a), right(b)
    positive = LABELS == 1
    assert found.films == comparison.mcnemar(right_a, right_b)
    assert found.positives == comparison.mcnemar(right_a[positive], right_b[positive])
    assert found.fisher_positives == comparison.fisher(
        int(right_a[positive].sum()), 30, int(right_b[positive].sum()), 30
    )
    assert found.fisher_films.a.n == 90
    assert found.auc == comparison.auc_difference(LABELS, scores_a, scores_b, PATIENTS)
    whose = [PATIENTS[n] for n in np.flatnonzero(positive)]
    assert found.sensitivity == comparison.share_difference(right_a[positive], right_b[positive], whose)
    points = [
        detection.sensitivity_at_specificity(LABELS, scores, 0.9).sensitivity
        for scores in (scores_a, scores_b)
    ]
    assert found.at_specificity.both + found.at_specificity.only_a == points[0].count
    assert found.at_specificity.both + found.at_specificity.only_b == points[1].count


def test_seeds_are_mean_and_range_of_those_that_both_have():
    results = [*runs(seeds=(0, 1, 2), real=0.5), *runs(seeds=(1, 2, 3), mtt_gan=1.5)]
    found = pair(compare(results), "real", "mtt-gan")
    assert [one.seed for one in found.seeds] == [1, 2]
    each = [one.auc.difference for one in found.seeds]
    assert (found.auc.mean, found.auc.lowest, found.auc.highest) == (
        pytest.approx(np.mean(each)),
        min(each),
        max(each),
    )
    assert found.sensitivity.mean == pytest.approx(np.mean([one.positives.difference for one in found.seeds]))
    assert found.accuracy.highest == max(one.films.difference for one in found.seeds)


def test_the_order_of_films_and_folds_does_not_matter():
    a, b = run("real", 0.5), run("mtt-gan", 1.5)
    whole = compare([a, b])
    folds = [Run(b.regime, 0, b.predictions[start::3]) for start in range(3)]
    shuffled = Run(a.regime, 0, a.predictions[::-1])
    assert compare([shuffled, *folds]) == whole


def test_holm_is_over_the_regimes_of_one_baseline_and_seed():
    results = runs(real=0.2, real_balanced=0.4, a_gan=1.0, b_gan=1.5)
    pairs = compare(results)
    for seed in (0, 1):
        family = [one for two in pairs if two.baseline == "real" for one in two.seeds if one.seed == seed]
        assert len(family) == 3
        assert [one.positives_holm for one in family] == comparison.holm([one.positives.p for one in family])
        assert [one.films_holm for one in family] == comparison.holm([one.films.p for one in family])


def test_the_baselines_are_real_films_alone():
    """Whatever they are called: the rule of the regime says it."""

    @dataclass(frozen=True)
    class Named:
        regime: str
        regime_rule: Regime
        seed: int = 0
        predictions: tuple[Film, ...] = ()

    real = {
        "weighted": {"loss": "class-weighted"},
        "a": {"sampling": "class-balanced"},
        "real": {},
        "small": {},
    }
    found = [Named(name, Regime(title="", mix="real", **rule)) for name, rule in real.items()]
    rest = [Named("real-balanced", Regime(title="", mix="add", synthetic=["gnc"]))]
    assert comparisons.baselines_of([*found, *found, *rest]) == ["real", "weighted", "a", "small"]
    assert comparisons.baselines_of(rest) == []


def test_every_regime_meets_every_baseline():
    pairs = compare(runs(seeds=(0,), real=0.2, real_balanced=0.4, gan=1.0))
    assert [(one.baseline, one.regime) for one in pairs] == [
        ("real", "real-balanced"),
        ("real", "gan"),
        ("real-balanced", "real"),
        ("real-balanced", "gan"),
    ]
    chosen = compare(runs(seeds=(0,), real=0.2, gan=1.0), baselines=["gan"])
    assert [(one.baseline, one.regime) for one in chosen] == [("gan", "real")]


def gain(results, regime, metric):
    (found,) = [one for one in gains.gains(compare(results)) if (one.regime, one.metric) == (regime, metric)]
    return found


def test_a_gain_over_real_that_class_balancing_reaches_too_does_not_survive():
    results = runs(real=0.2, real_balanced=2.5, gan=2.5)
    for metric in ("AUC", "accuracy", "sensitivity at 0.5", "sensitivity at specificity 0.90"):
        found = gain(results, "gan", metric)
        assert found.over_real > 0.1
        assert (found.best, found.over_best.mean, found.survives) == ("real-balanced", 0, False)


def test_a_gain_over_all_baselines_survives_and_the_best_may_be_real_itself():
    found = gain(runs(real=0.6, real_balanced=0.1, gan=4.0), "gan", "AUC")
    assert (found.best, found.survives) == ("real", True)
    assert found.over_best.mean == found.over_real
    assert 0 < found.low <= found.over_best.mean <= found.high
    assert found.p is None
    counted = gain(runs(real=0.6, real_balanced=0.1, gan=4.0), "gan", "accuracy")
    assert counted.survives
    pairs = compare(runs(real=0.6, real_balanced=0.1, gan=4.0))
    assert counted.p == max(one.films_holm for one in pair(pairs, counted.best, "gan").seeds)
    assert counted.low is None


def test_a_gain_under_one_seed_only_does_not_survive():
    results = [*runs(real=0.3, real_balanced=0.3), run("gan", 4.0, 0), run("gan", 0.2, 1)]
    found = gain(results, "gan", "AUC")
    assert found.over_best.mean > 0
    assert not found.survives


def test_without_an_honest_baseline_nothing_is_said_to_survive():
    results = runs(real=0.2, gan=4.0)
    assert gain(results, "gan", "AUC").survives is None
    assert "not tested" in gains.table(compare(results))
    assert "nothing is said to survive" in gains.verdict(gains.gains(compare(results)))


def test_the_table():
    text = gains.table(compare(runs(real=0.2, real_balanced=2.5, gan=2.5)))
    (line,) = [line for line in text.splitlines() if line.startswith("| gan ") and " AUC " in line]
    cells = [cell.strip() for cell in line.split(" | ")]
    assert cells[3:] == ["real-balanced", "0.000 [0.000 to 0.000]", "", "no       |"]
    (line,) = [line for line in text.splitlines() if " accuracy " in line]
    assert [cell.strip() for cell in line.split(" | ")][4:6] == ["0.000", "1"]
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 4
    assert any("independent" in note for note in gains.NOTES)
    assert "not run" in gains.table(compare(runs(real_balanced=0.5, gan=2.5)))


def test_the_verdict_names_what_survives():
    found = gains.gains(compare(runs(real=0.6, real_balanced=0.1, gan=4.0, wgan=0.1)))
    text = gains.verdict(found)
    assert text.startswith("Gains that survive: gan in AUC, sensitivity at specificity 0.90")
    assert text.endswith(" No gain of wgan does.")
    assert gains.verdict([one for one in found if one.regime == "wgan"]) == "No gain survives (wgan)."
    assert gains.verdict([]) == "No regime with synthetic films was run."


def test_of_several_classes_the_one_called_counts():
    labels = np.repeat([0, 1, 2], 30)
    a, b = (run(name, value, labels=labels, classes=3) for name, value in (("real", 0.3), ("gan", 2.0)))
    found = pair(compare([a, b], positive=2), "real", "gan").seeds[0]
    called = [np.array([film.probabilities for film in one.predictions]).argmax(axis=1) for one in (a, b)]
    assert found.films == comparison.mcnemar(called[0] == labels, called[1] == labels)
    at_half = [np.array([film.probabilities[2] >= 0.5 for film in one.predictions])[60:] for one in (a, b)]
    assert found.positives == comparison.mcnemar(*at_half)
    assert found.auc.a == detection.auc(labels == 2, [film.probabilities[2] for film in a.predictions])


def test_a_pair_survives_json():
    found = compare(runs(real=0.3, gan=1.0))[0]
    assert comparisons.Pair.model_validate_json(found.model_dump_json()) == found


def test_bad_results():
    a, b = run("real", 0.5), run("gan", 1.0)
    with pytest.raises(ResultError, match="no baseline to compare with; found gan"):
        compare([b])
    with pytest.raises(ResultError, match="expected real-weighted"):
        compare([a, b], baselines=["real", "real-weighted"])
    with pytest.raises(ResultError, match="no results"):
        compare([])
    with pytest.raises(ResultError, match="gan seed 0 was not tested on the same films"):
        compare([a, Run("gan", 0, b.predictions[1:])])
    with pytest.raises(ResultError, match="91 predictions of 90 films"):
        compare([a, Run("gan", 0, [*b.predictions, b.predictions[0]])])
    swapped = [Film(one.image_id, one.patient_id, 1 - one.label, one.probabilities) for one in b.predictions]
    with pytest.raises(ResultError, match="same films"):
        compare([a, Run("gan", 0, swapped)])


def test_seeds_that_are_not_shared_make_no_pair():
    assert compare([run("real", 0.5, 0), run("gan", 1.0, 1)]) == []
