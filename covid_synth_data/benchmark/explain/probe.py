"""Does a classifier rely on a shortcut? Trained classifiers, shown films of which a shortcut alone is left.

A classifier that looks at the lungs loses its AUC where they are gone; one that knows how the films of a
class were made keeps some of it. Classifiers are trained on whole films, by the regimes of a suite, and never
on a changed one. Both sides of a comparison see the same changed films, so that what a change does to every
classifier drops out of their difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.explain import changes
from covid_synth_data.benchmark.explain.retraining import Fold, RetrainingRequest
from covid_synth_data.benchmark.request import Progress
from covid_synth_data.benchmark.results import probes, write_result
from covid_synth_data.benchmark.results.classification import BOOTSTRAP_SEED
from covid_synth_data.benchmark.running.classification import FilmSplit
from covid_synth_data.benchmark.running.kind import no_progress
from covid_synth_data.errors import MetricError
from covid_synth_data.metrics import crossed, resampling
from covid_synth_data.metrics.detection import Bools, Floats

LEAST: Final = 20
"""The films of each class that a view must have to be tested by itself."""


def probe(asked: RetrainingRequest, progress: Progress | None = None) -> probes.ProbeResult:
    """Train the classifiers that are `asked` for, probe them and write the file of the request.

    Each regime is compared with all regimes of real films alone among those asked for. The films are those of
    test and, where the suite has no folds, of validation; with a limit, at most so many of each class of a
    part, drawn at random. Films without two lungs are left out. Where sources state views, the whole films of
    each are tested alone too. Raises what `benchmark.run` does, `ConfigError` for films that show lungs
    alone, and `MetricError` for too few films.
    """
    chosen, named = asked.request.suite, changes.names(asked.request.films)
    retraining = asked.open(progress)
    parts = {name: Part(name) for name in probes.PARTS if name == "test" or chosen.folds == 1}
    notes: list[str] = []
    for fold in retraining.folds():
        probed = {name: _some(fold.others[name], asked.films, chosen.data.split_seed) for name in parts}
        _score(fold, probed, parts)
        notes += fold.notes
    used, baselines = retraining.regimes, retraining.baselines
    result = probes.ProbeResult(
        protocol=chosen.protocol,
        changes=[_described(name) for name in named],
        drawn=asked.films,
        films={name: part.counts() for name, part in parts.items()},
        rows=[
            row
            for part in parts.values()
            for row in part.rows(named, used, baselines, progress or no_progress)
        ],
        views=[row for part in parts.values() for row in part.view_rows(used, baselines)],
        **retraining.described(notes),
    )
    write_result(asked.path, result)
    return result


def _some(films: Films, most: int | None, seed: int) -> Films:
    """At most `most` films of each class against the rest, drawn by `seed`, in their order."""
    if most is None:
        return films
    rng = np.random.default_rng([seed, 0xF11])
    classes = (np.flatnonzero(films.positives == value) for value in (False, True))
    drawn = [rng.permutation(rows)[:most] for rows in classes]
    return films.select(np.sort(np.concatenate(drawn)))


def _score(fold: Fold, probed: Mapping[probes.Part, Films], parts: Mapping[probes.Part, Part]) -> None:
    """Train the classifiers of a fold and put what they say of its changed films into `parts`."""
    from covid_synth_data.benchmark.explain.changed_films import ChangedFilms

    shown = ChangedFilms(fold.worker, fold.model)
    for name, films in probed.items():
        shown.fill(films)
        parts[name].add_films(films, shown.found(films), _views(fold.split, name))
    for job, network in fold.trained(list(probed.values())):
        for name, films in probed.items():
            for change, scores in shown.scores(network, films):
                parts[name].scores[change, job.run.regime, job.run.seed].append(scores)


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
        """The patient of each film."""
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
        """The content of `probes.Measured` for each regime, on the films in `among` (n,)."""
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
