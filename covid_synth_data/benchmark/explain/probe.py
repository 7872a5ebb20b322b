"""Does a classifier rely on a shortcut? Trained classifiers, shown films of which a shortcut alone is left.

A classifier that looks at the lungs loses its AUC where they are gone; one that knows how the films of a
class were made keeps some of it. Classifiers are trained on whole films, by the regimes of a suite, and never
on a changed one. Both sides of a comparison see the same changed films, so that what a change does to every
classifier drops out of their difference.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.explain import again, changes
from covid_synth_data.benchmark.request import Progress
from covid_synth_data.benchmark.results import probes, write_result
from covid_synth_data.benchmark.results.classification import BOOTSTRAP_SEED, Weights
from covid_synth_data.benchmark.running.classification import Classification, FilmSplit, PreparedFilms
from covid_synth_data.benchmark.running.kind import no_progress
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed, resampling
from covid_synth_data.metrics.detection import Bools, Floats

LIBRARIES: Final = ("datasets", "numpy", "pillow", "scikit-learn", "scipy", "timm", "torch")

LEAST: Final = 20
"""The films of each class that a view must have to be tested by itself."""


def probe(
    suite: str | Path | ClassificationSuite,
    path: str | Path,
    *,
    regimes: Sequence[str] | None = None,
    model: str | None = None,
    task: str | None = None,
    seeds: int | Sequence[int] | None = None,
    films: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> probes.ProbeResult:
    """Train classifiers by each of `regimes` (None: those of the profile), probe them and write `path`.

    `model` (None: the first of the profile) is a network or a dense layer on fixed features. Each regime is
    compared with all regimes of real films alone among `regimes`. The films are those of test and, where the
    suite has no folds, of validation, or at most `films` of each class of a part, drawn at random. Films
    without two lungs are left out. Where sources state views, the whole films of each are tested alone too.
    `options` are those of `benchmark.run`. Raises what `run` does; `ConfigError` for a model without a
    network, for a regime that adds the scores of two classifiers and for films that show lungs alone;
    `MetricError` for too few films.
    """
    started = time.monotonic()
    asked = again.ask(
        suite, path, regimes=regimes, model=model, task=task, seeds=seeds, progress=progress, options=options
    )
    request, kind, runs = asked.request, asked.kind, asked.runs
    chosen, named = request.suite, changes.names(request.films)
    parts = {name: Part(name) for name in probes.PARTS if name == "test" or chosen.folds == 1}
    notes: dict[str, None] = {}
    weights = Weights(name=request.weights_of(runs[0].model))
    for fold in dict.fromkeys(run.fold for run in runs):
        split = kind.split(runs[0].task, fold)
        jobs = kind.prepare(split, [run for run in runs if run.fold == fold])
        others = kind.others(split)
        probed = {name: _some(others[name], films, chosen.data.split_seed) for name in parts}
        weights = _score(kind, split, jobs, others, probed, parts)
        notes |= dict.fromkeys([*split.notes, *(note for job in jobs for note in job.notes)])
    used, baselines = asked.regimes, asked.baselines
    result = probes.ProbeResult(
        suite=chosen.name,
        suite_version=chosen.version,
        task=runs[0].task,
        protocol=chosen.protocol,
        positive=chosen.positive,
        preprocessing=request.films,
        image_size=chosen.image_size,
        model=runs[0].model,
        weights=weights,
        regimes=used,
        baselines=baselines,
        seeds=asked.seeds,
        dataset=asked.dataset,
        changes=[_described(name) for name in named],
        drawn=films,
        films={name: part.counts() for name, part in parts.items()},
        rows=[
            row
            for part in parts.values()
            for row in part.rows(named, used, baselines, progress or no_progress)
        ],
        views=[row for part in parts.values() for row in part.view_rows(used, baselines)],
        notes=list(notes),
        code=machine.code(LIBRARIES),
        hardware=machine.hardware(machine.pick_device(request.device)),
        seconds=round(time.monotonic() - started, 1),
    )
    write_result(Path(path), result)
    return result


def _some(films: Films, most: int | None, seed: int) -> Films:
    """At most `most` films of each class against the rest, drawn by `seed`, in their order."""
    if most is None:
        return films
    rng = np.random.default_rng([seed, 0xF11])
    classes = (np.flatnonzero(films.positives == value) for value in (False, True))
    drawn = [rng.permutation(rows)[:most] for rows in classes]
    return films.select(np.sort(np.concatenate(drawn)))


def _score(
    kind: Classification,
    split: FilmSplit,
    jobs: Sequence[PreparedFilms],
    others: Mapping[str, Films],
    probed: Mapping[probes.Part, Films],
    parts: Mapping[probes.Part, Part],
) -> Weights:
    """Train the classifiers of a fold and put what they say of its changed films into `parts`."""
    from covid_synth_data.benchmark.explain.changed_films import ChangedFilms

    worker = kind.worker(split)
    shown = ChangedFilms(worker, jobs[0].run.model)
    for name, films in probed.items():
        shown.fill(films)
        parts[name].add_films(films, shown.found(films), _views(split, name))
    for job, network in again.trained(worker, jobs, others):
        for name, films in probed.items():
            for change, scores in shown.scores(network, films):
                parts[name].scores[change, job.run.regime, job.run.seed].append(scores)
    return Weights.model_validate(shown.network.weights.model_dump())


def _views(split: FilmSplit, part: str) -> dict[str, str]:
    """The views that sources state for films of a part, by image id; none where the rows have no views."""
    rows = split.splits[part]
    if "view" not in rows.column_names:
        return {}
    return dict(zip(split.ids[part], (name or "" for name in rows["view"][:]), strict=True))


class Part:
    """The films of a part, fold after fold, and the scores of all classifiers for them under every change."""

    def __init__(self, name: probes.Part) -> None:
        """`scores` (n,) are arrays by change, regime and seed, one for each fold."""
        self.name = name
        self.scores: dict[tuple[str, str, int], list[Floats]] = defaultdict(list)
        self._films: list[Films] = []
        self._found: list[Bools] = []
        self._views: list[str] = []

    def add_films(self, films: Films, found: Bools, views: Mapping[str, str]) -> None:
        """Those of the next fold, which have two lungs, and by id the views that are stated."""
        self._films.append(films)
        self._found.append(found)
        self._views += [views.get(name, "") for name in films.ids]

    @property
    def truth(self) -> Bools:
        """Which films are positive, (n,)."""
        return np.concatenate([films.positives for films in self._films])

    @property
    def found(self) -> Bools:
        """Which films have two lungs, (n,)."""
        return np.concatenate(self._found)

    @property
    def patients(self) -> list[str]:
        """Whose films they are."""
        return [name for films in self._films for name in films.patients]

    def counts(self) -> probes.ProbedFilms:
        """How many films are probed and how many are left out. Raises `MetricError` where a class is gone."""
        truth, found = self.truth, self.found
        for what, those in (("negative", ~truth), ("positive", truth)):
            if not (those & found).any():
                raise MetricError(
                    f"no {what} film of {self.name} can be probed",
                    found=f"two lungs in none of {int(those.sum())} films",
                    expected="at least one",
                    hint="look at the films: the lung finder knows frontal radiographs of adults",
                )
        patients = {name for name, there in zip(self.patients, found, strict=True) if there}
        return probes.ProbedFilms(
            negatives=int((found & ~truth).sum()),
            positives=int((found & truth).sum()),
            patients=len(patients),
            negatives_without_lungs=int((~found & ~truth).sum()),
            positives_without_lungs=int((~found & truth).sum()),
        )

    def rows(
        self, named: Sequence[str], regimes: Sequence[str], baselines: Sequence[str], progress: Progress
    ) -> Iterator[probes.Row]:
        """A row for each change and regime."""
        for number, change in enumerate(named, 1):
            progress(number, len(named), f"intervals, {self.name} films")
            for measured in self._measured(change, self.found, regimes, baselines):
                yield probes.Row(part=self.name, change=change, **measured)

    def view_rows(self, regimes: Sequence[str], baselines: Sequence[str]) -> Iterator[probes.ViewRow]:
        """A row for each view with `LEAST` films of each class and each regime; all films, lungs or not."""
        views, truth = np.array(self._views, dtype=object), self.truth
        for view in sorted(set(self._views) - {""}):
            among = np.asarray(views == view, np.bool_)
            negatives, positives = int((among & ~truth).sum()), int((among & truth).sum())
            if min(negatives, positives) < LEAST:
                continue
            counts: dict[str, Any] = {"view": view, "negatives": negatives, "positives": positives}
            for measured in self._measured(changes.WHOLE, among, regimes, baselines):
                yield probes.ViewRow(part=self.name, **counts, **measured)

    def _measured(
        self, change: str, among: Bools, regimes: Sequence[str], baselines: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        """What `probes.Measured` holds of each regime, on the films in `among` (n,)."""
        patients = [name for name, there in zip(self.patients, among, strict=True) if there]
        draws = _draws(tuple(self.truth[among].tolist()), tuple(patients))
        aucs = {}
        for regime in regimes:
            table = np.stack(
                [np.concatenate(folds) for key, folds in self.scores.items() if key[:2] == (change, regime)]
            )
            aucs[regime] = resampling.evaluate(draws, table[:, among], specificities=())["auc"]
        for regime, auc in aucs.items():
            yield {
                "regime": regime,
                "seeds": [float(value) for value in auc.values],
                "auc": crossed.interval(auc),
                "over": {name: crossed.contrast(aucs[name], auc) for name in baselines if name != regime},
            }


@lru_cache(maxsize=4)
def _draws(truth: tuple[bool, ...], patients: tuple[str, ...]) -> resampling.Draws:
    """The patients drawn, once for all changes of the same films."""
    return resampling.draw(np.array(truth, int), patients, seed=BOOTSTRAP_SEED)


def _described(name: str) -> probes.Changed:
    change = changes.CHANGES[name]
    return probes.Changed(name=name, left=change.left, kind=change.kind)
