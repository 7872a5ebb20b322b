"""Classifiers of films: splits of a task, training films by regime, and one result for each training."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from covid_synth_data import tasks
from covid_synth_data.benchmark.data import composition, drawing, made, more_real, released
from covid_synth_data.benchmark.request import ClassificationRequest, Progress, Run
from covid_synth_data.benchmark.results import classification as results
from covid_synth_data.benchmark.running.kind import Kind, Prepared, Split, Synthetic
from covid_synth_data.benchmark.running.other_names import OtherNames
from covid_synth_data.benchmark.running.separation import Separation
from covid_synth_data.benchmark.suite import ClassificationSuite, digest_of
from covid_synth_data.benchmark.suite.made import HeldBack, Made, Released
from covid_synth_data.benchmark.training.cost import Cost, time_network
from covid_synth_data.benchmark.training.job import TrainingJob
from covid_synth_data.classifiers.own import origin_of
from covid_synth_data.classifiers.registry import entry
from covid_synth_data.errors import ImpossibleMix, MissingExtra
from covid_synth_data.machine import pick_device
from covid_synth_data.preprocessing import films as preprocessing

if TYPE_CHECKING:
    import datasets

    from covid_synth_data.benchmark.training.worker import Worker


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmSplit(Split):
    """A task, or a fold of it: its classes, its films, and what the task says of them."""

    classes: tuple[str, ...]
    splits: datasets.DatasetDict
    left_out: list[results.LeftOut]
    notes: list[str]
    plan: tasks.TaskPlan
    other_names: OtherNames
    of_release: Mapping[str, datasets.Dataset]
    """The configs of the release, by their names there, with the classes of the task."""
    configs: dict[str, datasets.Dataset]
    """The configs by the names that the suite has for them: released ones, and those made from the training
    films, which join them when a run asks for them. Where the suite makes a config that the release has too,
    the name is that of the former."""
    generator_films: dict[str, datasets.Dataset] = field(default_factory=dict)
    """By config, the real positives of its generator that are no training films of the task."""
    draws: dict[int, datasets.Dataset] = field(default_factory=dict)
    """By seed, the training films that are drawn for it, where the suite draws."""

    @cached_property
    def separation(self) -> Separation:
        """The leak check, which all runs share."""
        return Separation(self.splits)

    @cached_property
    def ids(self) -> dict[str, list[str]]:
        """The ids of the films of each of the three parts, read once for all runs."""
        return {name: list(rows["image_id"][:]) for name, rows in self.splits.items()}


@dataclass(frozen=True)
class PreparedFilms(Prepared):
    """A run with its training films and what they consist of. `notes` are on the regime's generators."""

    train: composition.Films
    made_of: results.Composition
    notes: list[str]

    def training(self, suite: ClassificationSuite, title: str) -> TrainingJob:
        """The job as a worker gets it; `title` is for a progress bar."""
        run = self.run
        return TrainingJob(run.model, suite.regimes[run.regime], run.seed, self.train, title)


