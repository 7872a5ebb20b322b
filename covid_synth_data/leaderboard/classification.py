"""The checks of results of classifiers before they stand on the leaderboard; see `validating`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data import tasks
from covid_synth_data.benchmark.data import released
from covid_synth_data.benchmark.results import ClassificationResult
from covid_synth_data.benchmark.suite import load_classifiers
from covid_synth_data.leaderboard import testsets
from covid_synth_data.leaderboard.submitted import Submitted, check_dataset, check_trained_on, wrong

if TYPE_CHECKING:
    import pandas as pd


def identity(result: ClassificationResult) -> tuple[object, ...]:
    """The fields that the seeds of one row of the leaderboard share."""
    return (result.suite, result.task, result.preprocessing, result.model, result.weights.name, result.regime)


def check_one(submitted: Submitted) -> None:
    """Regime, model and task are those of the suite, and every film and patient has a name."""
    result, suite = submitted.result, load_classifiers(submitted.result.suite)
    if result.regime not in suite.regimes_of(result.task):
        raise wrong(
            submitted,
            "is of a regime that its task does not have",
            found=f"{result.regime} of {result.task}",
            expected=", ".join(suite.regimes_of(result.task)),
            hint="run a regime of that task",
        )
    if result.training != suite.training_of(result.model):
        raise wrong(
            submitted,
            "was not trained as its suite says",
            found=str(result.training),
            expected=str(suite.training_of(result.model)),
            hint="a changed suite needs a name of its own",
        )
    strange = set(result.composition.synthetic) ^ set(result.regime_rule.synthetic)
    if strange or (result.regime_rule.synthetic and result.dataset is None):
        raise wrong(
            submitted,
            "does not say what its synthetic films were",
            found=str(result.composition.synthetic),
            expected="a count for "
            + (", ".join(result.regime_rule.synthetic) or "no config")
            + ", and their dataset",
            hint="run that regime again",
        )
    _check_names(submitted)


def _check_names(submitted: Submitted) -> None:
    """Films and patients have names; without, neither a leak nor a wrong test set could be found."""
    for row in submitted.result.predictions:
        if not row.image_id.strip() or not row.patient_id.strip():
            raise wrong(
                submitted,
                "has a film without a name or a patient",
                found=repr((row.image_id, row.patient_id)),
                expected="an image id and a patient id",
                hint="run that part again",
            )


def check_folds(submission: Sequence[Submitted]) -> None:
    """No patient and no film is tested in two folds: one of them would have trained on it."""
    where: dict[tuple[str, str, str], tuple[int | None, Submitted]] = {}
    for submitted in submission:
        result = submitted.result
        for row in result.predictions:
            for name in (row.image_id, row.patient_id):
                fold, other = where.setdefault((result.suite, result.task, name), (result.fold, submitted))
                if fold != result.fold:
                    raise wrong(
                        submitted,
                        f"leaks: {name!r} is tested in two folds",
                        found=f"fold {result.fold}, and fold {fold} of {other.path}",
                        expected="one fold for each patient",
                        hint="run all folds of the suite with one root",
                    )


def check_against(submission: Sequence[Submitted], accepted: Path) -> None:
    """The test set of each file is that of the accepted results."""
    known = testsets.pinned(accepted)
    for submitted in submission:
        key, result = testsets.key_of(submitted.result), submitted.result
        if key not in known:
            raise wrong(
                submitted,
                f"is of a task that {accepted} has no results of",
                found=" ".join(map(str, key)),
                expected="a suite, version, task and fold that is there",
                hint="for the first results of a task give --root instead of --against",
            )
        _check_films(submitted, testsets.films_of(result.predictions, result.classes), known[key])


def _check_films(submitted: Submitted, films: testsets.Films, expected: testsets.Films) -> None:
    problem = testsets.differences(films, expected)
    if problem is not None:
        raise wrong(
            submitted,
            "has the wrong test set",
            found=problem,
            expected=f"{len(expected)} films, digest {testsets.digest(expected)[:16]}",
            hint="use the sources that the accepted results were made with; covid-synth tasks shows them",
        )


def check_root(submission: Sequence[Submitted], root: str | Path) -> None:
    """Split each task again: same test films, no test patient among those trained or validated on, and no
    more real films than there are."""
    frames: dict[testsets.Key, pd.DataFrame] = {}
    for submitted in submission:
        key = testsets.key_of(submitted.result)
        if key not in frames:
            frames[key] = _split(submitted.result, root)
        used, result = frames[key], submitted.result
        films = testsets.films_of(result.predictions, result.classes)
        patients = {row.patient_id for row in result.predictions}
        trained = used[used["split"].isin(["train", "validation"])]
        leaked = trained[trained["patient_id"].isin(patients) | trained["image_id"].isin(list(films))]
        if len(leaked):
            raise wrong(
                submitted,
                "leaks: it tests on patients of its training or validation films",
                found=f"{len(leaked)} such films, e.g. {leaked['image_id'].iloc[0]} of"
                f" {leaked['patient_id'].iloc[0]}",
                expected="none",
                hint="use the splits of the package",
            )
        test = used[used["split"] == "test"]
        rows = zip(test["image_id"], test["class"], test["patient_id"], strict=True)
        _check_films(submitted, films, {name: (label, patient) for name, label, patient in rows})
        _check_counts(submitted, used)


def _split(result: ClassificationResult, root: str | Path) -> pd.DataFrame:
    """The films that the task uses, as its suite has it split."""
    suite = load_classifiers(result.suite)
    data = suite.data
    fold: dict[str, Any] = {} if result.fold is None else {"fold": result.fold, "folds": suite.folds}
    return tasks.plan_task(
        result.task,
        root,
        suite.protocol,
        seed=data.split_seed,
        sources=data.sources,
        licences=data.licences,
        phantom=data.phantom,
        **fold,
    ).used


def _check_counts(submitted: Submitted, used: pd.DataFrame) -> None:
    """Real training films are at most those of the split, validation films exactly those."""
    result = submitted.result
    counts = {
        (split, kind): int(((used["split"] == split) & ((used["class"] == result.positive) == kind)).sum())
        for split in ("train", "validation")
        for kind in (True, False)
    }
    made, validation = result.composition, result.validation
    for what, stated, available, exact in (
        ("real training positives", made.real_positives, counts["train", True], False),
        ("real training negatives", made.real_negatives, counts["train", False], False),
        ("validation positives", validation.positives, counts["validation", True], True),
        ("validation negatives", validation.negatives, counts["validation", False], True),
    ):
        if stated > available or (exact and stated != available):
            raise wrong(
                submitted,
                f"states {what} that the task does not have",
                found=str(stated),
                expected=f"{'' if exact else 'at most '}{available}",
                hint="use the splits of the package",
            )


def check_release(submission: Sequence[Submitted], release: Path) -> None:
    """The release is the one that was trained on, and its generators never saw a test film or patient."""
    for submitted in submission:
        result, configs = submitted.result, submitted.result.regime_rule.synthetic
        if not configs or result.dataset is None:
            continue
        check_dataset(submitted, result.dataset, release)
        trained_on = released.trained_on(result.dataset.name, tuple(configs), release)
        films = {name for lineage in trained_on.values() for name in lineage.films}
        patients = {name for lineage in trained_on.values() for name in lineage.patients}
        check_trained_on(
            submitted,
            [
                row.image_id
                for row in result.predictions
                if row.image_id in films or row.patient_id in patients
            ],
        )
