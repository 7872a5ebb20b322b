"""The runs of one call: their films chosen and checked for leaks, what is done skipped, the rest trained."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covid_synth_data.benchmark import results
from covid_synth_data.benchmark.data import composition, released
from covid_synth_data.benchmark.request import Run
from covid_synth_data.benchmark.suite import Kind, Suite, Weights, digest_of
from covid_synth_data.classifiers.registry import CLASSIFIERS
from covid_synth_data.errors import MissingExtra, ResultError
from covid_synth_data.preprocessing import films as preprocessing
from covid_synth_data.release import manifest

if TYPE_CHECKING:
    import datasets

    from covid_synth_data.benchmark.training.worker import Worker

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """What every run of a call shares; see `runner.run`."""

    suite: Suite
    out: Path
    root: Path | None
    weights: Weights | None
    preprocessing: Kind
    limit: int | None
    device: str
    cache_dir: Path


@dataclass(frozen=True)
class Synthetic:
    """The configs of the released dataset, where they come from, and whom their generators learned from."""

    configs: Mapping[str, datasets.Dataset]
    dataset: results.Dataset | None
    learned: Mapping[str, manifest.Learned]


@dataclass(frozen=True)
class Part:
    """A task, or a fold of it: its classes, its films, and what the task says of them."""

    classes: tuple[str, ...]
    splits: datasets.DatasetDict
    left_out: list[results.LeftOut]
    notes: list[str]

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """The ids of the films of each of the three parts, read once for all runs."""
        return {name: list(rows["image_id"][:]) for name, rows in self.splits.items()}


@dataclass(frozen=True)
class Prepared:
    """A run whose data are chosen: `digest` stands for everything that its predictions depend on, `tested`
    are the ids of the films to be predicted, `notes` say what a reader should know of the generators of its
    regime."""

    run: Run
    path: Path
    train: composition.Films
    tested: frozenset[str]
    made_of: results.Composition
    digest: str
    notes: list[str]


class Bench:
    """Prepares and does runs."""

    def __init__(self, settings: Settings, synthetic: Synthetic, progress: Progress) -> None:
        """`progress` is told (done, all, what)."""
        self.settings, self.suite = settings, settings.suite
        self.synthetic, self.progress = synthetic, progress

    def run(self, runs: Sequence[Run]) -> list[Path]:
        """Do all runs that have no result yet; the paths of all results, in the order of `runs`."""
        paths: dict[Run, Path] = {}
        for part, prepared in self.parts(runs):
            self._work([one for one in prepared if not done(one)], part)
            paths |= {one.run: one.path for one in prepared}
        return [paths[run] for run in runs]

    def parts(self, runs: Sequence[Run]) -> Iterator[tuple[Part, list[Prepared]]]:
        """Each task and fold of `runs`, planned once, with its runs prepared."""
        for task, fold in dict.fromkeys((run.task, run.fold) for run in runs):
            part = self.part(task, fold)
            yield part, self.prepare(part, [run for run in runs if (run.task, run.fold) == (task, fold)])

    def part(self, task: str, fold: int | None) -> Part:
        """The three parts of a task; training films are thinned out as the suite says."""
        from covid_synth_data import tasks

        data, asked = self.suite.data, self.settings
        plan = tasks.plan_task(
            task,
            asked.root,
            self.suite.protocol,
            seed=data.split_seed,
            sources=data.sources,
            licences=data.licences,
            phantom=data.phantom,
            **({} if fold is None else {"fold": fold, "folds": self.suite.folds}),
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
            negatives=min((n for n in (asked.limit, data.max_negatives) if n is not None), default=None),
            positives=data.max_positives,
            per_class=data.max_per_class,
            seed=data.split_seed,
        )
        return Part(plan.classes, splits, left_out, notes)

    def prepare(self, part: Part, runs: Sequence[Run]) -> list[Prepared]:
        """Choose the training films of each run; raises `LeakError` where they meet validation or test.

        Films are compared byte for byte between the parts once for all runs, the rest for each run.
        """
        from covid_synth_data import tasks

        tasks.check_leaks(part.splits)
        used = dict.fromkeys(name for run in runs for name in self.suite.regimes[run.regime].synthetic)
        if used:
            every = released.together([self.synthetic.configs[name] for name in used])
            tasks.check_leaks({**part.splits, "train": every})
        return [self._prepare(run, part) for run in runs]

    def _prepare(self, run: Run, part: Part) -> Prepared:
        from covid_synth_data import tasks

        suite, splits, synthetic = self.suite, part.splits, self.synthetic
        regime = suite.regimes[run.regime]
        mixed = composition.compose(regime, splits["train"], synthetic.configs, suite.positive, run.seed)
        tasks.check_leaks({**splits, "train": mixed}, pixels=False)
        taught = [synthetic.learned[name] for name in regime.synthetic if name in synthetic.learned]
        notes = released.check_generators(splits, taught, suite.data.generators_saw)
        rows = composition.films(mixed, part.classes, suite.positive)
        made_of = composition.describe(
            rows,
            frozenset(part.ids["train"]),
            {config: frozenset(synthetic.configs[config]["image_id"][:]) for config in regime.synthetic},
        )
        path = self.settings.out / results.place(
            suite.name, run.task, self.settings.preprocessing, run.model, run.regime, run.seed, run.fold
        )
        tested = frozenset(part.ids["test"])
        return Prepared(run, path, rows, tested, made_of, self._digest(run, rows, part), notes)

    def _digest(self, run: Run, rows: composition.Films, part: Part) -> str:
        suite, kind = self.suite, self.settings.preprocessing
        used = self.synthetic.dataset if suite.regimes[run.regime].synthetic else None
        return digest_of(
            {
                "suite": [suite.name, suite.version, suite.protocol, suite.positive, suite.image_size],
                "run": [run.task, run.model, run.regime, run.seed, run.fold, suite.folds],
                "classes": list(part.classes),
                "preprocessing": preprocessing.version(kind),
                "regime": suite.regimes[run.regime].rule(),
                "training": suite.training_of(run.model).model_dump(),
                "views": suite.augment_views,
                "weights": self.settings.weights or suite.models[run.model].weights,
                "dataset": used.model_dump() if used else None,
                "train": rows.ids,
                "validation": part.ids["validation"],
                "test": part.ids["test"],
            }
        )

    def worker(self, part: Part) -> Worker:
        """One that knows all films of a task and of the released configs. Raises `MissingExtra`."""
        try:
            from covid_synth_data.benchmark.training import worker
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "benchmark") from error
        pool = composition.Pool([*part.splits.values(), *self.synthetic.configs.values()])
        return worker.Worker(self.settings, pool, self.progress)

    def others(self, part: Part) -> dict[str, composition.Films]:
        """The validation and test films."""
        return {
            name: composition.films(part.splits[name], part.classes, self.suite.positive)
            for name in ("validation", "test")
        }

    def _work(self, pending: Sequence[Prepared], part: Part) -> None:
        """Bring the films of all pending runs into the stores, then train them one after the other."""
        if not pending:
            return
        hand = self.worker(part)
        others = self.others(part)
        for model in dict.fromkeys(one.run.model for one in pending):
            todo = [one for one in pending if one.run.model == model]
            hand.fill(
                model,
                [(one.train, self.suite.regimes[one.run.regime]) for one in todo],
                list(others.values()),
            )
            done = 0
            for together in _trained_together(todo):
                start, first = time.monotonic(), together[0].run
                done += len(together)
                fold = "" if first.fold is None else f" fold {first.fold}"
                seeds = f"seed {first.seed}" if len(together) == 1 else f"{len(together)} seeds"
                what = f"{done}/{len(todo)} {model} {first.regime} {seeds}{fold}"
                regime = self.suite.regimes[first.regime]
                if len(together) > 1:
                    outcomes = hand.train_heads(
                        model,
                        regime,
                        [one.run.seed for one in together],
                        [one.train for one in together],
                        others,
                        what,
                    )
                else:
                    outcomes = [hand.train(model, regime, first.seed, together[0].train, others, what)]
                seconds = (time.monotonic() - start) / len(together)
                for one, outcome in zip(together, outcomes, strict=True):
                    self._write(one, part, others, outcome, seconds)

    def _write(
        self, one: Prepared, part: Part, others: Mapping[str, composition.Films], outcome: Any, seconds: float
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
                classes=list(part.classes),
                positive=suite.positive,
                image_size=suite.image_size,
                preprocessing=self.settings.preprocessing,
                model=run.model,
                weights=outcome.weights,
                regime=run.regime,
                regime_rule=regime,
                training=suite.training_of(run.model),
                seed=run.seed,
                fold=run.fold,
                folds=suite.folds,
                inputs=one.digest,
                limit=self.settings.limit,
                composition=one.made_of,
                validation=others["validation"].part(),
                test=others["test"].part(),
                left_out=part.left_out,
                notes=[*part.notes, *one.notes, *outcome.notes],
                dataset=self.synthetic.dataset if regime.synthetic else None,
                fitting=outcome.fitting,
                metrics=results.measure(outcome.predictions, part.classes, suite.positive),
                code=outcome.code,
                hardware=outcome.hardware,
                seconds=round(seconds, 3),
                predictions=outcome.predictions,
            ),
        )


def _trained_together(todo: Sequence[Prepared]) -> list[list[Prepared]]:
    """The seeds of a regime in one piece where the model is a dense layer on fixed features, else one by
    one."""
    pieces: dict[object, list[Prepared]] = {}
    for one in todo:
        head = CLASSIFIERS[one.run.model].learner == "head"
        counts = tuple(one.train.counts().items())
        key = (one.run.model, one.run.regime, one.run.fold, counts) if head else one.run
        pieces.setdefault(key, []).append(one)
    return list(pieces.values())


def done(one: Prepared) -> bool:
    """True when the result is there, sound, and of the same inputs. Raises `ResultError`."""
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
    if strange := {row.image_id for row in result.predictions} ^ one.tested:
        raise ResultError(
            f"{one.path} does not predict the films of the test set, each once",
            found=f"{len(strange)} unknown or missing image ids, the first is {min(strange)!r}",
            expected=f"the {len(one.tested)} films of the test set",
            hint="remove the file and run the same again",
        )
    return True
