"""The runs of a call shared out over a Ray cluster.

The machine that asks prepares all runs, sends each regime's trainings to whichever node is free, checks that
what comes back was made from the same data as it would use itself, and writes the result files. Every node
needs this package and what the call names at the same paths: the real sets, the release, the weights. What a
node decodes stays in its own cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.request import Run
from covid_synth_data.benchmark.running.bench import Bench, Prepared, Settings, done
from covid_synth_data.errors import ClusterError, ConfigError, CovidSynthError, MissingExtra, ResultError
from covid_synth_data.files import atomic

RETRIES: Final = 2
"""How often the trainings of a worker that died are given to another."""

KNOCK_SECONDS: Final = 10.0
"""How long an address may take to answer at all."""


def run(
    address: str,
    bench: Bench,
    runs: Sequence[Run],
    *,
    release: str | Path | None = None,
    version: str | None = None,
) -> list[Path]:
    """Do the runs that have no result yet on the cluster at `address` ("local": on the cores of this
    machine).

    Each job has one core, or one GPU where the bench's device is "cuda". Raises `ConfigError` where no
    cluster answers, `ClusterError` when a node dies again and again, and what the runs themselves raise;
    results that came back before stay.
    """
    found = {one.run: one for _, prepared in bench.parts(runs) for one in prepared}
    ready = [found[run] for run in runs]
    pending = [one for one in ready if not done(one)]
    if pending:
        with connected(address) as ray:
            _share_out(ray, bench, pending, release, version)
    return [one.path for one in ready]


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected; disconnected afterwards where it was not before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "ray") from error
    before = ray.is_initialized()
    if not before:
        try:
            _knock(address)
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            ray.init(address=None if address == "local" else address, **options)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"no Ray cluster answers at {address!r}",
                found=str(error).split("\n")[0][:120],
                expected='HOST:PORT, ray://HOST:PORT, "auto" or "local"',
                hint="start one with ray start --head, or leave --ray out",
            ) from error
    try:
        yield ray
    finally:
        if not before:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` within seconds where nothing listens at HOST:PORT; Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS):
            pass


def _share_out(
    ray: Any, bench: Bench, pending: Sequence[Prepared], release: str | Path | None, version: str | None
) -> None:
    jobs: dict[tuple[Any, ...], list[Prepared]] = {}
    for one in pending:
        jobs.setdefault((one.run.task, one.run.fold, one.run.model, one.run.regime), []).append(one)
    gpu = bench.settings.device == "cuda"
    remote = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=RETRIES)(_on_a_node)
    where = (str(release) if release is not None else None, version)
    waiting = {remote.remote(bench.settings, [one.run for one in job], *where): job for job in jobs.values()}
    finished = 0
    bench.progress(0, len(pending), "shared out")
    try:
        while waiting:
            (reference,), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(reference)
            _take(job, _answer(ray, reference, job))
            finished += len(job)
            bench.progress(finished, len(pending), f"{job[0].run.model} {job[0].run.regime}")
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)


def _answer(ray: Any, reference: Any, job: Sequence[Prepared]) -> list[str]:
    """What a node computed. An error of ours that it met is raised here as it is."""
    name = f"{job[0].run.model} {job[0].run.regime}"
    try:
        found: list[str] = ray.get(reference)
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
    return found


def _take(job: Sequence[Prepared], texts: Sequence[str]) -> None:
    """Write what a node computed, if it had the same data."""
    for one, text in zip(job, texts, strict=True):
        result = results.Result.model_validate_json(text)
        if result.inputs != one.digest:
            raise ResultError(
                f"a node trained {one.run.model} {one.run.regime} on other data than are here",
                found=f"inputs {result.inputs[:12]}",
                expected=one.digest[:12],
                hint="give every node the same root, release and version of this package",
            )
        atomic.write_text(one.path, text)


def _on_a_node(
    settings: Settings, runs: Sequence[Run], release: str | None, version: str | None
) -> list[str]:
    """Do `runs` in this process, one thread, and return the text of each result file."""
    import torch

    from covid_synth_data.benchmark.running.run import open_bench

    torch.set_num_threads(1)
    given = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    with tempfile.TemporaryDirectory() as folder:
        bench, able = open_bench(**{**given, "out": folder}, runs=runs, release=release, version=version)
        return [path.read_text(encoding="utf-8") for path in bench.run(able)]
