"""The classifiers of a suite, trained again to be looked into: a result file holds no weights.

A training is a pure function of its inputs, so the network is that of the result file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from covid_synth_data import machine
from covid_synth_data.benchmark.data.composition import Films
from covid_synth_data.benchmark.request import ClassificationRequest, Progress, Run, request_classifiers
from covid_synth_data.benchmark.results import Dataset
from covid_synth_data.benchmark.results.classification import Weights
from covid_synth_data.benchmark.running.classification import (
    Classification,
    FilmSplit,
    PreparedFilms,
    trained_together,
)
from covid_synth_data.benchmark.running.kind import Synthetic, load_synthetic, no_progress
from covid_synth_data.benchmark.suite import ClassificationSuite
from covid_synth_data.classifiers.registry import build, entry
from covid_synth_data.errors import ConfigError

if TYPE_CHECKING:
    from covid_synth_data.benchmark.training.worker import Worker
    from covid_synth_data.classifiers.networks import Network

LIBRARIES: Final = ("datasets", "numpy", "pillow", "scikit-learn", "scipy", "timm", "torch")


@dataclass(frozen=True)
class RetrainingRequest:
    """The classifiers to train again, and where to write the result: the classifiers of one model and task.

    `path` is the file to write. At most `films` films are shown to the classifiers; None stands for the
    default of what is asked for. Raises `ConfigError` for a model without a network and for a regime that
    adds the scores of two classifiers.
    """

    request: ClassificationRequest
    path: Path
    films: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be looked into."""
        if entry(self.model).learner not in ("head", "network"):
            raise ConfigError(
                f"{self.model} is no network that could be looked into",
                hint="choose one without trees, of the package",
            )
        for name in dict.fromkeys(run.regime for run in self.runs):
            if self.request.suite.regimes[name].join == "scores":
                raise ConfigError(
                    f"regime {name} adds the scores of two classifiers and cannot be looked into",
                    expected="regimes that train one classifier",
                    hint="leave it out",
                )

    @property
    def runs(self) -> list[Run]:
        """The trainings of the first model and task that `request` asks for."""
        runs = self.request.runs()
        return [run for run in runs if (run.model, run.task) == (runs[0].model, runs[0].task)]

    @property
    def model(self) -> str:
        """The classifier."""
        return self.runs[0].model

    def open(self, progress: Progress | None = None) -> Retraining:
        """Load the released images that the trainings need. Raises `ReleaseError`."""
        synthetic, able = load_synthetic(self.request, self.runs)
        kind = Classification(self.request, synthetic, progress or no_progress)
        return Retraining(self.request, kind, synthetic, able)


def request_retraining(
    suite: str | Path | ClassificationSuite,
    path: str | Path,
    *,
    regimes: Sequence[str] | None = None,
    model: str | None = None,
    task: str | None = None,
    seeds: int | Sequence[int] | None = None,
    films: int | None = None,
    **options: Any,
) -> RetrainingRequest:
    """The request to train classifiers of `suite` by each of `regimes` again.

    Where `regimes` is None they are those of the profile that train one classifier.

    `model` (None: the first of the profile) is a network or a dense layer on fixed features. `task` is the
    first of the suite where None. What is found goes to the file at `path`, of `films` films at most.
    `options` are those of `benchmark.run`. Raises `UnknownName`, `ConfigError`.
    """
    request = request_classifiers(
        suite,
        out=Path(path).parent,
        models=[model] if model else None,
        regimes=list(regimes) if regimes else None,
        seeds=seeds,
        tasks=[task] if task else None,
        **options,
    )
    if not regimes:
        rules = request.suite.regimes
        single = [name for name in request.regime_names if rules[name].join != "scores"]
        request = request.model_copy(update={"regimes": single})
    return RetrainingRequest(request, Path(path), films)


@dataclass(frozen=True)
class Retraining:
    """An opened request: `runs` are those of its trainings that the release allows."""

    request: ClassificationRequest
    kind: Classification
    synthetic: Synthetic
    runs: list[Run]
    started: float = field(default_factory=time.monotonic)

    @property
    def regimes(self) -> list[str]:
        """The regimes, in the order of the request."""
        return list(dict.fromkeys(run.regime for run in self.runs))

    @property
    def baselines(self) -> list[str]:
        """Those of them that hold real films alone."""
        return [name for name in self.regimes if self.request.suite.regimes[name].baseline]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def dataset(self) -> Dataset | None:
        """The release, where a regime has films of it."""
        suite = self.request.suite
        return self.synthetic.dataset if any(suite.configs_of(name) for name in self.regimes) else None

    def folds(self) -> Iterator[Fold]:
        """Each fold with its trainings, prepared when its turn comes; one where the suite has none."""
        for number in dict.fromkeys(run.fold for run in self.runs):
            split = self.kind.split(self.runs[0].task, number)
            jobs = self.kind.prepare(split, [run for run in self.runs if run.fold == number])
            yield Fold(number, split, jobs, self.kind.others(split), self.kind.worker(split))

    def described(self, notes: Sequence[str]) -> dict[str, Any]:
        """The fields of `results.measured.MeasuredResult` on the trainings so far; each of `notes` once."""
        suite, model = self.request.suite, self.runs[0].model
        weights = build(model, self.request.weights_of(model), 0).weights
        return {
            "suite": suite.name,
            "suite_version": suite.version,
            "task": self.runs[0].task,
            "positive": suite.positive,
            "preprocessing": self.request.films,
            "image_size": suite.image_size,
            "model": model,
            "weights": Weights.model_validate(weights.model_dump()),
            "regimes": self.regimes,
            "baselines": self.baselines,
            "seeds": self.seeds,
            "dataset": self.dataset,
            "notes": list(dict.fromkeys(notes)),
            "code": machine.code(LIBRARIES),
            "hardware": machine.hardware(machine.pick_device(self.request.device)),
            "seconds": round(time.monotonic() - self.started, 1),
        }


@dataclass(frozen=True)
class Fold:
    """The trainings of one fold; `number` is null where the suite has no folds. `others` are the validation
    and test films."""

    number: int | None
    split: FilmSplit
    jobs: list[PreparedFilms]
    others: Mapping[str, Films]
    worker: Worker

    @property
    def model(self) -> str:
        """The classifier."""
        return self.jobs[0].run.model

    @property
    def notes(self) -> list[str]:
        """The fields of a result file about the split and the generators."""
        return [*self.split.notes, *(note for job in self.jobs for note in job.notes)]

    def trained(self, tested: Sequence[Films] = ()) -> Iterator[tuple[PreparedFilms, Network]]:
        """Each job with its network, trained as the engine trains it. What the model reads of `tested` is
        brought into the stores as well."""
        worker, suite, validation = self.worker, self.worker.suite, self.others["validation"]
        regimes = [(job.train, suite.regimes[job.run.regime]) for job in self.jobs]
        worker.fill(self.model, regimes, [validation, *tested])
        for together in trained_together(self.jobs, suite):
            title = together[0].run.title
            networks, _ = worker.learn([job.training(suite, title) for job in together], validation)
            yield from zip(together, networks, strict=True)
