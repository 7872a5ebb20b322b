"""The runs of a call shared out over a Ray cluster.

The machine that asks prepares all runs, sends each regime's trainings to whichever node is free, checks that
what comes back was made from the same data as it would use itself, and writes the result files. Every node
needs this package and what the call names at the same paths: the real sets, the release, the weights. What a
node decodes stays in its own cache.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import Request, Run
from covid_synth_data.benchmark.running.bench import Bench, done, open_bench
from covid_synth_data.benchmark.running.kind import Prepared
from covid_synth_data.cluster import connected
from covid_synth_data.errors import ClusterError, CovidSynthError, ResultError
from covid_synth_data.files import atomic

RETRIES: Final = 2
"""How often the trainings of a worker that died are given to another."""


def run(bench: Bench, runs: Sequence[Run], address: str) -> list[Path]:
    """Do the runs that have no result yet on the cluster at `address` ("local": on the cores of this
    machine).

    Each job has one core, or one GPU where the request's device is "cuda". Raises `ConfigError` where no
    cluster answers, `ClusterError` when a node dies again and again, and what the runs themselves raise;
    results that came back before stay.
    """
    by_run = {job.run: job for _, prepared in bench.splits(runs) for job in prepared}
    jobs = [by_run[run] for run in runs]
    pending = [job for job in jobs if not done(job)]
    if pending:
        with connected(address) as ray:
            _share_out(ray, bench, pending)
    return [job.path for job in jobs]


def _share_out(ray: Any, bench: Bench, pending: Sequence[Prepared]) -> None:
    """Send the seeds of each regime to a node together, and write what comes back."""
    groups: dict[tuple[Any, ...], list[Prepared]] = {}
    for job in pending:
        groups.setdefault((job.run.task, job.run.fold, job.run.model, job.run.regime), []).append(job)
    gpu = bench.request.device == "cuda"
    remote = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=RETRIES)(_on_a_node)
    waiting = {remote.remote(bench.request, [job.run for job in group]): group for group in groups.values()}
    finished = 0
    bench.progress(0, len(pending), "shared out")
    try:
        while waiting:
            (reference,), _ = ray.wait(list(waiting), num_returns=1)
            group = waiting.pop(reference)
            _take(group, _answer(ray, reference, group))
            finished += len(group)
            bench.progress(finished, len(pending), f"{group[0].run.model} {group[0].run.regime}")
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _answer(ray: Any, reference: Any, group: Sequence[Prepared]) -> list[str]:
    """The result files that a node computed. An error of ours that it met is raised here as it is."""
    name = f"{group[0].run.model} {group[0].run.regime}"
    try:
        texts: list[str] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CovidSynthError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the trainings of {name} were lost",
            found=f"{type(error).__name__} after {RETRIES} further tries",
            expected="a node that lives until they are done",
            hint="see the log of Ray, for want of memory above all; the same command goes on from here",
        ) from error
    return texts


def _take(group: Sequence[Prepared], texts: Sequence[str]) -> None:
    """Write what a node computed, if it had the same data."""
    for job, text in zip(group, texts, strict=True):
        result = results.parse_result(job.path, text)
        if result.inputs != job.digest:
            raise ResultError(
                f"a node trained {job.run.model} {job.run.regime} on other data than are here",
                found=f"inputs {result.inputs[:12]}",
                expected=job.digest[:12],
                hint="give every node the same root, release and version of this package",
            )
        atomic.write_text(job.path, text)


def _on_a_node(request: Request, runs: Sequence[Run]) -> list[str]:
    """Do `runs` in this process, one thread, and return the text of each result file."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        here = request.model_copy(update={"out": Path(folder), "ray": None})
        bench, able = open_bench(here, runs=runs)
        return [path.read_text(encoding="utf-8") for path in bench.run(able)]
