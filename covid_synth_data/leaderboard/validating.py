"""The gate: what a result file must hold before it stands on the leaderboard.

In order, from what the file says of itself to what others say of it: its form, its numbers, its suite, its
test set, its patients, its generator's patients, its seeds. The first thing that is wrong is the error.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from covid_synth_data.benchmark.results import ClassificationResult, find, validate_result
from covid_synth_data.benchmark.suite import list_suites, load_suite
from covid_synth_data.errors import ResultError, UnknownName
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.leaderboard import testsets

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]

SEEDS: Final = 3
"""The fewest seeds of a regime: one training is an anecdote."""


class Report(FrozenModel):
    """What was checked: files, regimes (of a model and preprocessing), seeds of each, and the checks that
    were done and that could not be."""

    files: int
    regimes: int
    seeds: list[int]
    checked: list[str]
    not_checked: list[str]

    def text(self) -> str:
        """For people."""
        seeds = ", ".join(map(str, sorted(set(self.seeds))))
        lines = [f"{self.files} files of {self.regimes} regimes with {seeds} seeds are sound"]
        lines += [f"  checked      {what}" for what in self.checked]
        lines += [f"  not checked  {what}" for what in self.not_checked]
        return "\n".join(lines)


@dataclass(frozen=True)
class Submitted:
    """A file and what is in it."""

    path: Path
    result: ClassificationResult


def validate(
    paths: Sequence[str | Path],
    *,
    against: str | Path | None = None,
    root: str | Path | None = None,
    release: str | Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check result files, or all those in folders, as one submission.

    `against` is a folder of accepted results, whose test sets are the right ones; `root` holds the real sets,
    of which the tasks are split again; `release` is the folder of the dataset that was trained on. What is
    not given is not checked, and the report says so. Raises `ResultError` for the first thing that is wrong,
    `UnknownName` for a suite that the package does not have, and the errors of reading `root` and `release`.
    """
    tick = progress or (lambda done, total: None)
    files = _files(paths)
    found = []
    for number, path in enumerate(files):
        found.append(Submitted(path, validate_result(path)))
        tick(number + 1, len(files))
    for one in found:
        _check_suite(one)
        _check_names(one)
    _check_twice(found)
    checked = [
        "form, metrics and counts against the predictions",
        "regime, model and task against the suite",
        "patients in one fold only",
        f"seeds 0 to n - 1, n of {SEEDS} or more, every fold",
    ]
    skipped: list[str] = []
    _check_folds(found)
    if against is not None:
        _check_against(found, Path(against))
    _tell(checked, skipped, against, "the test set against accepted results", "--against")
    if root is not None:
        _check_root(found, root)
    _tell(checked, skipped, root, "test set, training counts and leaks against the real sets", "--root")
    if release is not None:
        _check_release(found, Path(release))
    _tell(checked, skipped, release, "whom the generators learned from", "--release")
    groups = _check_seeds(found)
    return Report(
        files=len(found),
        regimes=len(groups),
        seeds=[len(seeds) for seeds in groups.values()],
        checked=checked,
        not_checked=skipped,
    )


def _tell(checked: list[str], skipped: list[str], given: object, what: str, option: str) -> None:
    if given is None:
        skipped.append(f"{what}: give {option}")
    else:
        checked.append(what)


def _files(paths: Sequence[str | Path]) -> list[Path]:
    """The files, those of folders included, each once. Raises `ResultError` where there is none."""
    files = [file for path in map(Path, paths) for file in (find(path) if path.is_dir() else [path])]
    if not files:
        raise ResultError("nothing to validate", expected="result files, or folders of them")
    return list({file.absolute().resolve(): file for file in files}.values())


def _wrong(one: Submitted, what: str, *, found: str, expected: str, hint: str) -> ResultError:
    return ResultError(f"{one.path} {what}", found=found, expected=expected, hint=hint)


