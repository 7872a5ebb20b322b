"""Running a suite: task x model x regime x seed, one result file each, nothing done twice."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from covid_synth_data import manifest
from covid_synth_data.benchmark import cache, composition, released, results
from covid_synth_data.benchmark.classifiers import CLASSIFIERS
from covid_synth_data.benchmark.suite import Suite, digest_of, load_suite
from covid_synth_data.errors import ConfigError, MissingExtra, ReleaseError, ResultError

if TYPE_CHECKING:
    import datasets

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
Weights = Literal["imagenet", "none"]


@dataclass(frozen=True)
class Run:
    """One training: what its result file is called after."""

    task: str
    model: str
    regime: str
    seed: int


@dataclass(frozen=True)
class Prepared:
    """A run whose data are chosen: `digest` stands for everything that its predictions depend on, `notes`
    say what a reader should know of the generators of its regime."""

    run: Run
    path: Path
    train: composition.Films
    made_of: results.Composition
    digest: str
    notes: list[str]


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
    limit: int | None = None,
    skip_missing: bool = False,
    device: str = "auto",
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Run a suite and return the paths of its result files, those that were there before included.

    What is not asked for is taken from `profile` (the suite's first): `models`, `regimes` and `seeds` (a
    number n stands for the seeds 0 to n - 1); `tasks` are the suite's first. `root` holds the real sets,
    `release` is a folder of the suite's dataset (None: the Hub), of `version` where that is given. `weights`
    replaces the initial weights of every model, "none" being random; `limit` is the largest number of
    real negatives to train on (the test set is never cut). Regimes whose configs the release does not hold
    stop the run before it starts, or are left out with `skip_missing`. `device` is "auto", "cpu", "cuda" or
    "mps". Pixels and features are kept below `cache_dir`. `progress` is told (done, all, what).

    Files that are there already are validated and kept; the rest are written one by one, so a run that was
    stopped goes on where it was. Raises `UnknownName`, `ConfigError`, `ReleaseError`, `WeightsError`,
    `LeakError`, `SourceError`, and `ResultError` for a file in `out` that is wrong or made from other data.
    """
    if limit is not None and limit < 1:
        raise ConfigError("no such limit", found=str(limit), expected="at least 1 real negative")
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    runs = plan(chosen, profile=profile, tasks=tasks, models=models, regimes=regimes, seeds=seeds)
    _check_weights(chosen, runs, weights)
    configs = dict.fromkeys(name for one in runs for name in chosen.regimes[one.regime].synthetic)
    synthetic, dataset, missing = released.load(chosen.dataset, tuple(configs), release, version)
    runs = _without_missing(chosen, runs, missing, skip_missing)
    bench = _Bench(
        chosen,
        out=Path(out),
        root=Path(root) if root is not None else None,
        synthetic=synthetic,
        dataset=dataset,
        learned=released.learned(
            chosen.dataset, tuple(synthetic), release, dataset.version if dataset else None
        ),
        weights=weights,
        limit=limit,
        device=device,
        cache_dir=Path(cache_dir) if cache_dir is not None else cache.default_folder(),
        progress=progress or (lambda done, total, what: None),
    )
    paths: list[Path] = []
    for task in dict.fromkeys(run.task for run in runs):
        paths += bench.run_task(task, [run for run in runs if run.task == task])
    return paths


def plan(
    suite: Suite,
    *,
    profile: str | None = None,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    regimes: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
) -> list[Run]:
    """What these arguments of `run` ask for, in their order. Raises `UnknownName`, `ConfigError`."""
    name = suite.choose("profile", [profile])[0] if profile is not None else next(iter(suite.profiles))
    base = suite.profiles[name]
    seeds = base.seeds if seeds is None else seeds
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not numbers or min(numbers) < 0:
        raise ConfigError("no such seeds", found=str(seeds), expected="a number of seeds, or seeds from 0 on")
    asked = suite.choose("regime", regimes if regimes is not None else base.regimes or list(suite.regimes))
    chosen = [
        Run(task, model, regime, seed)
        for task in suite.choose("task", tasks if tasks is not None else suite.tasks[:1])
        for model in suite.choose("model", models if models is not None else base.models)
        for regime in asked
        if regime in suite.regimes_of(task)
        for seed in numbers
    ]
    if not chosen:
        raise ConfigError(
            "nothing to run",
            found="regimes " + ", ".join(asked),
            expected="regimes that belong to the task",
            hint="see covid-synth benchmark list",
        )
    return chosen


