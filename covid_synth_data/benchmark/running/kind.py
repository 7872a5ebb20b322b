"""The interface of a kind of suite for the engine: to read data, to choose them for a run, and to train."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from covid_synth_data.benchmark.data import released
from covid_synth_data.benchmark.request import Request, Run
from covid_synth_data.benchmark.results import Dataset, Result
from covid_synth_data.benchmark.training.cost import Cost
from covid_synth_data.errors import ReleaseError
from covid_synth_data.release import manifest

if TYPE_CHECKING:
    import datasets

_LOG = logging.getLogger(__name__)
_NAMED = 3
"""The largest number of regimes that an error names."""


@dataclass(frozen=True)
class Synthetic:
    """The configs of the released dataset, the release they come from, and the images that their generators
    were trained on. `phantoms` has the options of the CT phantoms that a config's label maps are of."""

    configs: Mapping[str, datasets.Dataset]
    dataset: Dataset | None
    trained_on: Mapping[str, manifest.Learned]
    phantoms: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """The images of one task or protocol, in one fold. `held_out` are the ids of validation and test."""

    held_out: frozenset[str]


@dataclass(frozen=True)
class Prepared:
    """A run whose training images are chosen.

    `digest` stands for everything that its predictions depend on; `tested` are the ids of the test images.
    """

    run: Run
    path: Path
    digest: str
    tested: frozenset[str]


AnySplit = TypeVar("AnySplit", bound=Split)
AnyPrepared = TypeVar("AnyPrepared", bound=Prepared)


class Kind(ABC, Generic[AnySplit, AnyPrepared]):
    """A kind of suite at work on one request."""

    @abstractmethod
    def split(self, task: str, fold: int | None) -> AnySplit:
        """Read and split the real images of a task. Raises `SourceError`, `EmptySplit`, `LeakError`."""

    @abstractmethod
    def prepare(self, split: AnySplit, runs: Sequence[Run]) -> list[AnyPrepared]:
        """Choose the training images of each run. Raises `LeakError` where they meet validation or test."""

    @abstractmethod
    def train(self, split: AnySplit, pending: Sequence[AnyPrepared]) -> Iterator[tuple[AnyPrepared, Result]]:
        """Train one network after the other; give each result when it is there. Raises `MissingExtra`."""

    @abstractmethod
    def cost(self, model: str, pending: Sequence[AnyPrepared], held_out: frozenset[str]) -> Cost:
        """The cost of the pending runs of one model; `held_out` as in `Split`, of all folds."""


def load_synthetic(request: Request, runs: Sequence[Run]) -> tuple[Synthetic, list[Run]]:
    """The released images that `runs` need, and those of the runs that can be done.

    Raises `ReleaseError` where the release lacks a config and the request does not skip such regimes.
    """
    suite = request.suite
    configs = tuple(dict.fromkeys(name for run in runs for name in suite.configs_of(run.regime)))
    loaded, dataset, missing = released.load(suite.release_name, configs, request.release, request.version)
    able = _without_missing(request, runs, missing)
    version = dataset.version if dataset else None
    trained_on = released.trained_on(suite.release_name, tuple(loaded), request.release, version)
    phantoms = released.phantoms(suite.release_name, tuple(loaded), request.release, version)
    return Synthetic(loaded, dataset, trained_on, phantoms), able


def _without_missing(request: Request, runs: Sequence[Run], missing: Mapping[str, str]) -> list[Run]:
    """The runs that can be done; `ReleaseError` where some cannot and that was not allowed, or none can."""
    suite = request.suite
    able = [run for run in runs if not missing.keys() & set(suite.configs_of(run.regime))]
    unable = list(dict.fromkeys(run.regime for run in runs if run not in able))
    if not missing or (request.skip_missing and able):
        for regime in unable:
            _LOG.warning("regime %s is left out: the release does not hold all of its configs", regime)
        return able
    more = f" and {len(unable) - _NAMED} more" if len(unable) > _NAMED else ""
    raise ReleaseError(
        f"regimes {', '.join(unable[:_NAMED])}{more} of suite {suite.name} cannot run without"
        f" {', '.join(list(missing)[:_NAMED])} of {suite.release_name}",
        found=next(iter(missing.values())),
        expected="a release that holds them",
        hint="give a release with --release DIR, or leave these regimes out with --skip-missing",
    )


def no_progress(done: int, total: int, what: str) -> None:
    """Tell nobody."""