def _check_suite(one: Submitted) -> None:
    """The suite is one of the package, in the version that it has; `validate_result` compared the rest."""
    result = one.result
    if result.suite not in list_suites():
        raise UnknownName(f"suite of {one.path}", result.suite, list_suites())
    suite = load_suite(result.suite)
    if suite.version != result.suite_version:
        raise _wrong(
            one,
            "is of another version of its suite",
            found=f"{result.suite} {result.suite_version}",
            expected=suite.version,
            hint="run the suite again with this version of the package",
        )
    if result.regime not in suite.regimes_of(result.task):
        raise _wrong(
            one,
            "is of a regime that its task does not have",
            found=f"{result.regime} of {result.task}",
            expected=", ".join(suite.regimes_of(result.task)),
            hint="run a regime of that task",
        )
    if result.training != suite.training_of(result.model):
        raise _wrong(
            one,
            "was not trained as its suite says",
            found=str(result.training),
            expected=str(suite.training_of(result.model)),
            hint="a changed suite needs a name of its own",
        )
    strange = set(result.composition.synthetic) ^ set(result.regime_rule.synthetic)
    if strange or (result.regime_rule.synthetic and result.dataset is None):
        raise _wrong(
            one,
            "does not say what its synthetic films were",
            found=str(result.composition.synthetic),
            expected="a count for "
            + (", ".join(result.regime_rule.synthetic) or "no config")
            + ", and their dataset",
            hint="run that regime again",
        )


def _check_names(one: Submitted) -> None:
    """Films and patients have names; without, neither a leak nor a wrong test set could be found."""
    for row in one.result.predictions:
        if not row.image_id.strip() or not row.patient_id.strip():
            raise _wrong(
                one,
                "has a film without a name or a patient",
                found=repr((row.image_id, row.patient_id)),
                expected="an image id and a patient id",
                hint="run that part again",
            )


def _identity(result: ClassificationResult) -> tuple[object, ...]:
    return (result.suite, result.task, result.preprocessing, result.model, result.weights.name, result.regime)


def _check_twice(found: Sequence[Submitted]) -> None:
    """Each run is there once, and no run stands in for another: `inputs` covers seed and fold."""
    runs: dict[tuple[object, ...], Submitted] = {}
    inputs: dict[str, Submitted] = {}
    for one in found:
        key = (*_identity(one.result), one.result.seed, one.result.fold)
        for other, what in (
            (runs.setdefault(key, one), "is the same run as"),
            (inputs.setdefault(one.result.inputs, one), "has the inputs of"),
        ):
            if other is not one:
                raise _wrong(
                    one,
                    f"{what} {other.path}",
                    found=f"seed {one.result.seed}, inputs {one.result.inputs[:12]}",
                    expected="each run once, with a digest of its own",
                    hint="leave one of them out",
                )


def _check_folds(found: Sequence[Submitted]) -> None:
    """No patient and no film is tested in two folds: one of them would have trained on it."""
    where: dict[tuple[str, str, str], tuple[int | None, Submitted]] = {}
    for one in found:
        result = one.result
        for row in result.predictions:
            for name in (row.image_id, row.patient_id):
                fold, other = where.setdefault((result.suite, result.task, name), (result.fold, one))
                if fold != result.fold:
                    raise _wrong(
                        one,
                        f"leaks: {name!r} is tested in two folds",
                        found=f"fold {result.fold}, and fold {fold} of {other.path}",
                        expected="one fold for each patient",
                        hint="run all folds of the suite with one root",
                    )


def _check_against(found: Sequence[Submitted], accepted: Path) -> None:
    """The test set of each file is that of the accepted results."""
    known = testsets.pinned(accepted)
    for one in found:
        key, result = testsets.key_of(one.result), one.result
        if key not in known:
            raise _wrong(
                one,
                f"is of a task that {accepted} has no results of",
                found=" ".join(map(str, key)),
                expected="a suite, version, task and fold that is there",
                hint="for the first results of a task give --root instead of --against",
            )
        _check_films(one, testsets.films_of(result.predictions, result.classes), known[key])


def _check_films(one: Submitted, films: testsets.Films, expected: testsets.Films) -> None:
    problem = testsets.differences(films, expected)
    if problem is not None:
        raise _wrong(
            one,
            "has the wrong test set",
            found=problem,
            expected=f"{len(expected)} films, digest {testsets.digest(expected)[:16]}",
            hint="use the sources that the accepted results were made with; covid-synth tasks shows them",
        )


def _check_root(found: Sequence[Submitted], root: str | Path) -> None:
    """Split each task again: same test films, no test patient among those trained or validated on, and no
    more real films than there are."""
    frames: dict[testsets.Key, pd.DataFrame] = {}
    for one in found:
        key = testsets.key_of(one.result)
        if key not in frames:
            frames[key] = _split(one.result, root)
        used, result = frames[key], one.result
        films = testsets.films_of(result.predictions, result.classes)
        patients = {row.patient_id for row in result.predictions}
        learned = used[used["split"].isin(["train", "validation"])]
        leaked = learned[learned["patient_id"].isin(patients) | learned["image_id"].isin(list(films))]
        if len(leaked):
            raise _wrong(
                one,
                "leaks: it tests on patients of its training or validation films",
                found=f"{len(leaked)} such films, e.g. {leaked['image_id'].iloc[0]} of"
                f" {leaked['patient_id'].iloc[0]}",
                expected="none",
                hint="use the splits of the package",
            )
        test = used[used["split"] == "test"]
        rows = zip(test["image_id"], test["class"], test["patient_id"], strict=True)
        _check_films(one, films, {name: (label, patient) for name, label, patient in rows})
        _check_counts(one, used)