def _check_weights(suite: Suite, runs: Sequence[Run], weights: Weights | None) -> None:
    """Raise `ConfigError` before any work where a model cannot start from the weights asked for."""
    for model in dict.fromkeys(run.model for run in runs):
        asked = weights or suite.models[model].weights
        if asked not in CLASSIFIERS[model].weights:
            raise ConfigError(
                f"classifier {model} cannot start from weights {asked!r}",
                expected=" or ".join(CLASSIFIERS[model].weights),
                hint="leave that model or those weights out",
            )


def _without_missing(
    suite: Suite, runs: Sequence[Run], missing: Mapping[str, str], skip_missing: bool
) -> list[Run]:
    """The runs that can be done; `ReleaseError` where some cannot and that was not allowed, or none can."""
    able = [run for run in runs if not missing.keys() & set(suite.regimes[run.regime].synthetic)]
    unable = dict.fromkeys(run.regime for run in runs if run not in able)
    if not missing or (skip_missing and able):
        for regime in unable:
            _LOG.warning("regime %s is left out: the release does not hold all of its configs", regime)
        return able
    raise ReleaseError(
        f"regimes {', '.join(unable)} of suite {suite.name} cannot run without {', '.join(missing)}",
        found=next(iter(missing.values())),
        expected=f"a release of {suite.dataset} with these configs",
        hint="give such a release, choose other regimes, or skip what is missing (--skip-missing)",
    )


