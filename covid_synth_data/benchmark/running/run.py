"""Running a suite: one result file for each training, nothing done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.benchmark.request import Progress, Request, make_request
from covid_synth_data.benchmark.running.bench import open_bench
from covid_synth_data.benchmark.suite import AnySuite, Preprocessing, Weights
from covid_synth_data.errors import MissingExtra

if TYPE_CHECKING:
    from covid_synth_data.benchmark.running.dry_run import Line


def run(
    suite: str | Path | AnySuite,
    *,
    out: str | Path,
    root: str | Path | None = None,
    release: str | Path | None = None,
    version: str | None = None,
    profile: str | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    protocol: str | None = None,
    regimes: Sequence[str] | None = None,
    configs: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    weights: Weights | None = None,
    preprocessing: Preprocessing | None = None,
    size: int | None = None,
    limit: int | None = None,
    skip_missing: bool = False,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    ray: str | None = None,
    half_samples: bool = False,
    split_seed: int | None = None,
) -> list[Path]:
    """Run a suite and return the paths of its result files, those that were there before included.

    `models`, `regimes` and `seeds` default to those of `profile`, and `profile` to the first of the suite. A
    number n of `seeds` stands for the seeds 0 to n - 1. For `configs`, which the suite need not name, regimes
    are derived and run beside the baselines (`suite.derived`); unless `regimes` names it, a skew that their
    images cannot reach is left out with a warning. `root` holds the real sets; `release` is a
    folder of the suite's dataset (None: the Hub), of `version` where that is given. Regimes whose configs
    the release does not hold stop the run before it starts, or are left out with `skip_missing`. `device`
    is "auto", "cpu", "cuda", "cuda:N" or "mps". `progress` is called with (done, all, what). `ray` is the
    address of a Ray cluster that shares out the trainings, or "local"; see `ray_cluster`.

    For a suite of classifiers, `tasks` defaults to the first task. `weights` replaces the initial
    weights of every model, "none" being random; `preprocessing` replaces that of the suite; `limit` is the
    largest number of real negatives to train on; `size` is the side of the films in pixels, in place of the
    suite's (`suite.resized`). Pixels and features are kept below `cache_dir`.

    With `half_samples` each seed trains on its own half of the training patients, so that means and spreads
    over seeds are over draws of these patients (`suite.half_samples`). `split_seed` splits the patients
    another way than the suite (`suite.resplit`).

    For a suite of U-Nets, `protocol` defaults to the first. `size` replaces the side of the
    profile's slices; `limit` is the largest number of real training (and of validation) slices. On a CPU one
    thread computes, so the same seed gives the same file on every machine of its kind.

    A limit never cuts the test set. Files that are there already are validated and kept; the rest are written
    one by one, so a run that was stopped goes on where it was. Raises `UnknownName`, `ConfigError` (also for
    an option that suites of the kind do not have), `ReleaseError`, `WeightsError`, `LeakError`,
    `SourceError`, `ImpossibleMix`, `MissingExtra`, and `ResultError` for a file in `out` that is wrong or
    made from other data.
    """
    request = make_request(
        suite,
        out=out,
        root=root,
        release=release,
        version=version,
        profile=profile,
        tasks=tasks,
        models=models,
        protocol=protocol,
        regimes=regimes,
        configs=configs,
        seeds=seeds,
        weights=weights,
        preprocessing=preprocessing,
        size=size,
        limit=limit,
        skip_missing=skip_missing,
        device=device,
        cache_dir=cache_dir,
        ray=ray,
        half_samples=half_samples,
        split_seed=split_seed,
    )
    return run_request(request, progress)


def run_request(request: Request, progress: Progress | None = None) -> list[Path]:
    """Run what `request` asks for; see `run`."""
    bench, able = open_bench(request, progress)
    if request.ray is None:
        return bench.run(able)
    from covid_synth_data.benchmark.running import ray_cluster

    return ray_cluster.run(bench, able, request.ray)


def dry_run(suite: str | Path | AnySuite, *, progress: Progress | None = None, **options: Any) -> list[Line]:
    """The plan of `run` with the same arguments, and its cost. Writes nothing."""
    bench, able = open_bench(make_request(suite, **options), progress)
    try:
        from covid_synth_data.benchmark.running import dry_run as costing
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    return costing.estimate(bench, able)
