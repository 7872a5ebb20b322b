"""Running a suite: task x model x regime x seed, one result file each, nothing done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.benchmark.data import released, store
from covid_synth_data.benchmark.request import Run, check_weights, plan, without_missing
from covid_synth_data.benchmark.running.bench import Bench, Progress, Settings, Synthetic
from covid_synth_data.benchmark.suite import Kind, Suite, Weights, load_suite
from covid_synth_data.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from covid_synth_data.benchmark.running.dry_run import Line


def run(
    suite: str | Path | Suite,
    *,
    out: str | Path,
    root: str | Path | None = None,
    release: str | Path | None = None,
    version: str | None = None,
    profile: str | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    weights: Weights | None = None,
    preprocessing: Kind | None = None,
    limit: int | None = None,
    skip_missing: bool = False,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    ray: str | None = None,
) -> list[Path]:
    """Run a suite and return the paths of its result files, those that were there before included.

    What is not asked for is taken from `profile` (the suite's first): `models`, `regimes` and `seeds` (a
    number n stands for the seeds 0 to n - 1); `tasks` are the suite's first. `root` holds the real sets,
    `release` is a folder of the suite's dataset (None: the Hub), of `version` where that is given. `weights`
    replaces the initial weights of every model, "none" being random; `preprocessing` that of the suite;
    `limit` is the largest number of real negatives to train on (the test set is never cut). Regimes whose
    configs the release does not hold stop the run before it starts, or are left out with `skip_missing`.
    `device` is "auto", "cpu", "cuda" or "mps". Pixels and features are kept below `cache_dir`. `progress` is
    told (done, all, what). `ray` is the address of a Ray cluster that shares out the trainings, or "local";
    see `cluster`.

    Files that are there already are validated and kept; the rest are written one by one, so a run that was
    stopped goes on where it was. Raises `UnknownName`, `ConfigError`, `ReleaseError`, `WeightsError`,
    `LeakError`, `SourceError`, and `ResultError` for a file in `out` that is wrong or made from other data.
    """
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    runs = plan(chosen, profile=profile, tasks=tasks, models=models, regimes=regimes, seeds=seeds)
    bench, able = open_bench(
        chosen,
        runs,
        out=out,
        root=root,
        release=release,
        version=version,
        weights=weights,
        preprocessing=preprocessing,
        limit=limit,
        skip_missing=skip_missing,
        device=device,
        cache_dir=cache_dir,
        progress=progress,
    )
    if ray is None:
        return bench.run(able)
    from covid_synth_data.benchmark.running import ray_cluster

    return ray_cluster.run(ray, bench, able, release=release, version=version)


def open_bench(
    suite: Suite,
    runs: Sequence[Run],
    *,
    out: str | Path,
    root: str | Path | None = None,
    release: str | Path | None = None,
    version: str | None = None,
    weights: Weights | None = None,
    preprocessing: Kind | None = None,
    limit: int | None = None,
    skip_missing: bool = False,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Bench, list[Run]]:
    """The bench for `runs` with the released films that they need, and those of them that can be done.

    Arguments and errors are those of `run`.
    """
    if limit is not None and limit < 1:
        raise ConfigError("no such limit", found=str(limit), expected="at least 1 real negative")
    check_weights(suite, runs, weights)
    configs = dict.fromkeys(name for one in runs for name in suite.regimes[one.regime].synthetic)
    synthetic, dataset, missing = released.load(suite.dataset, tuple(configs), release, version)
    able = without_missing(suite, runs, missing, skip_missing)
    learned = released.learned(suite.dataset, tuple(synthetic), release, dataset.version if dataset else None)
    settings = Settings(
        suite=suite,
        out=Path(out),
        root=Path(root) if root is not None else None,
        weights=weights,
        preprocessing=preprocessing or suite.preprocessing,
        limit=limit,
        device=device,
        cache_dir=Path(cache_dir) if cache_dir is not None else store.default_folder(),
    )
    tell = progress or (lambda done, total, what: None)
    return Bench(settings, Synthetic(synthetic, dataset, learned), tell), able


def dry_run(
    suite: str | Path | Suite,
    *,
    profile: str | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    **options: Any,
) -> list[Line]:
    """What `run` would do with the same arguments, and what it would cost. Writes nothing."""
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    runs = plan(chosen, profile=profile, tasks=tasks, models=models, regimes=regimes, seeds=seeds)
    bench, able = open_bench(chosen, runs, **options)
    try:
        from covid_synth_data.benchmark.running import dry_run as costing
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "benchmark") from error
    return costing.estimate(bench, able)