class Classification(Kind[FilmSplit, PreparedFilms]):
    """Suites of classifiers."""

    def __init__(self, request: ClassificationRequest, synthetic: Synthetic, progress: Progress) -> None:
        """`progress` is called as `request.Progress` says."""
        self.request, self.suite = request, request.suite
        self.synthetic, self.progress = synthetic, progress
        self._made: dict[tuple[str, ...], datasets.Dataset] = {}

    def split(self, task: str, fold: int | None) -> FilmSplit:
        """The three parts of a task; training films are thinned out as suite and request say."""
        data, request = self.suite.data, self.request
        folds: dict[str, Any] = {} if fold is None else {"fold": fold, "folds": self.suite.folds}
        plan = tasks.plan_task(
            task,
            request.root,
            self.suite.protocol,
            seed=data.split_seed,
            sources=data.sources,
            licences=data.licences,
            phantom=data.phantom,
            progress=self.progress,
            **folds,
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
            negatives=min((n for n in (request.limit, data.max_negatives) if n is not None), default=None),
            positives=data.max_positives,
            per_class=data.max_per_class,
            seed=data.split_seed,
        )
        held_out = frozenset(name for part in ("validation", "test") for name in splits[part]["image_id"][:])
        ready = {
            name: composition.as_task(rows, plan.classes) for name, rows in self.synthetic.configs.items()
        }
        configs = {name: rows for name, rows in ready.items() if name not in self.suite.made}
        names = OtherNames(splits, request.root, self.progress)
        return FilmSplit(held_out, plan.classes, splits, left_out, notes, plan, names, ready, configs)

    def prepare(self, split: FilmSplit, runs: Sequence[Run]) -> list[PreparedFilms]:
        """Choose the training films of each run; raises `LeakError` where they meet validation or test.

        Pixels are compared once for all runs, patients and source films once for each training film.
        """
        split.separation.check_pool(split.splits["train"], self.progress)
        self._make(split, runs)
        used = dict.fromkeys(name for run in runs for name in self.suite.regimes[run.regime].synthetic)
        generator_films = self._join_generator_films(split, runs)
        if used or generator_films:
            configs = [split.configs[name] for name in used]
            split.separation.check_pool(released.together([*configs, *generator_films]), self.progress)
        prepared: list[PreparedFilms] = []
        too_few: dict[str, ImpossibleMix] = {}
        for run in runs:
            try:
                prepared.append(self._prepare(run, split))
            except ImpossibleMix as error:
                if run.regime not in self.request.optional:
                    raise
                too_few.setdefault(run.regime, error)
        for regime, why in too_few.items():
            _LOG.warning("regime %s is left out: %s", regime, why)
        return prepared

    def _join_generator_films(self, split: FilmSplit, runs: Sequence[Run]) -> list[datasets.Dataset]:
        """Find the films of the generators that these runs ask for, each once; all that the split has."""
        asked = dict.fromkeys(self.suite.regimes[run.regime].generator_films for run in runs)
        for config in asked:
            if config is not None and config not in split.generator_films:
                split.generator_films[config] = more_real.generator_films(
                    config, self.synthetic.trained_on[config], split.plan, self.suite.positive
                )
        return list(split.generator_films.values())

    def _make(self, split: FilmSplit, runs: Sequence[Run]) -> None:
        """Make the configs that these runs need from the training films of `split`, each once; folds that
        train on the same films share them."""
        needed = {name: one for run in runs for name, one in self.suite.made_for(run.regime).items()}
        missing = [name for name in needed if name not in split.configs]
        for number, name in enumerate(missing, 1):
            rule = needed[name]
            if isinstance(rule, Released):
                split.configs[name] = split.of_release[rule.config]
                continue
            self.progress(number, len(missing), f"make {name}")
            positive, findings = self.suite.positive, self.suite.data.held_findings
            hosts = composition.without_held(False, split.splits["train"], positive, findings)
            key = (name, positive, *hosts["image_id"][:])
            if key not in self._made:
                self._made[key] = made.make(name, rule, hosts, positive, self._held_back(name, rule, split))
            split.configs[name] = composition.as_task(self._made[key], split.classes)

    def _held_back(self, name: str, rule: Made, split: FilmSplit) -> datasets.Dataset | None:
        if not isinstance(rule, HeldBack):
            return None
        return more_real.held_back(name, rule, split.plan, split.ids["train"], self.suite.positive)

    def _prepare(self, run: Run, split: FilmSplit) -> PreparedFilms:
        suite, splits, synthetic = self.suite, split.splits, self.synthetic
        regime = suite.regimes[run.regime]
        # The training films, and whether any of them meets validation or test.
        drawn, configs = self._draw(run, split)
        real = composition.without_held(regime.held, drawn, suite.positive, suite.data.held_findings)
        real_ids = frozenset(split.ids["train"])
        if regime.generator_films is not None:
            joined = split.generator_films[regime.generator_films]
            real = composition.joined(real, joined)
            real_ids |= frozenset(joined["image_id"][:])
        if regime.retraced is not None:
            real = configs[regime.retraced]
            real_ids = frozenset(real["image_id"][:])
        mixed = composition.compose(regime, real, configs, suite.positive, run.seed)
        split.separation.check(mixed)
        of_configs = suite.configs_of(run.regime)
        trained_on = {name: synthetic.trained_on[name] for name in of_configs if name in synthetic.trained_on}
        saw = suite.data.generators_saw
        notes = released.check_generators(splits, list(trained_on.values()), saw)
        for name, learned in trained_on.items():
            notes += split.other_names.check(name, synthetic.configs[name], learned, saw)
        version = synthetic.dataset.version if synthetic.dataset else None
        release = self.request.release
        notes += released.unknown_training(suite.release_name, of_configs, release, version)
        # What the result file will say of them.
        films = composition.films(mixed, split.classes, suite.positive)
        made_of = composition.describe(
            films,
            real_ids,
            {config: frozenset(split.configs[config]["image_id"][:]) for config in regime.synthetic},
        )
        names = (suite.name, run.task, self.request.films, run.model, run.regime)
        return PreparedFilms(
            run=run,
            path=self.request.out / results.result_path(*names, run.seed, run.fold),
            digest=self._digest(run, films, split),
            tested=frozenset(split.ids["test"]),
            train=films,
            made_of=made_of,
            notes=notes,
        )

    def _draw(self, run: Run, split: FilmSplit) -> tuple[datasets.Dataset, Mapping[str, datasets.Dataset]]:
        """The training films of the run's seed and the configs with them. Where the suite draws a half, what
        was made from films of the other half is left out. Films that are held back stay."""
        train = split.splits["train"]
        if not self.suite.data.half_samples:
            return train, split.configs
        if run.seed not in split.draws:
            folds = () if run.fold is None else (run.fold,)
            seed = (self.suite.data.split_seed, run.seed, *folds)
            split.draws[run.seed] = drawing.half(train, seed)
        drawn = split.draws[run.seed]
        of_films = {
            name: drawing.of_hosts(split.configs[name], drawn)
            for name, one in self.suite.made_for(run.regime).items()
            if not isinstance(one, HeldBack | Released)
        }
        return drawn, {**split.configs, **of_films}

    def _digest(self, run: Run, films: composition.Films, split: FilmSplit) -> str:
        suite = self.suite
        used = self.synthetic.dataset if suite.configs_of(run.regime) else None
        own = suite.models[run.model].own
        by_hand = {name: one.rule() for name, one in suite.made_for(run.regime).items()}
        return digest_of(
            {
                **({"made": by_hand} if by_hand else {}),
                **({"own": origin_of(own).model_dump()} if own else {}),
                "suite": [suite.name, suite.version, suite.protocol, suite.positive, suite.image_size],
                "run": [run.task, run.model, run.regime, run.seed, run.fold, suite.folds],
                "classes": list(split.classes),
                "preprocessing": preprocessing.version(self.request.films),
                "regime": suite.regimes[run.regime].rule(),
                "training": suite.training_of(run.model).rule(),
                "views": suite.augment_views,
                "weights": self.request.weights_of(run.model),
                "dataset": used.model_dump() if used else None,
                "train": films.ids,
                "validation": split.ids["validation"],
                "test": split.ids["test"],
            }
        )

    def worker(self, split: FilmSplit) -> Worker:
        """One that knows all films of a task and of the released configs. Raises `MissingExtra`."""
        try:
            from covid_synth_data.benchmark.training import worker
        except ModuleNotFoundError as error:
            raise MissingExtra(str(error.name), "benchmark") from error
        pool = composition.Pool(
            [*split.splits.values(), *split.configs.values(), *split.generator_films.values()]
        )
        return worker.Worker(self.request, pool, self.progress)

    def others(self, split: FilmSplit) -> dict[str, composition.Films]:
        """The validation and test films."""
        return {
            name: composition.films(split.splits[name], split.classes, self.suite.positive)
            for name in ("validation", "test")
        }

    def train(
        self, split: FilmSplit, pending: Sequence[PreparedFilms]
    ) -> Iterator[tuple[PreparedFilms, results.ClassificationResult]]:
        """Bring the films of all pending runs into the stores, then train one classifier after the other."""
        worker, others = self.worker(split), self.others(split)
        for model in dict.fromkeys(job.run.model for job in pending):
            jobs = [job for job in pending if job.run.model == model]
            regimes = [(job.train, self.suite.regimes[job.run.regime]) for job in jobs]
            worker.fill(model, regimes, list(others.values()))
            begun = 0
            for together in trained_together(jobs, self.suite):
                start = time.monotonic()
                begun += len(together)
                more = f" and {len(together) - 1} more" if len(together) > 1 else ""
                title = f"{begun}/{len(jobs)} {together[0].run.title}{more}"
                trained = worker.train([job.training(self.suite, title) for job in together], others)
                seconds = (time.monotonic() - start) / len(together)
                for job, classifier in zip(together, trained, strict=True):
                    yield job, self._result(job, split, others, classifier, seconds)

    def _result(
        self,
        job: PreparedFilms,
        split: FilmSplit,
        others: Mapping[str, composition.Films],
        trained: Any,
        seconds: float,
    ) -> results.ClassificationResult:
        suite, run = self.suite, job.run
        own = suite.models[run.model].own
        regime = suite.regimes[run.regime]
        return results.ClassificationResult(
            suite=suite.name,
            suite_version=suite.version,
            task=run.task,
            protocol=suite.protocol,
            classes=list(split.classes),
            positive=suite.positive,
            image_size=suite.image_size,
            preprocessing=self.request.films,
            model=run.model,
            own=origin_of(own) if own else None,
            weights=trained.weights,
            regime=run.regime,
            regime_rule=regime,
            training=suite.training_of(run.model),
            seed=run.seed,
            fold=run.fold,
            folds=suite.folds,
            inputs=job.digest,
            limit=self.request.limit,
            composition=job.made_of,
            validation=others["validation"].film_counts(),
            test=others["test"].film_counts(),
            left_out=split.left_out,
            notes=[*split.notes, *job.notes, *trained.notes],
            dataset=self.synthetic.dataset if suite.configs_of(run.regime) else None,
            fitting=trained.fitting,
            metrics=results.measure(trained.predictions, split.classes, suite.positive),
            code=trained.code,
            hardware=trained.hardware,
            seconds=round(seconds, 3),
            predictions=trained.predictions,
        )

    def cost(self, model: str, pending: Sequence[PreparedFilms], held_out: frozenset[str]) -> Cost:
        """Fixed features of a frozen network, or all epochs of a network that is trained as a whole.

        Nothing is known of a classifier of the user but the films that it reads.
        """
        if not pending:
            return Cost()
        suite, frozen = self.suite, entry(model).frozen
        settings = suite.training_of(model)
        films = {name for job in pending for name in job.train.ids} | held_out
        if entry(model).learner == "own":
            return Cost(len(films))
        classes, device = len(pending[0].train.classes), pick_device(self.request.device)
        step, film = time_network(self.request, model, classes, device)
        if not frozen:
            films_of_epoch = [settings.epoch_films or len(job.train.ids) for job in pending]
            steps = sum(-(-count // settings.batch_size) for count in films_of_epoch)
            seconds = settings.max_epochs * (steps * step + len(pending) * len(held_out) * film)
            return Cost(len(films), training=seconds)
        augmented = {
            name
            for job in pending
            if suite.regimes[job.run.regime].augment == "plain"
            for name in job.train.ids
        }
        return Cost(len(films), extraction=film * (len(films) + suite.augment_views * len(augmented)))


def trained_together(jobs: Sequence[PreparedFilms], suite: ClassificationSuite) -> list[list[PreparedFilms]]:
    """The seeds of a regime in one piece where the model is a dense layer on fixed features with a constant
    learning rate, else one by one.

    Seeds of one piece have equally many training films of each class.
    """
    pieces: dict[object, list[PreparedFilms]] = {}
    for job in jobs:
        counts = tuple(job.train.counts().items())
        head = entry(job.run.model).learner == "head" and suite.training_of(job.run.model).plateau is None
        pieces.setdefault(
            (job.run.model, job.run.regime, job.run.fold, counts) if head else job.run, []
        ).append(job)
    return list(pieces.values())
