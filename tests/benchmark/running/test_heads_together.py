"""Seeds of a frozen head trained in one piece against one by one, and what their result files tell."""

from __future__ import annotations

import numpy as np
import pytest

from covid_synth_data.benchmark import results, run
from covid_synth_data.benchmark.data import composition
from covid_synth_data.benchmark.reporting.tables import films_warning, summarise
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.benchmark.training.worker import Worker
from covid_synth_data.errors import LeakError
from covid_synth_data.metrics import detection
from tests.benchmark.conftest import SUITE, synthetic

HEAD = {"models": ["lite0-frozen"]}


def ran(bench, out, **changes):
    paths = run(bench.suite, **{**bench.arguments, **HEAD, "out": bench.arguments["out"] / out, **changes})
    return [results.validate_result(path) for path in paths]


ADDED = {"title": "Added", "mix": "add", "synthetic": ["gnc"]}
WAYS = {
    "scores": {**ADDED, "join": "scores"},
    "tuned": {**ADDED, "join": "fine-tune"},
    "batched": {**ADDED, "batches": "pairs"},
}


@pytest.mark.parametrize("regime", ["skewed", "augmented", *WAYS])
def test_two_seeds_at_once_predict_what_each_does_alone(bench, regime, monkeypatch):
    bench.suite = ClassificationSuite.model_validate({**SUITE, "regimes": {**SUITE["regimes"], **WAYS}})
    pieces = []
    train = Worker.train
    monkeypatch.setattr(Worker, "train", lambda *given: pieces.append(len(given[1])) or train(*given))
    both = ran(bench, "both", regimes=[regime], seeds=[0, 3])
    assert pieces == [2]
    alone = [ran(bench, "alone", regimes=[regime], seeds=[seed])[0] for seed in (0, 3)]
    assert pieces == [2, 1, 1]
    for one, other in zip(both, alone, strict=True):
        assert (one.seed, one.inputs, one.fitting.epochs) == (other.seed, other.inputs, other.fitting.epochs)
        assert one.composition == other.composition
        mine, theirs = ([row.probabilities for row in result.predictions] for result in (one, other))
        assert [row.image_id for row in one.predictions] == [row.image_id for row in other.predictions]
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
        assert one.fitting.validation_auc == pytest.approx(other.fitting.validation_auc, abs=1e-3)
    first, second = ([row.probabilities for row in result.predictions] for result in both)
    assert np.abs(np.subtract(first, second)).max() > 1e-4


def test_the_validation_auc_is_that_of_the_validation_films(bench, monkeypatch):
    seen = {}
    outcome = Worker._outcome

    def watched(self, train, parts, trained, used, probabilities):
        seen["auc"] = detection.auc(
            parts["validation"].positives.astype(int), probabilities["validation"][:, 1]
        )
        return outcome(self, train, parts, trained, used, probabilities)

    monkeypatch.setattr(Worker, "_outcome", watched)
    (found,) = ran(bench, "out", regimes=["real"], seeds=[0])
    assert found.fitting.validation_auc == pytest.approx(seen["auc"])
    assert 0 <= seen["auc"] <= 1


def test_configs_that_overlap_are_refused():
    whole = synthetic("gnc", 6, 4)
    composition._check_overlap([whole, synthetic("gpc", 6, 5)])
    with pytest.raises(LeakError, match="gnc-00002"):
        composition._check_overlap([whole, whole.select([2])])


def test_films_without_patients_are_called_films(bench):
    names = [f"phantom:film-{n}" for n in range(4)] + bench.splits["test"]["patient_id"][4:]
    test = bench.splits["test"].remove_columns("patient_id").add_column("patient_id", names)
    bench.splits["test"] = test
    ran(bench, "out", regimes=["real"], seeds=[0])
    (row,) = summarise(bench.arguments["out"] / "out")
    assert row.films_as_patients == 4
    assert films_warning(row).startswith("Films, not patients: the sources of 4 of the 18 test films")
    assert films_warning(row.model_copy(update={"films_as_patients": 0})) is None
