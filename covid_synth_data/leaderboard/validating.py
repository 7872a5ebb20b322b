"""The gate: what a result file must hold before it stands on the leaderboard.

In order, from what the file says of itself to what others say of it: its form, its numbers, its suite, its
test set, its patients, its generator's patients, its seeds. The first thing that is wrong is the error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from covid_synth_data.benchmark.results import ClassificationResult, SegmentationResult, find, validate_result
from covid_synth_data.benchmark.suite import is_suite, list_suites, load_suite
from covid_synth_data.errors import ResultError, UnknownName
from covid_synth_data.files.models import FrozenModel
from covid_synth_data.leaderboard import classification, segmentation
from covid_synth_data.leaderboard.submitted import Submitted, wrong

Progress = Callable[[int, int], None]

SEEDS: Final = 3
"""The fewest seeds of a regime: one training is an anecdote."""

CHECKS: Final[dict[type, Any]] = {ClassificationResult: classification, SegmentationResult: segmentation}
"""The module that checks results of a kind."""


class Report(FrozenModel):
    """The extent of a check: files, regimes (of a model and preprocessing), seeds of each, and the checks
    that were done and those that could not be."""

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
    submission = []
    for number, path in enumerate(files):
        submission.append(Submitted(path, validate_result(path)))
        tick(number + 1, len(files))
    for submitted in submission:
        _check_suite(submitted)
        checks_of(submitted).check_one(submitted)
    _check_twice(submission)
    checked = [
        "form, metrics and counts against the predictions",
        "regime, model and task against the suite",
        "patients in one fold only",
        f"seeds 0 to n - 1, n of {SEEDS} or more, every fold",
    ]
    skipped: list[str] = []
    for kind, checks in CHECKS.items():
        mine = [submitted for submitted in submission if isinstance(submitted.result, kind)]
        checks.check_folds(mine)
        if mine and against is not None:
            checks.check_against(mine, Path(against))
        if mine and root is not None:
            checks.check_root(mine, root)
        if mine and release is not None:
            checks.check_release(mine, Path(release))
    _note_check(checked, skipped, against, "the test set against accepted results", "--against")
    _note_check(checked, skipped, root, "test set, training counts and leaks against the real sets", "--root")
    _note_check(checked, skipped, release, "the training patients of the generators", "--release")
    groups = _check_seeds(submission)
    return Report(
        files=len(submission),
        regimes=len(groups),
        seeds=[len(seeds) for seeds in groups.values()],
        checked=checked,
        not_checked=skipped,
    )


def checks_of(submitted: Submitted) -> Any:
    """The module that checks results of the kind of `one`."""
    return CHECKS[type(submitted.result)]


def _note_check(checked: list[str], skipped: list[str], value: object, what: str, option: str) -> None:
    if value is None:
        skipped.append(f"{what}: give {option}")
    else:
        checked.append(what)


def _files(paths: Sequence[str | Path]) -> list[Path]:
    """The files, those of folders included, each once. Raises `ResultError` where there is none."""
    files = [file for path in map(Path, paths) for file in (find(path) if path.is_dir() else [path])]
    if not files:
        raise ResultError("nothing to validate", expected="result files, or folders of them")
    return list({file.absolute().resolve(): file for file in files}.values())


def _check_suite(submitted: Submitted) -> None:
    """The suite is one of the package, in the version that it has; `validate_result` compared the rest."""
    result = submitted.result
    if not is_suite(result.suite):
        raise UnknownName(f"suite of {submitted.path}", result.suite, list_suites())
    suite = load_suite(result.suite)
    if suite.version != result.suite_version:
        raise wrong(
            submitted,
            "is of another version of its suite",
            found=f"{result.suite} {result.suite_version}",
            expected=suite.version,
            hint="run the suite again with this version of the package",
        )


def _check_twice(submission: Sequence[Submitted]) -> None:
    """Each run occurs once, and no run is a copy of another: `inputs` covers seed and fold."""
    runs: dict[tuple[object, ...], Submitted] = {}
    inputs: dict[str, Submitted] = {}
    for submitted in submission:
        key = (*checks_of(submitted).identity(submitted.result), submitted.result.seed, submitted.result.fold)
        for other, what in (
            (runs.setdefault(key, submitted), "is the same run as"),
            (inputs.setdefault(submitted.result.inputs, submitted), "has the inputs of"),
        ):
            if other is not submitted:
                raise wrong(
                    submitted,
                    f"{what} {other.path}",
                    found=f"seed {submitted.result.seed}, inputs {submitted.result.inputs[:12]}",
                    expected="each run once, with a digest of its own",
                    hint="leave one of them out",
                )


def _check_seeds(submission: Sequence[Submitted]) -> dict[tuple[object, ...], list[int]]:
    """Each regime has the seeds 0 to n - 1 and each of them every fold; all of one dataset and limit."""
    groups: dict[tuple[object, ...], dict[int, list[Submitted]]] = defaultdict(lambda: defaultdict(list))
    for submitted in submission:
        groups[checks_of(submitted).identity(submitted.result)][submitted.result.seed].append(submitted)
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
            folds = sorted(submitted.result.fold for submitted in files if submitted.result.fold is not None)
            every = list(range(files[0].result.folds)) if files[0].result.folds > 1 else []
            if folds != every:
                raise ResultError(
                    f"{name} seed {seed} lacks folds",
                    found=", ".join(map(str, folds)),
                    expected=f"0 to {len(every) - 1}",
                    hint="run the missing folds and give all files at once",
                )
        shared = {
            (submitted.result.dataset, submitted.result.limit)
            for files in seeds.values()
            for submitted in files
        }
        if len(shared) > 1:
            raise ResultError(
                f"the seeds of {name} do not belong together",
                found="different datasets or limits",
                expected="one dataset and one limit",
                hint="run all seeds alike",
            )
    return {key: sorted(seeds) for key, seeds in groups.items()}
