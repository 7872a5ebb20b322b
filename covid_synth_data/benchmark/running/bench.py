"""The engine: data are prepared, finished runs are skipped, the rest are trained, results are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import Progress, Request, Run
from covid_synth_data.benchmark.results import Result
from covid_synth_data.benchmark.running.classification import Classification
from covid_synth_data.benchmark.running.kind import Kind, Prepared, Split, load_synthetic, no_progress
from covid_synth_data.benchmark.running.segmentation import Segmentation
from covid_synth_data.errors import ResultError

KINDS: Final[dict[str, Any]] = {"classification": Classification, "segmentation": Segmentation}
"""The kinds by what a suite states. A new kind is one module and one line here."""


class Bench:
    """Does the runs of one request, whatever the kind of its suite."""

    def __init__(self, request: Request, kind: Kind[Any, Any], progress: Progress) -> None:
        """`progress` is called as `request.Progress` says."""
        self.request, self.kind, self.progress = request, kind, progress

    def run(self, runs: Sequence[Run]) -> list[Path]:
        """Do all runs that have no result yet; the paths of all results, in the order of `runs`. A run that
        its kind leaves out has none."""
        paths: dict[Run, Path] = {}
        for split, prepared in self.splits(runs):
            pending = [job for job in prepared if not done(job)]
            if pending:
                for job, result in self.kind.train(split, pending):
                    results.write_result(job.path, result)
            paths |= {job.run: job.path for job in prepared}
        return [paths[run] for run in runs if run in paths]

    def splits(self, runs: Sequence[Run]) -> Iterator[tuple[Split, list[Prepared]]]:
        """Each task and fold of `runs`, split once, with its runs prepared."""
        for task, fold in dict.fromkeys((run.task, run.fold) for run in runs):
            split = self.kind.split(task, fold)
            yield (
                split,
                self.kind.prepare(split, [run for run in runs if (run.task, run.fold) == (task, fold)]),
            )


def open_bench(
    request: Request, progress: Progress | None = None, runs: Sequence[Run] | None = None
) -> tuple[Bench, list[Run]]:
    """The bench for `runs` (None: all that the request asks for), and those of them that can be done.

    Raises `ReleaseError` where the release does not hold what they need.
    """
    synthetic, able = load_synthetic(request, request.runs() if runs is None else runs)
    tell = progress or no_progress
    return Bench(request, KINDS[request.suite.kind](request, synthetic, tell), tell), able


def done(job: Prepared) -> bool:
    """True when the result is there, sound, and of the same inputs. Raises `ResultError`."""
    if not job.path.exists():
        return False
    result: Result = results.validate_result(job.path)
    if result.inputs != job.digest:
        raise ResultError(
            f"{job.path} was made from other data or settings",
            found=f"inputs {result.inputs[:12]}",
            expected=job.digest[:12],
            hint="choose another folder for the results, or remove that file",
        )
    if strange := set(result.tested) ^ job.tested:
        raise ResultError(
            f"{job.path} does not predict the films of the test set, each once",
            found=f"{len(strange)} unknown or missing image ids, the first is {min(strange)!r}",
            expected=f"the {len(job.tested)} films of the test set",
            hint="remove the file and run the same again",
        )
    return True