class _Bench:
    """The things that all runs of one call share."""

    def __init__(
        self,
        suite: Suite,
        *,
        out: Path,
        root: Path | None,
        synthetic: Mapping[str, datasets.Dataset],
        dataset: results.Dataset | None,
        learned: Mapping[str, manifest.Learned],
        weights: Weights | None,
        limit: int | None,
        device: str,
        cache_dir: Path,
        progress: Progress,
    ) -> None:
        self.suite, self.out, self.root = suite, out, root
        self.synthetic, self.dataset, self.learned = synthetic, dataset, learned
        self.weights, self.limit = weights, limit
        self.device, self.cache_dir, self.progress = device, cache_dir, progress

    def run_task(self, task: str, runs: Sequence[Run]) -> list[Path]:
        """Prepare all runs of a task, then do those that have no result yet."""
        splits, left_out, notes = self._splits(task)
        self._check_files(splits, runs)
        prepared = [self._prepare(run, splits) for run in runs]
        pending = [one for one in prepared if not self._done(one)]
        if pending:
            self._work(pending, splits, {"left_out": left_out, "notes": notes})
        return [one.path for one in prepared]

    def _splits(self, task: str) -> tuple[datasets.DatasetDict, list[results.LeftOut], list[str]]:
        """The three parts, what was left out of them, and what the task says of its data."""
        from covid_synth_data import tasks

        data = self.suite.data
        plan = tasks.plan_task(
            task,
            self.root,
            self.suite.protocol,
            seed=data.split_seed,
            sources=data.sources,
            licences=data.licences,
            phantom=data.phantom,
        )
        counts = Counter(zip(plan.left_out["source_dataset"], plan.left_out["reason"], strict=True))
        left_out = [
            results.LeftOut(source=source, reason=reason, films=count)
            for (source, reason), count in sorted(counts.items())
        ]
        # Notes on single files carry paths of this machine, which have no place in a file to be shared.
        notes = [note for note in plan.notes if not note.startswith("left out:")]
        splits = tasks.to_splits(plan)
        splits["train"] = composition.limited(
            splits["train"],
            self.suite.positive,
            negatives=min((n for n in (self.limit, data.max_negatives) if n is not None), default=None),
            positives=data.max_positives,
            seed=data.split_seed,
        )
        return splits, left_out, notes

    def _check_files(self, splits: datasets.DatasetDict, runs: Sequence[Run]) -> None:
        """Compare films byte for byte between parts, once for all runs; the rest is checked for each run."""
        from covid_synth_data import tasks

        tasks.check_leaks(splits)
        used = dict.fromkeys(name for run in runs for name in self.suite.regimes[run.regime].synthetic)
        if used:
            every = released.together([self.synthetic[name] for name in used])
            tasks.check_leaks({**splits, "train": every})

    def _prepare(self, run: Run, splits: datasets.DatasetDict) -> Prepared:
        """Choose the training rows and look for leaks between them and the two other parts."""
        from covid_synth_data import tasks

        regime = self.suite.regimes[run.regime]
        mixed = composition.compose(regime, splits["train"], self.synthetic, self.suite.positive, run.seed)
        tasks.check_leaks({**splits, "train": mixed}, pixels=False)
        taught = [self.learned[name] for name in regime.synthetic if name in self.learned]
        notes = released.check_generators(splits, taught, self.suite.data.generators_saw)
        rows = composition.films(mixed, self.suite.positive)
        made_of = composition.describe(
            rows,
            frozenset(splits["train"]["image_id"][:]),
            {config: frozenset(self.synthetic[config]["image_id"][:]) for config in regime.synthetic},
        )
        path = results.path_of(self.out, self.suite.name, run.task, run.model, run.regime, run.seed)
        return Prepared(run, path, rows, made_of, self._digest(run, rows, splits), notes)

    def _digest(self, run: Run, rows: composition.Films, splits: datasets.DatasetDict) -> str:
        suite = self.suite
        return digest_of(
            {
                "suite": [suite.name, suite.version, suite.protocol, suite.positive, suite.image_size],
                "run": [run.task, run.model, run.regime, run.seed],
                "regime": suite.regimes[run.regime].rule(),
                "training": suite.training_of(run.model).model_dump(),
                "views": suite.augment_views,
                "weights": self.weights or suite.models[run.model].weights,
                "dataset": self.dataset.model_dump()
                if self.dataset and suite.regimes[run.regime].synthetic
                else None,
                "train": rows.ids,
                "validation": list(splits["validation"]["image_id"][:]),
                "test": list(splits["test"]["image_id"][:]),
            }
        )

    def _done(self, one: Prepared) -> bool:
        """True when the result is there, sound, and of the same inputs."""
        if not one.path.exists():
            return False
        result = results.validate_result(one.path)
        if result.inputs != one.digest:
            raise ResultError(
                f"{one.path} was made from other data or settings",
                found=f"inputs {result.inputs[:12]}",
                expected=one.digest[:12],
                hint="choose another folder for the results, or remove that file",
            )
        return True

    def _work(
        self, pending: Sequence[Prepared], splits: datasets.DatasetDict, remarks: Mapping[str, Any]
    ) -> None:
        """Bring the films of all pending runs into the stores, then train them one after the other."""
        try:
            from covid_synth_data.benchmark import worker
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "benchmark") from error
        parts = {
            name: composition.films(splits[name], self.suite.positive) for name in ("validation", "test")
        }
        pool = composition.Pool([*splits.values(), *self.synthetic.values()])
        hand = worker.Worker(self.suite, pool, self.cache_dir, self.device, self.weights, self.progress)
        for model in dict.fromkeys(one.run.model for one in pending):
            todo = [one for one in pending if one.run.model == model]
            hand.fill(
                model, [(one.train, self.suite.regimes[one.run.regime]) for one in todo], list(parts.values())
            )
            for number, one in enumerate(todo):
                start = time.monotonic()
                outcome = hand.train(
                    model, self.suite.regimes[one.run.regime], one.run.seed, one.train, parts,
                    what=f"{number + 1}/{len(todo)} {model} {one.run.regime} seed {one.run.seed}",
                )  # fmt: skip
                self._write(one, parts, outcome, remarks, time.monotonic() - start)

    def _write(
        self,
        one: Prepared,
        parts: Mapping[str, composition.Films],
        outcome: Any,
        remarks: Mapping[str, Any],
        seconds: float,
    ) -> None:
        suite, run = self.suite, one.run
        regime = suite.regimes[run.regime]
        results.write_result(
            one.path,
            results.Result(
                suite=suite.name,
                suite_version=suite.version,
                task=run.task,
                protocol=suite.protocol,
                positive=suite.positive,
                image_size=suite.image_size,
                model=run.model,
                weights=outcome.weights,
                regime=run.regime,
                regime_rule=regime,
                training=suite.training_of(run.model),
                seed=run.seed,
                inputs=one.digest,
                limit=self.limit,
                composition=one.made_of,
                validation=parts["validation"].part(),
                test=parts["test"].part(),
                left_out=remarks["left_out"],
                notes=[*remarks["notes"], *one.notes],
                dataset=self.dataset if regime.synthetic else None,
                fitting=outcome.fitting,
                metrics=results.measure(outcome.predictions),
                code=outcome.code,
                hardware=outcome.hardware,
                seconds=round(seconds, 3),
                predictions=outcome.predictions,
            ),
        )