def _split(result: ClassificationResult, root: str | Path) -> pd.DataFrame:
    """The films that the task uses, as its suite has it split."""
    from covid_synth_data import tasks

    suite = load_suite(result.suite)
    data = suite.data
    fold = {} if result.fold is None else {"fold": result.fold, "folds": suite.folds}
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


def _check_counts(one: Submitted, used: pd.DataFrame) -> None:
    """Real training films are at most those of the split, validation films exactly those."""
    result = one.result
    counts = {
        (split, kind): int(((used["split"] == split) & ((used["class"] == result.positive) == kind)).sum())
        for split in ("train", "validation")
        for kind in (True, False)
    }
    made, held = result.composition, result.validation
    for what, stated, there, exact in (
        ("real training positives", made.real_positives, counts["train", True], False),
        ("real training negatives", made.real_negatives, counts["train", False], False),
        ("validation positives", held.positives, counts["validation", True], True),
        ("validation negatives", held.negatives, counts["validation", False], True),
    ):
        if stated > there or (exact and stated != there):
            raise _wrong(
                one,
                f"states {what} that the task does not have",
                found=str(stated),
                expected=f"{'' if exact else 'at most '}{there}",
                hint="use the splits of the package",
            )


def _check_release(found: Sequence[Submitted], release: Path) -> None:
    """The release is the one that was trained on, and its generators never saw a test film or patient."""
    from covid_synth_data.benchmark.data import released
    from covid_synth_data.release import loading, manifest

    for one in found:
        result, configs = one.result, one.result.regime_rule.synthetic
        if not configs or result.dataset is None:
            continue
        folder = loading.release_folder(result.dataset.name, None, release)
        digest = hashlib.sha256((folder / manifest.NAME).read_bytes()).hexdigest()
        if digest != result.dataset.manifest_sha256:
            raise _wrong(
                one,
                "was trained on another release",
                found=f"manifest {result.dataset.manifest_sha256}",
                expected=f"{digest}, that of {folder}",
                hint="give the release that was trained on",
            )
        taught = released.trained_on(result.dataset.name, tuple(configs), release)
        films = {name for part in taught.values() for name in part.films}
        patients = {name for part in taught.values() for name in part.patients}
        leaked = [
            row.image_id for row in result.predictions if row.image_id in films or row.patient_id in patients
        ]
        if leaked:
            raise _wrong(
                one,
                "leaks: it tests on films that a generator of the release learned from",
                found=f"{len(leaked)}, e.g. {leaked[0]}",
                expected="none",
                hint="use the sources and the split seed that the release was made with",
            )


def _check_seeds(found: Sequence[Submitted]) -> dict[tuple[object, ...], list[int]]:
    """Each regime has the seeds 0 to n - 1 and each of them every fold; all of one dataset and limit."""
    groups: dict[tuple[object, ...], dict[int, list[Submitted]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        groups[_identity(one.result)][one.result.seed].append(one)
    for key, seeds in groups.items():
        name = " ".join(map(str, key))
        numbers = sorted(seeds)
        if numbers != list(range(len(numbers))) or len(numbers) < SEEDS:
            raise ResultError(
                f"{name} lacks seeds",
                found=", ".join(map(str, numbers)),
                expected=f"0 to {max(SEEDS, len(numbers), numbers[-1] + 1) - 1}, each once",
                hint="run the missing seeds and give all files at once",
            )
        for seed, files in seeds.items():
            folds = sorted(one.result.fold for one in files if one.result.fold is not None)
            every = list(range(files[0].result.folds)) if files[0].result.folds > 1 else []
            if folds != every:
                raise ResultError(
                    f"{name} seed {seed} lacks folds",
                    found=", ".join(map(str, folds)),
                    expected=f"0 to {len(every) - 1}",
                    hint="run the missing folds and give all files at once",
                )
        shared = {(one.result.dataset, one.result.limit) for files in seeds.values() for one in files}
        if len(shared) > 1:
            raise ResultError(
                f"the seeds of {name} do not belong together",
                found="different datasets or limits",
                expected="one dataset and one limit",
                hint="run all seeds alike",
            )
    return {key: sorted(seeds) for key, seeds in groups.items()}
